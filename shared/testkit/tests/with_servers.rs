//! `with-servers`, looked at from outside: what it hands over, and what it leaves behind.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// `with-servers` in a temporary folder that shows what it leaves behind.
struct Run {
    folder: TempDir,
    command: Command,
}

impl Run {
    fn of_shell(script: &str) -> Self {
        Self::of(&["sh", "-c", script])
    }

    fn of(command_line: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // PostgreSQL's account has to get through
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))
            .expect("permissions of one's own folder");
        let mut command = Command::new(testkit::binary("with-servers"));
        command.arg("--").args(command_line).env("TMPDIR", folder.path()).stdin(Stdio::null());
        Self { folder, command }
    }

    fn output(&mut self) -> Output {
        self.command.output().expect("with-servers starts")
    }

    /// Starts it and waits until the command has printed where the server is.
    fn started(&mut self) -> (Child, BufReader<ChildStdout>, String) {
        let mut child = self.command.stdout(Stdio::piped()).spawn().expect("with-servers starts");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut url = String::new();
        output.read_line(&mut url).expect("the command prints a line");
        assert!(answers(&url), "a server at {url}");
        (child, output, url)
    }

    fn left_behind(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

/// Whether something listens where `postgres://postgres@HOST:PORT/postgres` says.
fn answers(url: &str) -> bool {
    let address = url.split(['/', '@']).nth(3).expect("an address");
    TcpStream::connect(address).is_ok()
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "not after 20 s: {what}");
        sleep(Duration::from_millis(20));
    }
}

const SHOW_AND_STAY: &str = "echo $LEADGRAPH_TEST_POSTGRES; exec sleep 600";

#[test]
fn exits_as_the_command_did_and_leaves_nothing() {
    let mut run = Run::of_shell("ls $TMPDIR; echo $LEADGRAPH_TEST_POSTGRES; exit 7");
    let output = run.output();

    let printed = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines.len(), 2, "one folder and one URL: {lines:?}");
    assert!(!answers(lines[1]), "{} is still there", lines[1]);
    assert_eq!(run.left_behind(), [""; 0]);
}

#[test]
fn a_signal_ends_the_command_and_leaves_nothing() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut run = Run::of_shell(SHOW_AND_STAY);
        let (mut child, mut output, url) = run.started();
        kill_process(Pid::from_child(&child), signal).expect("a child can be signalled");

        assert_eq!(child.wait().expect("a child").code(), Some(code));
        assert!(!answers(&url), "{url} is still there");
        assert_eq!(run.left_behind(), [""; 0]);
        assert_eq!(output.read_line(&mut String::new()).expect("a pipe"), 0, "the command is gone");
    }
}

#[test]
fn killed_it_leaves_nothing_either() {
    let mut run = Run::of_shell(SHOW_AND_STAY);
    let (mut child, mut output, url) = run.started();
    child.kill().expect("a child can be killed");
    child.wait().expect("a child");

    assert_eq!(output.read_line(&mut String::new()).expect("a pipe"), 0, "the command is gone");
    eventually("the server is gone", || !answers(&url));
    eventually("the folder is gone", || run.left_behind().is_empty());
}

#[test]
fn with_nats_the_command_finds_it_too() {
    let mut command = Command::new(testkit::binary("with-servers"));
    command.args(["--nats", "--", "sh", "-c", "echo $LEADGRAPH_TEST_NATS; exec sleep 600"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("with-servers starts");
    let mut url = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut url).expect("a line");
    let address = url.trim().strip_prefix("nats://").expect("an address of NATS").to_owned();
    assert!(TcpStream::connect(&address).is_ok(), "NATS at {address}");

    kill_process(Pid::from_child(&child), Signal::TERM).expect("a child can be signalled");
    child.wait().expect("a child");
    assert!(TcpStream::connect(&address).is_err(), "{address} is still there");
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let mut run = Run::of(&["no-such-command"]);
    let output = run.output();

    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(127), "{said}");
    assert!(said.contains("no-such-command"), "{said}");
    assert_eq!(run.left_behind(), [""; 0]);
}

#[test]
fn binary_finds_what_is_built() {
    let path = testkit::binary("with-servers");
    assert_eq!(path, Path::new(env!("CARGO_BIN_EXE_with-servers")));
}

#[test]
#[should_panic(expected = "run `cargo build --workspace` first")]
fn binary_says_how_to_build_what_is_not() {
    let _ = testkit::binary("no-such-program");
}
