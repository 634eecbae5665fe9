//! Runs a command with throw-away servers: `with-servers [--nats] [--] COMMAND ARGS..`.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use testkit::servers::Servers;
use testkit::tethered;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How long a command may take to end once it has been asked to.
const GRACE: Duration = Duration::from_secs(10);

/// Starts an empty PostgreSQL on a free port, runs a command that finds it in `LEADGRAPH_TEST_POSTGRES`, stops
/// it, and exits as the command did.
#[derive(Parser)]
struct Arguments {
    /// Also start NATS with JetStream; the command finds it in `LEADGRAPH_TEST_NATS`
    #[arg(long)]
    nats: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

// One thread, which is the main one: the servers die with the thread that started them
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("with-servers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The exit code of the command.
async fn serve(arguments: Arguments) -> Result<u8> {
    // Before the servers: a signal that comes while they start is taken when they have
    let stop = stop_signal()?;
    let servers = Servers::start(arguments.nats).await?;
    let outcome = run(&arguments.command, &servers, stop).await;
    servers.stop()?;
    outcome
}

/// Completes with the number of the first SIGINT or SIGTERM.
fn stop_signal() -> io::Result<impl Future<Output = u8>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
        }
    })
}

/// The exit code of the command, as a shell reports it: 128 and the signal that ended it.
async fn run(command: &[OsString], servers: &Servers, stop: impl Future<Output = u8>) -> Result<u8> {
    let (program, args) = command.split_first().context("no command")?;
    let mut command = Command::from(tethered(program, "TERM"));
    command.args(args).envs(servers.variables().map(|(name, value)| (name, value)));
    // In a terminal the command stays in this group, so that it may read and Ctrl-C reaches it
    let own_group = !io::stdin().is_terminal();
    if own_group {
        command.process_group(0);
    }
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    tokio::select! {
        status = child.wait() => Ok(exit_code(status?)),
        number = stop => {
            end(&mut child, own_group).await?;
            Ok(128 + number)
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Asks the command, and what it started where that is known, to end; insists after a while.
async fn end(child: &mut Child, own_group: bool) -> Result<()> {
    for (kind, patience) in [(Signal::TERM, GRACE), (Signal::KILL, Duration::MAX)] {
        let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return Ok(()) };
        let sent = if own_group { kill_process_group(pid, kind) } else { kill_process(pid, kind) };
        sent.context("cannot stop the command")?;
        if let Ok(status) = timeout(patience, child.wait()).await {
            status?;
            break;
        }
    }
    Ok(())
}
