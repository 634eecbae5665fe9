//! The product's binaries as processes of their own, which a test can kill.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::tethered::tethered;

/// Between two looks at something that should happen soon.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// A process that takes longer to start or stop than this is broken, also on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);
/// How much of a log a failure shows, in lines.
const TAIL: usize = 40;

/// A running program with a folder of its own, killed when this is dropped or the test's process dies.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    folder: TempDir,
}

impl Service {
    /// Starts `program` in a temporary folder. Of the test's environment it sees only `PATH`, `HOME` and
    /// `TMPDIR`, so that a developer's own settings do not change what a test sees.
    ///
    /// # Panics
    /// When it does not start.
    pub fn spawn<A, K, V>(
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = A>,
        envs: impl IntoIterator<Item = (K, V)>,
    ) -> Self
    where
        A: AsRef<OsStr>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let program = program.as_ref();
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let folder =
            tempfile::Builder::new().prefix(&format!("leadgraph-{name}-")).tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log file");
        let mut command = tethered(program, "KILL");
        command.args(args).current_dir(folder.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle on the log")).stderr(log);
        command.env_clear().envs(kept_environment()).envs(envs);
        let child = spawn_from_lasting_thread(command)
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, child, folder }
    }

    /// Waits until a GET of `url` answers 200.
    ///
    /// # Panics
    /// When the process ends instead, or does not answer within a minute; with the end of its log.
    pub async fn wait_ready(&mut self, url: &str) {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build();
        let client = client.expect("a client without special options");
        let start = Instant::now();
        loop {
            let answer = match client.get(url).send().await {
                Ok(response) if response.status() == reqwest::StatusCode::OK => return,
                Ok(response) => {
                    format!("{} {}", response.status(), response.text().await.unwrap_or_default())
                }
                Err(error) => format!("{error:?}"),
            };
            if let Some(status) = self.child.try_wait().expect("the status of a child") {
                panic!("{} ended with {status} before {url} answered:\n{}", self.name, self.tail());
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{}: {url} is not ready after {DEADLINE:?}, last answer: {answer}\n{}",
                self.name,
                self.tail()
            );
            sleep(POLL).await;
        }
    }

    /// Ends it at once, as a power cut would (SIGKILL).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&mut self) -> ExitStatus {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("the status of a child")
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it is still there after a minute, with the end of its log.
    pub async fn terminate(&mut self) -> ExitStatus {
        // Until it has been waited for, the id is its own; afterwards there is nobody to ask
        if self.is_running() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a child can be signalled");
        }
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the status of a child") {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "{} ignores SIGTERM:\n{}", self.name, self.tail());
            sleep(POLL).await;
        }
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// When the system does not know.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the status of a child").is_none()
    }

    /// All it has written to standard output and standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.folder.path().join("log"))
            .map_or_else(|error| format!("no log: {error}"), |log| String::from_utf8_lossy(&log).into_owned())
    }

    /// The folder it runs in, removed with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn tail(&self) -> String {
        tail(&self.log())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails only where it has ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP port of the loopback address that nothing listens on now.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

/// The last lines of a log.
pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

fn kept_environment() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    ["PATH", "HOME", "TMPDIR"].into_iter().filter_map(|name| Some((name, env::var_os(name)?)))
}

/// What a test asks the lasting thread to start, and where it wants the answer.
type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Spawns from one thread that lives as long as this process: a child dies with the *thread* that started it,
/// and a test's thread may end while another test still uses the child.
pub(crate) fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    static ORDERS: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                // Nobody waits for the reply of a test that has ended meanwhile
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, child) = mpsc::channel();
    ORDERS.send((command, reply)).expect("the lasting thread lasts");
    child.recv().expect("the lasting thread answers")
}
