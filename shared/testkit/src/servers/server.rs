//! One server: its process, its port and its files.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::time::sleep;

use super::port::Port;
use super::{nats, postgres};
use crate::process::{POLL, spawn_from_lasting_thread, tail};

/// Servers of a second's work that need longer than this are broken.
const DEADLINE: Duration = Duration::from_mins(1);

/// What runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Nats,
    Postgres {
        /// Whether it keeps what it has committed when the machine fails, which costs time.
        durable: bool,
    },
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Nats => "NATS",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    fn log(self) -> &'static str {
        match self {
            Self::Nats => "nats.log",
            Self::Postgres { .. } => "postgres.log",
        }
    }

    /// What ends it without waiting for its clients.
    fn stop_signal(self) -> Signal {
        match self {
            Self::Nats => Signal::KILL,
            Self::Postgres { .. } => Signal::INT,
        }
    }

    fn command(self, folder: &Path, port: u16) -> Result<Command> {
        match self {
            Self::Nats => nats::command(folder, port),
            Self::Postgres { durable } => postgres::command(folder, port, durable),
        }
    }
}

/// A server, which is stopped when this is dropped or its owner dies.
#[derive(Debug)]
pub(super) struct Server {
    kind: Kind,
    folder: PathBuf,
    port: Port,
    child: Child,
}

impl Server {
    /// Starts it with its files in this folder; [`Server::ready`] waits until it answers.
    pub(super) fn spawn(kind: Kind, folder: &Path) -> Result<Self> {
        let port = Port::claim()?;
        let child = spawn(kind, folder, port.number)?;
        Ok(Self { kind, folder: folder.to_owned(), port, child })
    }

    /// Starts it again where it was.
    pub(super) fn spawn_again(&mut self) -> Result<()> {
        ensure!(!self.is_running(), "{} still runs", self.kind.name());
        self.child = spawn(self.kind, &self.folder, self.port.number)?;
        Ok(())
    }

    /// Connects as a client does, again and again.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let start = Instant::now();
        let name = self.kind.name();
        while let Err(error) = self.answers().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{name} ended with {status}:\n{}", self.tail());
            }
            ensure!(start.elapsed() < DEADLINE, "{name} does not answer: {error:#}\n{}", self.tail());
            sleep(POLL).await;
        }
        Ok(())
    }

    async fn answers(&self) -> Result<()> {
        match self.kind {
            Kind::Nats => nats::answers(self.port.number).await,
            Kind::Postgres { .. } => postgres::answers(&self.url()).await,
        }
    }

    pub(super) fn url(&self) -> String {
        match self.kind {
            Kind::Nats => nats::url(self.port.number),
            Kind::Postgres { .. } => postgres::url(self.port.number),
        }
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal, unless it has ended.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<()> {
        // Once it has been waited for, its id may be another process's
        if self.is_running() {
            kill_process(Pid::from_child(&self.child), signal)
                .with_context(|| format!("cannot signal {}", self.kind.name()))?;
        }
        Ok(())
    }

    /// Makes it stop where it is, and returns when it has: the signal alone takes a while to reach every thread.
    pub(super) fn pause(&mut self) -> Result<()> {
        ensure!(self.is_running(), "{} has ended", self.kind.name());
        self.signal(Signal::STOP)?;
        let stopped_or_ended = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.child)), stopped_or_ended)?;
        Ok(())
    }

    /// Sends it a signal that ends it, and waits until it has.
    pub(super) fn end(&mut self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        self.child.wait()?;
        Ok(())
    }

    fn tail(&self) -> String {
        tail(&fs::read_to_string(self.folder.join(self.kind.log())).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody is left to hear of it
        let _ = self.end(self.kind.stop_signal());
    }
}

fn spawn(kind: Kind, folder: &Path, port: u16) -> Result<Child> {
    let mut command = kind.command(folder, port)?;
    let log = File::options().create(true).append(true).open(folder.join(kind.log()))?;
    command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // A group of its own: Ctrl-C in a terminal is for the command, which may need the server while it ends
    command.process_group(0);
    spawn_from_lasting_thread(command).with_context(|| format!("cannot start {}", kind.name()))
}
