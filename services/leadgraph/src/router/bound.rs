//! Ties a program's life to the process that started it.
//!
//! `leadgraph exec-bound --parent PID -- PROGRAM ARGS` asks the kernel to signal it when its parent dies and then
//! becomes PROGRAM. The detour is there because the request must be made in the child, and running code between
//! `fork` and `exec` is unsafe.

use std::{
    convert::Infallible,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{self, Command as StdCommand},
    thread,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::process::Command;

/// The subcommand's name, which the launcher's command line must use for [`BoundArgs`].
pub const SUBCOMMAND: &str = "exec-bound";

/// Arguments of the hidden subcommand `exec-bound`.
#[derive(Args, Clone, Debug)]
pub struct BoundArgs {
    /// Process id of who started this; nothing is run if it is gone already
    #[arg(long)]
    pub parent: u32,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// A command that runs `program` bound to this process when `binder` is the `leadgraph` binary, else just runs it.
pub(crate) fn command(binder: Option<&Path>, program: &Path) -> Result<Command> {
    let Some(binder) = binder else { return Ok(Command::new(program)) };
    // The runtime's own threads are named otherwise; see `Router::start`
    ensure!(
        thread::current().name() == Some("main"),
        "a bound process must be started from the main thread: it would end with the thread, not with the process"
    );
    let mut command = Command::new(binder);
    command.arg(SUBCOMMAND).arg("--parent").arg(process::id().to_string()).arg("--").arg(program);
    Ok(command)
}

/// Becomes the program in `args`, which gets SIGTERM when the thread that spawned this process ends.
///
/// Linux only; elsewhere the program runs unbound.
///
/// # Errors
/// The parent is gone, the kernel refuses, or the program cannot be run; this never returns otherwise.
pub fn exec_bound(args: &BoundArgs) -> Result<Infallible> {
    bind(args.parent)?;
    let (program, rest) = args.command.split_first().context("no program to run")?;
    let mut command = StdCommand::new(program);
    command.args(rest);
    Err(command.exec()).with_context(|| format!("cannot run {}", program.display()))
}

#[cfg(target_os = "linux")]
fn bind(parent: u32) -> Result<()> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot bind to the parent process")?;
    // A parent that died before the call above sends no signal any more
    ensure!(
        getppid() == Pid::from_raw(parent.cast_signed()),
        "process {parent}, which started this, is gone already"
    );
    Ok(())
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same form as on Linux")]
fn bind(_parent: u32) -> Result<()> {
    Ok(())
}
