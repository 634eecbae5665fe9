//! The commands that end by themselves: `leadgraph migrate` and `leadgraph router install`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use testkit::Service;

/// What takes longer than this does not happen, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_leadgraph").into()
}

/// `leadgraph migrate` without the settings of whoever runs the tests.
fn migrate(what: &str, data: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["migrate", what, "--data-dir"]).arg(data).env_clear();
    command
}

#[track_caller]
fn until(mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !happened() {
        assert!(Instant::now() < deadline, "it does not happen");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn asking_for_the_status_makes_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = migrate("status", &data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), 6, "{said}");
    assert!(said.lines().all(|line| line.ends_with(": no database yet")), "{said}");
    assert!(!data.exists());
}

#[test]
fn a_reader_that_has_seen_enough_stops_no_migration() {
    let data = tempfile::tempdir().unwrap();
    for what in ["up", "status"] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = migrate(what, data.path()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let status = migrate("status", data.path()).output().unwrap();
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("accounts: applied ") && said.contains("notifications: applied "), "{said}");
    assert!(!said.contains("missing"), "{said}");
}

/// A `leadgraph router install` that builds, and the processes that takes: cargo and a compiler that it started.
/// The folder is theirs.
fn build() -> (Service, Vec<Pid>, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let (cargo, ids) = (folder.path().join("cargo"), folder.path().join("ids"));
    // Written by another process, since a child forked meanwhile would keep a file of ours from being run
    let write =
        "printf '#!/bin/sh\nsleep 60 & echo $$ $! > \"%s\"; wait\n' \"$1\" > \"$0\"; chmod 755 \"$0\"";
    let written = Command::new("sh").args(["-c", write]).args([&cargo, &ids]).status();
    assert!(written.is_ok_and(|status| status.success()));
    let path = env::join_paths([folder.path(), Path::new("/usr/bin"), Path::new("/bin")]).expect("a PATH");
    let environment = [("PATH", path), ("XDG_CACHE_HOME", folder.path().join("cache").into())];
    let launcher = Service::spawn(program(), ["router", "install"], environment);
    let read = || fs::read_to_string(&ids).unwrap_or_default();
    until(|| read().ends_with('\n'));
    (launcher, read().split_whitespace().map(|id| pid(id.parse().expect("an id"))).collect(), folder)
}

fn has_ended(id: Pid) -> bool {
    // A zombie stays where nobody waits for orphans, as in some containers
    let zombie = || {
        fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero()))
            .is_ok_and(|stat| stat.contains(") Z "))
    };
    test_kill_process(id).is_err() || zombie()
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed()).expect("an id")
}

#[test]
fn a_stopped_launcher_ends_the_build() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut launcher, build, _folder) = build();
        kill_process(pid(launcher.id()), signal).unwrap();
        until(|| !launcher.is_running());
        assert!(
            launcher.log().ends_with("leadgraph: stopped before the router was there\n"),
            "{}",
            launcher.log()
        );
        until(|| build.iter().copied().all(has_ended));
    }
}

/// The kernel does this on Linux; elsewhere nothing can.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_launcher_leaves_no_build() {
    let (mut launcher, build, _folder) = build();
    launcher.kill();
    until(|| build.iter().copied().all(has_ended));
}
