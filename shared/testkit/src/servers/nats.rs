//! NATS with JetStream and the shipped configuration.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::folder::Folder;
use super::server::{Kind, Server};
use crate::tethered::tethered;

/// Names the program; set by ./test.
const PROGRAM_VARIABLE: &str = "NATS_SERVER";
/// The configuration the product ships.
const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nats/nats-server.conf");

/// A NATS of the test's own, stopped and removed when this is dropped or the test's process dies.
#[derive(Debug)]
pub struct Nats {
    // Dropped before its folder
    server: Server,
    folder: Folder,
}

impl Nats {
    /// Starts one without data, and waits until it answers.
    ///
    /// # Panics
    /// When it is not installed or does not start, with the end of its log.
    pub async fn start() -> Self {
        let folder = Folder::create().expect("a temporary folder");
        let server = Server::spawn(Kind::Nats, folder.path()).unwrap_or_else(|error| panic!("{error:#}"));
        let mut nats = Self { server, folder };
        nats.ready().await;
        nats
    }

    /// Where it is, as `NATS_URL` takes it; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Ends it at once, as a crash would (SIGKILL).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&mut self) {
        self.server.end(Signal::KILL).expect("a child can be killed");
    }

    /// Starts it again on the same port with the data it has, killed first where it runs, and waits until it
    /// answers.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    pub async fn restart(&mut self) {
        self.kill();
        self.server.spawn_again().unwrap_or_else(|error| panic!("{error:#}"));
        self.ready().await;
    }

    /// Removes all its data.
    ///
    /// # Panics
    /// While it runs.
    pub fn wipe(&mut self) {
        assert!(!self.server.is_running(), "kill it before its data goes");
        fs::remove_dir_all(data(self.folder.path())).expect("its data");
    }

    /// Makes it stop answering while its connections stay (SIGSTOP).
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&mut self) {
        self.server.pause().expect("a child can be stopped");
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn resume(&mut self) {
        self.server.signal(Signal::CONT).expect("a child can be signalled");
    }

    async fn ready(&mut self) {
        self.server.ready().await.unwrap_or_else(|error| panic!("{error:#}"));
    }
}

pub(super) fn url(port: u16) -> String {
    format!("nats://{}:{port}", Ipv4Addr::LOCALHOST)
}

pub(super) fn command(folder: &Path, port: u16) -> Result<Command> {
    let mut command = tethered(program()?, "KILL");
    command.args(["-c", CONFIGURATION, "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]);
    command.arg(data(folder));
    Ok(command)
}

/// It greets its clients as soon as it takes requests.
pub(super) async fn answers(port: u16) -> Result<()> {
    let mut greeting = [0; 4];
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?.read_exact(&mut greeting).await?;
    ensure!(&greeting == b"INFO", "it does not speak NATS");
    Ok(())
}

fn data(folder: &Path) -> PathBuf {
    folder.join("nats")
}

/// The program: what ./test found or installed, also for tests that run without it.
fn program() -> Result<PathBuf> {
    if let Some(program) = env::var_os(PROGRAM_VARIABLE) {
        return Ok(program.into());
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(env::home_dir()?.join(".cache"))).context("there is no home folder")?;
    let tools = fs::read_dir(cache.join("leadgraph/tools")).into_iter().flatten().flatten();
    let installed = tools.map(|entry| entry.path().join("nats-server")).filter(|path| path.is_file());
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|folder| folder.join("nats-server"));
    installed.chain(in_path).find(|path| path.is_file()).with_context(|| {
        format!("there is no nats-server in PATH: ./test installs it, or name it with {PROGRAM_VARIABLE}")
    })
}
