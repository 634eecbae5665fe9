//! Processes that cannot outlive the one that started them.

use std::ffi::OsStr;
use std::process::Command;

/// A command for `program` that gets `signal` (as `setpriv` spells it: `TERM`, `KILL`) when its parent dies,
/// however it dies.
///
/// The kernel sends it when the *thread* that started the child ends, so start it from one that lasts.
/// Only Linux has this; elsewhere the program is started as it is.
#[must_use]
pub fn tethered(program: impl AsRef<OsStr>, signal: &str) -> Command {
    setpriv(program, signal, &[])
}

/// As [`tethered`], under the account `user` where this process is root.
pub(crate) fn tethered_as(user: &str, program: impl AsRef<OsStr>, signal: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        setpriv(program, signal, &["--reuid", user, "--regid", user, "--clear-groups"])
    } else {
        setpriv(program, signal, &[])
    }
}

fn setpriv(program: impl AsRef<OsStr>, signal: &str, account: &[&str]) -> Command {
    if !cfg!(target_os = "linux") {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]).args(account).arg("--").arg(program);
    command
}
