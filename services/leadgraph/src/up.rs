//! Starting everything: every subgraph in this process, the Apollo Router beside it.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use futures_util::future::{join_all, select_all};
use secrecy::ExposeSecret;
use subgraph::{
    Config, Environment, Findings, Running, Subgraph, raise_descriptor_limit, refuse, stop_signal,
    telemetry::LogFormat,
};

use crate::{
    compose,
    provision::{self, RouterArgs},
    router::{self, Router, RouterOptions},
    services,
};

/// How long the router may take to finish its requests.
const GRACE: Duration = Duration::from_secs(6);
/// How long the router may take until it is ready; it takes a tenth of a second.
const ROUTER_START: Duration = Duration::from_mins(1);

/// A running subgraph and its name.
type Named = (&'static str, Running);

/// What `leadgraph up` can be told. The subgraphs take the rest from their environment variables.
#[derive(Args, Clone, Debug)]
pub struct UpArgs {
    /// How strict to be.
    #[arg(long, env = "LEADGRAPH_ENV", value_enum, default_value = "development")]
    pub environment: Environment,
    /// How log lines look [default: text in development, JSON in production].
    #[arg(long, env = "LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Folder of the SQLite files, the keys and the router's log.
    #[arg(long, env = "LEADGRAPH_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// Address that everything listens on.
    #[arg(long, env = "LISTEN_ADDR", default_value = "127.0.0.1")]
    pub listen_addr: IpAddr,
    /// Port of the router.
    #[arg(long, env = "ROUTER_PORT", default_value_t = 4000)]
    pub port: u16,
    /// Port of the router's health check.
    #[arg(long, env = "ROUTER_HEALTH_PORT", default_value_t = 8088)]
    pub health_port: u16,
    /// Added to the port of every subgraph, for a second installation on one machine.
    #[arg(long, default_value_t = 0)]
    pub port_offset: u16,
    /// Where the router comes from.
    #[command(flatten)]
    pub router: RouterArgs,
}

impl UpArgs {
    /// How log lines look.
    pub fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or(self.environment.log_format())
    }

    fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.listen_addr, port)
    }

    /// Where something on `port` is reached from this machine.
    fn url(&self, port: u16) -> String {
        format!("http://{}", SocketAddr::new(self.reachable(), port))
    }

    /// The address by which this machine reaches what runs here.
    fn reachable(&self) -> IpAddr {
        if self.listen_addr.is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { self.listen_addr }
    }

    /// What the environment tells every subgraph, as accounts reads it.
    fn settings(&self) -> Result<Config> {
        accounts::subgraph().config_from([format!("--data-dir={}", self.data_dir.display())])
    }

    /// Every subgraph and its port.
    fn services(&self) -> Result<Vec<(Subgraph, u16)>> {
        let moved = services::with_ports()?.into_iter().map(|(service, port)| {
            let moved = port.checked_add(self.port_offset);
            Ok((service, moved.with_context(|| format!("--port-offset moves port {port} out of range"))?))
        });
        moved.collect()
    }
}

/// Runs everything until asked to stop. Call it from the main thread (see [`Router::start`]).
///
/// # Errors
/// In words for whoever starts it: a taken port, a folder that cannot be written or is in use, a
/// missing router, or a part that ended by itself.
pub async fn up(args: UpArgs) -> Result<()> {
    raise_descriptor_limit();
    let services = args.services()?;
    refuse_unsafe(&args, &services)?;
    check_ports(&args, &services)?;
    let _lock = lock_folder(&args)?;
    // Asked to stop while the router is built or a service starts: everything begun is dropped
    let (router, running) = tokio::select! {
        started = start_all(&args, &services) => started?,
        signal = stop_signal() => return signal,
    };
    // The demo login is accounts' own, and accounts is the first
    print_table(&args, &services, running.first().is_some_and(|(_, accounts)| accounts.has_demo_data));
    run(router, running).await
}

async fn start_all(args: &UpArgs, services: &[(Subgraph, u16)]) -> Result<(Router, Vec<Named>)> {
    let binary = provision::provision(&args.router).await?;
    let (demo, mut running) = (demo_decision(args)?, Vec::new());
    for (service, port) in services {
        let started = service.start(configure(args, services, service, *port, demo)?).await;
        running
            .push((service.name(), started.with_context(|| format!("{} does not start", service.name()))?));
    }
    let router = Router::start(&router_options(args, services, binary)?).await?;
    Ok((router, running))
}

/// Waits until something ends or a signal comes, then stops everything.
async fn run(mut router: Router, mut running: Vec<Named>) -> Result<()> {
    let ended = tokio::select! {
        signal = stop_signal() => signal,
        status = router.wait() => Err(anyhow!("the router ended by itself ({}); {}", status?, router.log_end())),
        error = any_ended(&mut running) => Err(error),
    };
    eprintln!("stopping");
    let stopping = async {
        // The router first: it finishes its requests while the subgraphs still answer
        let router = router.stop(GRACE).await.map(drop);
        let services = join_all(running.into_iter().map(|(_, service)| service.stop())).await;
        std::iter::once(router).chain(services).collect::<Result<()>>()
    };
    let stopped = tokio::select! {
        stopped = stopping => stopped,
        // Asked a second time: nobody wants to wait for requests under way
        signal = stop_signal() => signal,
    };
    ended.and(stopped)
}

fn check_ports(args: &UpArgs, services: &[(Subgraph, u16)]) -> Result<()> {
    router::ensure_free(args.address(args.port), "the router", "--port")?;
    router::ensure_free(args.address(args.health_port), "the router's health check", "--health-port")?;
    for (service, port) in services {
        router::ensure_free(args.address(*port), service.name(), "--port-offset")?;
    }
    Ok(())
}

/// Makes the data folder this launcher's own: two on one folder would route to each other's ports.
fn lock_folder(args: &UpArgs) -> Result<fs::File> {
    let folder = &args.data_dir;
    let unwritable =
        || format!("the data folder {} cannot be written; choose another with --data-dir", folder.display());
    fs::create_dir_all(folder).with_context(unwritable)?;
    let file = fs::File::create(folder.join("leadgraph.lock")).with_context(unwritable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!(
                "another Leadgraph runs on the data folder {}; choose another with --data-dir",
                folder.display()
            )
        }
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(unwritable),
    }
}

/// Whether to load demo data, where that is not configured: into a data folder without databases,
/// for all services or for none. On another database each service decides by itself.
fn demo_decision(args: &UpArgs) -> Result<Option<bool>> {
    let config = args.settings()?;
    if config.demo.is_some() || !config.database_url("accounts").expose_secret().starts_with("sqlite:") {
        return Ok(None);
    }
    let mut files = fs::read_dir(&args.data_dir)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let new = !files.any(|file| file.extension().is_some_and(|extension| extension == "sqlite"));
    Ok(Some(new && args.environment == Environment::Development))
}

/// What production refuses, of all services at once and before anything is begun.
fn refuse_unsafe(args: &UpArgs, services: &[(Subgraph, u16)]) -> Result<()> {
    let mut all = Findings::default();
    for (service, port) in services {
        all.add(service.findings(&configure(args, services, service, *port, None)?));
    }
    all.warn();
    refuse(&all.faults)
}

/// What a subgraph is told beside its environment.
fn configure(
    args: &UpArgs,
    all: &[(Subgraph, u16)],
    service: &Subgraph,
    port: u16,
    demo: Option<bool>,
) -> Result<Config> {
    let mut flags = vec![
        format!("--environment={}", args.environment),
        format!("--data-dir={}", args.data_dir.display()),
        format!("--listen-addr={}", args.listen_addr),
        format!("--port={port}"),
    ];
    flags.extend(demo.map(|demo| format!("--demo={demo}")));
    for (other, port) in all {
        let url = args.url(*port);
        if other.name() == "accounts" {
            flags.push(format!("--jwks-url={url}/.well-known/jwks.json"));
        }
        if service.peers().any(|peer| peer == other.name()) {
            flags.push(format!("--{}-url={url}/graphql", other.name()));
        }
    }
    let mut config = service.config_from(flags)?;
    if !config.trusted_proxies.is_empty() {
        // A proxy's word comes through the router, which is here
        config.trusted_proxies.push(args.reachable().into());
    }
    Ok(config)
}

fn router_options(args: &UpArgs, services: &[(Subgraph, u16)], binary: PathBuf) -> Result<RouterOptions> {
    let settings = args.settings()?;
    let folder = args.data_dir.join("router");
    fs::create_dir_all(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    let (config, supergraph) = (folder.join("router.yaml"), folder.join("supergraph.graphql"));
    let scripts = folder.join("rhai");
    compose::replace(&scripts.join("main.rhai"), router::EMBEDDED_SCRIPT)?;
    compose::replace(&config, router::EMBEDDED_CONFIG)?;
    compose::replace(&supergraph, router::EMBEDDED_SUPERGRAPH)?;
    let development = args.environment == Environment::Development;
    // Without origins: localhost in development, nobody in production
    let cors = (!development || !settings.cors_origins.is_empty())
        .then(|| router::cors_pattern(&settings.cors_origins));
    Ok(RouterOptions {
        binary,
        config,
        supergraph,
        scripts,
        traces: settings.telemetry.traces()?.map(|url| (url.into(), settings.telemetry.share_of_new())),
        subgraphs: subgraph_urls(args, services),
        listen: args.address(args.port),
        health: args.address(args.health_port),
        log: folder.join("router.log"),
        bind_with: Some(std::env::current_exe().context("cannot find this program's own file")?),
        introspection: development,
        cors,
        ready_within: ROUTER_START,
    })
}

/// Where the subgraphs really answer.
fn subgraph_urls(args: &UpArgs, services: &[(Subgraph, u16)]) -> Vec<(&'static str, String)> {
    let url = |port| format!("{}/graphql", args.url(port));
    services.iter().map(|(service, port)| (service.name(), url(*port))).collect()
}

/// Waits for the first service that ends by itself.
async fn any_ended(running: &mut [Named]) -> anyhow::Error {
    let waits = running.iter_mut().map(|(name, service)| {
        Box::pin(async move { service.ended().await.context(format!("{name} failed")) })
    });
    select_all(waits).await.0
}

fn print_table(args: &UpArgs, services: &[(Subgraph, u16)], demo: bool) {
    let router = args.url(args.port);
    println!("\nLeadgraph is running. Ctrl-C stops it.\n");
    println!("  {:<14} {router}/graphql", "GraphQL");
    println!("  {:<14} {}/health", "router health", args.url(args.health_port));
    for (service, port) in services {
        println!("  {:<14} {}/graphql", service.name(), args.url(*port));
    }
    println!("  {:<14} {}", "data", args.data_dir.display());
    if demo {
        println!("  {:<14} test@example.com / password", "demo login");
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        up: UpArgs,
    }

    #[test]
    fn a_small_offset_moves_each_subgraph_to_its_own_port() {
        let up = Cli::parse_from(["up", "--port-offset=1"]).up;
        let urls = subgraph_urls(&up, &up.services().unwrap());
        assert_eq!(urls[1], ("leads", "http://127.0.0.1:4003/graphql".to_owned()));
        assert_eq!(urls.len(), services::all().len());
    }

    #[test]
    fn two_launchers_cannot_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let up = Cli::parse_from(["up", "--data-dir", folder.path().to_str().unwrap()]).up;
        let first = lock_folder(&up).unwrap();
        let second = lock_folder(&up).unwrap_err().to_string();
        assert!(second.contains("another Leadgraph runs"), "{second}");
        drop(first);
        lock_folder(&up).unwrap();
    }
}
