//! The command line every service binary has.

use crate::{builder::Subgraph, config::Config, descriptors, telemetry};
use anyhow::{Context, bail, ensure};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, builder::Resettable};
use secrecy::ExposeSecret;
use std::{net::SocketAddr, process::ExitCode, time::Duration};

/// Runs a service binary: `serve | migrate | schema | healthcheck`.
pub fn main(subgraph: &Subgraph) -> ExitCode {
    let matches = subgraph.cli().get_matches();
    match run(subgraph, &matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", subgraph.name);
            ExitCode::FAILURE
        }
    }
}

fn run(subgraph: &Subgraph, matches: &ArgMatches) -> anyhow::Result<()> {
    let name = subgraph.name;
    match matches.subcommand() {
        Some(("schema", _)) => {
            print!("{}", subgraph.sdl());
            Ok(())
        }
        Some(("healthcheck", _)) => block_on(healthcheck(subgraph.config(matches)?)),
        Some(("migrate", migrate)) => block_on(self::migrate(subgraph, subgraph.config(matches)?, migrate)),
        Some(("serve", _)) | None => block_on(serve(subgraph, subgraph.config(matches)?)),
        Some((other, own)) => {
            let command = subgraph.commands.iter().find(|(command, ..)| *command == other);
            let (.., run) = command.with_context(|| format!("{name} has no command {other}"))?;
            let words: Vec<String> = own.get_many("words").into_iter().flatten().cloned().collect();
            run(&subgraph.config(matches)?, &words)
        }
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

impl Subgraph {
    /// The command line of this service's binary.
    pub fn cli(&self) -> Command {
        let name = self.name;
        let steps = Arg::new("steps").value_parser(clap::value_parser!(u32)).default_value("1");
        let migrate =
            Command::new("migrate").about("Changes the database's schema").subcommand_required(true);
        let migrate = migrate
            .subcommand(Command::new("up").about("Applies what is missing"))
            .subcommand(Command::new("down").about("Reverts the last migrations").arg(steps.help("How many")))
            .subcommand(Command::new("status").about("Shows what is applied"));
        let mut command = self
            .arguments(Command::new(name))
            .version(env!("CARGO_PKG_VERSION"))
            .about(format!("The {name} subgraph of Leadgraph"))
            .subcommand(Command::new("serve").about("Serves the subgraph [default]"))
            .subcommand(migrate)
            .subcommand(Command::new("schema").about("Prints the federation SDL; needs no database"))
            .subcommand(Command::new("healthcheck").about("Succeeds when the running service is ready"));
        for (name, about, _) in &self.commands {
            let words = Arg::new("words").num_args(0..).help("What to do");
            command = command.subcommand(Command::new(*name).about(*about).arg(words));
        }
        command
    }

    /// Adds this service's flags, each with its environment variable.
    fn arguments(&self, command: Command) -> Command {
        let prefix = self.name.to_uppercase();
        let mut command = Config::augment_args(command)
            .mut_arg("port", |arg| arg.required(false).default_value(self.port.to_string()))
            .mut_arg("database_url", |arg| arg.env(format!("{prefix}_DATABASE_URL")));
        for (peer, port) in &self.peers {
            let url = Arg::new(*peer).long(format!("{peer}-url")).env(format!("{}_URL", peer.to_uppercase()));
            let url = url.default_value(format!("http://127.0.0.1:{port}/graphql"));
            command = command.arg(url.help(format!("Where the {peer} subgraph answers")));
        }
        for extra in &self.extra_args {
            let arg = Arg::new(extra.flag).long(extra.flag).env(extra.env).hide_env_values(true);
            command = command.arg(arg.help(extra.help));
        }
        // `serve --port 1` and `--port 1 serve` are the same
        ignore_empty_variables(command.mut_args(|arg| arg.global(true)))
    }

    /// The configuration in parsed arguments.
    fn config(&self, matches: &ArgMatches) -> anyhow::Result<Config> {
        let mut config = Config::from_arg_matches(matches)?;
        let urls =
            self.peers.iter().filter_map(|(peer, _)| Some((*peer, matches.get_one::<String>(peer)?.clone())));
        config.peers = urls.collect();
        ensure!(
            !config
                .shared_database_url
                .as_ref()
                .is_some_and(|url| url.expose_secret().starts_with("sqlite:")),
            "DATABASE_URL is for Postgres, where each service has a schema; for SQLite set LEADGRAPH_DATA_DIR, or \
             {}_DATABASE_URL for one service",
            self.name.to_uppercase()
        );
        let flags = self.extra_args.iter().map(|extra| extra.flag);
        config.extra =
            flags.filter_map(|f| Some((f, matches.get_one::<String>(f)?.clone().into()))).collect();
        Ok(config)
    }

    /// The configuration from the environment and these flags, as the binary would have it.
    ///
    /// # Errors
    /// When a flag is unknown or a value malformed.
    pub fn config_from<I: IntoIterator<Item: Into<String>>>(&self, flags: I) -> anyhow::Result<Config> {
        let words = std::iter::once(self.name.to_owned()).chain(flags.into_iter().map(Into::into));
        self.config(&self.cli().try_get_matches_from(words)?)
    }
}

async fn serve(subgraph: &Subgraph, config: Config) -> anyhow::Result<()> {
    telemetry::init(config.log_format(), "warn,leadgraph=info");
    descriptors::raise_limit();
    subgraph.findings(&config).warn();
    // Listened for from the beginning: who sees it ready may ask it to stop at once
    let mut stop = std::pin::pin!(stop_signal());
    let mut running = tokio::select! {
        biased;
        signal = &mut stop => return signal,
        started = subgraph.start(config) => started?,
    };
    tracing::info!(target: "leadgraph", subgraph = subgraph.name, addr = %running.addr, "serving");
    tokio::select! {
        error = running.ended() => Err(error),
        signal = &mut stop => {
            signal?;
            tracing::info!(target: "leadgraph", subgraph = subgraph.name, "stopping");
            running.stop().await
        }
    }
}

/// Makes a variable that is set but empty count as not set, as compose files write it.
pub fn ignore_empty_variables(command: Command) -> Command {
    let unset = |arg: Arg| match arg.get_env().map(std::env::var_os) {
        Some(Some(value)) if value.is_empty() => arg.env(Resettable::Reset),
        _ => arg,
    };
    command.mut_args(unset).mut_subcommands(ignore_empty_variables)
}

/// Waits until the process is asked to stop, by Ctrl-C or SIGTERM.
///
/// # Errors
/// When the operating system does not let us listen for signals.
pub async fn stop_signal() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn migrate(subgraph: &Subgraph, config: Config, matches: &ArgMatches) -> anyhow::Result<()> {
    let (name, migrations) = (subgraph.name, subgraph.migrations);
    match matches.subcommand() {
        Some(("up", _)) => {
            let applied = migrations.up(name, &config).await?;
            for migration in &applied {
                println!("applied {migration}");
            }
            if applied.is_empty() {
                println!("{name} is up to date");
            }
        }
        Some(("down", down)) => {
            let steps = *down.get_one::<u32>("steps").unwrap_or(&1);
            let reverted = migrations.down(name, &config, steps).await?;
            for migration in reverted {
                println!("reverted {migration}");
            }
        }
        Some(("status", _)) => {
            let Some(all) = migrations.report(name, &config).await? else {
                println!("{name} has no database yet");
                return Ok(());
            };
            for (migration, applied) in all {
                println!("{} {migration}", if applied { "applied" } else { "missing" });
            }
        }
        _ => bail!("say up, down or status"),
    }
    Ok(())
}

async fn healthcheck(config: Config) -> anyhow::Result<()> {
    // A service that listens on every address is asked through this machine's own
    let ip = if config.listen_addr.is_unspecified() { [127, 0, 0, 1].into() } else { config.listen_addr };
    let url = format!("http://{}/health/ready", SocketAddr::new(ip, config.port));
    let answer = crate::http::client()?.get(&url).timeout(Duration::from_secs(3)).send().await;
    let answer = answer.with_context(|| format!("nothing answers at {url}"))?;
    let (status, text) = (answer.status(), answer.text().await?);
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    println!("{text}");
    Ok(())
}
