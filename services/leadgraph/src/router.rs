//! The Apollo Router as a child process that cannot outlive the launcher.

pub(crate) mod bound;

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Seek as _, SeekFrom},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{MissedTickBehavior, interval, timeout},
};

pub use bound::{BoundArgs, exec_bound};

/// The committed `router/router.yaml`, for running outside the checkout.
pub const EMBEDDED_CONFIG: &str = include_str!("../../../router/router.yaml");
/// The committed `router/supergraph.graphql`, for running outside the checkout.
pub const EMBEDDED_SUPERGRAPH: &str = include_str!("../../../router/supergraph.graphql");

/// The committed `router/rhai/main.rhai`, for running outside the checkout.
pub const EMBEDDED_SCRIPT: &str = include_str!("../../../router/rhai/main.rhai");

/// How often a starting router is asked whether it is ready.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// How long one such question may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of the log's end an error repeats, in bytes and lines.
const TAIL: (u64, usize) = (8 * 1024, 15);

/// How to run the router.
#[derive(Clone, Debug)]
pub struct RouterOptions {
    /// The router binary; see [`crate::provision::provision`].
    pub binary: PathBuf,
    /// `router.yaml`.
    pub config: PathBuf,
    /// The supergraph SDL; the router reloads it when it is replaced.
    pub supergraph: PathBuf,
    /// The folder of `main.rhai`.
    pub scripts: PathBuf,
    /// Where traces go, and the share of requests that is traced; `None` for no traces.
    pub traces: Option<(String, f64)>,
    /// Where each subgraph answers, by its name.
    pub subgraphs: Vec<(&'static str, String)>,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where `/health` answers.
    pub health: SocketAddr,
    /// Receives the router's output; emptied at each start.
    pub log: PathBuf,
    /// The `leadgraph` binary, whose `exec-bound` ties the router to this process even against `kill -9`. `None`
    /// runs the router directly: it then ends with the [`Router`] value, but not with a killed process.
    pub bind_with: Option<PathBuf>,
    /// Whether the schema may be read by anyone, with the sandbox as home page: development only.
    pub introspection: bool,
    /// Pattern of the browser origins that may call; see [`cors_pattern`]. `None` is localhost at any port.
    pub cors: Option<String>,
    /// How long the router may take until it is ready.
    pub ready_within: Duration,
}

/// A running router. Dropping it kills the process; [`Router::stop`] lets it finish its requests first.
#[derive(Debug)]
pub struct Router {
    child: Child,
    log: PathBuf,
}

impl Router {
    /// Starts the router and returns when it is ready.
    ///
    /// With [`RouterOptions::bind_with`], call this from the main thread, as `#[tokio::main]` does unless the call
    /// is inside a spawned task: the kernel ends the router when the *thread* that spawned it ends, not the process,
    /// and threads of the runtime come and go.
    ///
    /// # Errors
    /// A port is taken, a file is missing, the call is from the wrong thread, or the router ends or is not ready in
    /// time; the message then holds the end of its log.
    pub async fn start(options: &RouterOptions) -> Result<Self> {
        ensure_free(options.listen, "the Apollo Router", "--port")?;
        ensure_free(options.health, "the Apollo Router's health check", "--health-port")?;
        let child =
            command(options)?.spawn().with_context(|| format!("cannot run {}", options.binary.display()))?;
        let mut router = Self { child, log: options.log.clone() };
        let ready = timeout(options.ready_within, router.ready(options)).await;
        ready.unwrap_or_else(|_| {
            let waited = options.ready_within.as_secs();
            Err(anyhow!("the Apollo Router is not ready after {waited} s; {}", router.log_end()))
        })?;
        Ok(router)
    }

    /// Returns when the health endpoint says ready and the port for clients, which opens a moment later, takes
    /// connections; fails as soon as the process ends.
    async fn ready(&mut self, options: &RouterOptions) -> Result<()> {
        // A proxy named in the environment does not know the way to this machine's loopback
        let client = reqwest::Client::builder().timeout(PROBE_TIMEOUT).no_proxy().build()?;
        let url = format!("http://{}/health?ready", reachable(options.health));
        let mut tick = interval(PROBE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                status = self.child.wait() => {
                    bail!("the Apollo Router ended while starting ({}); {}", status?, self.log_end())
                }
                _ = tick.tick() => {}
            }
            if client.get(&url).send().await.is_ok_and(|response| response.status().is_success())
                && TcpStream::connect(reachable(options.listen)).await.is_ok()
            {
                return Ok(());
            }
        }
    }

    /// The process id, or `None` when it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the router to end by itself, which it should not; safe to use in `select!`.
    ///
    /// # Errors
    /// The operating system cannot say.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.context("cannot wait for the Apollo Router")
    }

    /// Asks the router to end, and kills it when it has not after `grace`.
    ///
    /// # Errors
    /// The process can be neither signalled nor waited for.
    pub async fn stop(mut self, grace: Duration) -> Result<ExitStatus> {
        terminate(&self.child)?;
        if let Ok(status) = timeout(grace, self.wait()).await {
            return status;
        }
        self.child.start_kill().context("cannot kill the Apollo Router")?;
        self.wait().await
    }

    /// Where the log is and how it ends, for an error message.
    pub fn log_end(&self) -> String {
        let end = tail(&self.log).unwrap_or_else(|error| format!("(unreadable: {error})"));
        format!("its log is {}\n{end}", self.log.display())
    }
}

/// The command line, with everything [`RouterOptions`] decides and `router.yaml` reads from the environment.
fn command(options: &RouterOptions) -> Result<Command> {
    let folder = options.log.parent().unwrap_or(Path::new(""));
    let log = fs::create_dir_all(folder)
        .and_then(|()| File::create(&options.log))
        .with_context(|| format!("cannot write the router's log, {}", options.log.display()))?;
    let mut command = bound::command(options.bind_with.as_deref(), &options.binary)?;
    command
        .arg("--config")
        .arg(&options.config)
        .arg("--supergraph")
        .arg(&options.supergraph)
        .arg("--hot-reload")
        .env("APOLLO_TELEMETRY_DISABLED", "1")
        .env("ROUTER_RHAI", &options.scripts)
        .env("ROUTER_LISTEN", options.listen.to_string())
        .env("ROUTER_HEALTH_LISTEN", options.health.to_string())
        .env("ROUTER_INTROSPECTION", options.introspection.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    if let Some(origins) = &options.cors {
        command.env("ROUTER_CORS_ORIGINS", origins);
    }
    command.env("ROUTER_OTLP", options.traces.is_some().to_string());
    // Without traces too: what is empty in the environment would be no number
    command.env(
        "OTEL_TRACES_SAMPLER_ARG",
        format!("{:?}", options.traces.as_ref().map_or(1.0, |(_, share)| *share)),
    );
    if let Some((endpoint, _)) = &options.traces {
        command.env("ROUTER_OTLP_ENDPOINT", endpoint);
    }
    // With these the router refuses to start
    for variable in ["ENDPOINT", "TRACES_ENDPOINT", "METRICS_ENDPOINT"] {
        command.env_remove(format!("OTEL_EXPORTER_OTLP_{variable}"));
    }
    command.envs(options.subgraphs.iter().map(|(name, url)| (format!("{}_URL", name.to_uppercase()), url)));
    // Ctrl-C reaches the whole group of the terminal; the launcher decides in which order things stop
    command.process_group(0);
    Ok(command)
}

/// Checks that `what` can listen on `address`.
///
/// # Errors
/// The port is taken, named with the option `how_to_change` it; or the address is not this machine's.
pub fn ensure_free(address: SocketAddr, what: &str, how_to_change: &str) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {} is taken, so {what} cannot listen on {address}; stop what uses it, or choose another port with \
             {how_to_change}",
            address.port()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("{what} cannot listen on {address} ({how_to_change})"))
        }
    }
}

/// The pattern for [`RouterOptions::cors`] that lets exactly `origins` in, such as `https://crm.example.com`.
pub fn cors_pattern(origins: &[impl AsRef<str>]) -> String {
    let escape = |origin: &str| {
        let escaped = origin.chars().flat_map(|c| {
            let special = !c.is_alphanumeric() && !matches!(c, ':' | '/' | '-');
            special.then_some('\\').into_iter().chain([c])
        });
        escaped.collect::<String>()
    };
    let origins: Vec<_> =
        origins.iter().map(|origin| escape(origin.as_ref().trim_end_matches('/'))).collect();
    format!(r"^(?:{})\z", origins.join("|"))
}

/// `0.0.0.0` can be listened on but not, everywhere, be connected to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn terminate(child: &Child) -> Result<()> {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    pid.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM)).context("cannot signal the Apollo Router")
}

/// The last lines of `file`, without reading all of it.
fn tail(file: &Path) -> std::io::Result<String> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL.0)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL.1)..].join("\n"))
}

#[cfg(test)]
mod tests;
