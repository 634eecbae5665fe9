//! The program a newcomer starts: what it prints, what it keeps, and that it leaves nothing behind.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use testkit::supergraph::router_binary;
use testkit::{PortRow, Service, is_free};
use tokio::time::sleep;

/// From an empty folder to the table of URLs, in a debug build on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// After a crash the router finishes what it has, and lets go of its port.
const GONE_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test]
async fn it_starts_from_nothing_keeps_what_was_done_and_leaves_nothing_behind() {
    let ports = PortRow::free();
    let folder = tempfile();
    let data = folder.path().join("not/there/yet");
    let mut first = start(&data, ports).await;
    assert_eq!(table(&first.log()), expected_table(ports, &data));
    let token = login(ports).await;
    let created = ask(
        ports,
        &token,
        "mutation { createLead(input: {firstName: \"John\", lastName: \"Doe\", email: \"john@example.com\"}) { id } }",
    );
    assert_eq!(created.await["data"]["createLead"]["id"], "16");
    let children = children(first.id());
    assert_eq!(children.len(), 1, "the router: {children:?}");
    let status = first.terminate().await;
    assert_eq!(status.code(), Some(0), "after SIGTERM: {}", first.log());
    assert_gone(&children, ports, Duration::ZERO).await;

    let mut second = start(&data, ports).await;
    assert_eq!(table(&second.log()), expected_table(ports, &data));
    // The old token counts, so the keys were kept; there are no second demo leads
    let leads = ask(ports, &token, "{ leads(limit: 100) { email } lead(id: 16) { firstName } }").await;
    assert_eq!(leads["data"]["lead"]["firstName"], "John", "{leads:#}");
    assert_eq!(leads["data"]["leads"].as_array().unwrap().len(), 16);
    login(ports).await;
    kill_process(pid(second.id()), Signal::INT).unwrap();
    let status = second.terminate().await;
    assert_eq!(status.code(), Some(0), "after Ctrl-C: {}", second.log());
    assert_gone(&[], ports, Duration::ZERO).await;
}

#[tokio::test]
async fn a_killed_launcher_leaves_no_router() {
    let (ports, folder) = (PortRow::free(), tempfile());
    let mut launcher = start(folder.path(), ports).await;
    let children = children(launcher.id());
    assert_eq!(children.len(), 1, "the router: {children:?}");
    launcher.kill();
    assert_gone(&children, ports, GONE_WITHIN).await;
}

#[tokio::test]
async fn a_launcher_whose_router_dies_says_so_and_ends() {
    let (ports, folder) = (PortRow::free(), tempfile());
    let mut launcher = start(folder.path(), ports).await;
    let router = children(launcher.id());
    kill_process(pid(router[0]), Signal::KILL).unwrap();
    let deadline = Instant::now() + GONE_WITHIN;
    while launcher.is_running() {
        assert!(Instant::now() < deadline, "it goes on without a router");
        sleep(Duration::from_millis(20)).await;
    }
    let log = launcher.log();
    assert!(log.contains("leadgraph: the router ended by itself (signal: 9 (SIGKILL))"), "{log}");
    assert_gone(&router, ports, Duration::ZERO).await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_to_another() {
    let ports = PortRow::free();
    for (port, what, option) in [
        (ports.router(), "the router", "--port"),
        (ports.health(), "the router's health check", "--health-port"),
        (ports.router() + 1, "accounts", "--port-offset"),
        (ports.router() + 6, "notifications", "--port-offset"),
    ] {
        let folder = tempfile();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let said = refused(&ports.up(folder.path()), &router_binary());
        let expected = format!(
            "leadgraph: port {port} is taken, so {what} cannot listen on 127.0.0.1:{port}; stop what uses it, or choose \
             another port with {option}\n"
        );
        assert_eq!(said, expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was begun");
        drop(taken);
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // Below a file nobody can write, not even root
    let data = file.join("data");
    let said = refused(&PortRow::free().up(&data), &router_binary());
    let expected = format!(
        "leadgraph: the data folder {} cannot be written; choose another with --data-dir: ",
        data.display()
    );
    assert!(said.starts_with(&expected), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn a_missing_router_is_named() {
    let folder = tempfile();
    let said = refused(&PortRow::free().up(folder.path()), Path::new("/nowhere/router"));
    assert_eq!(said, "leadgraph: APOLLO_ROUTER names /nowhere/router, which does not exist\n");
}

#[test]
fn the_checkout_is_composed() {
    let mut command = command(&["compose", "--check"].map(str::to_owned), &router_binary());
    let output = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn start(data: &Path, ports: PortRow) -> Service {
    let environment = [("APOLLO_ROUTER", router_binary())];
    let mut launcher = Service::spawn(program(), ports.up(data), environment);
    let deadline = Instant::now() + STARTED_WITHIN;
    while table(&launcher.log()).last().is_none_or(|last| !last.starts_with("demo login")) {
        assert!(launcher.is_running(), "{}", launcher.log());
        assert!(Instant::now() < deadline, "no table within {STARTED_WITHIN:?}: {}", launcher.log());
        sleep(Duration::from_millis(20)).await;
    }
    launcher
}

/// What it says on standard error when it refuses to start.
fn refused(arguments: &[String], router: &Path) -> String {
    let Output { status, stdout, stderr } = command(arguments, router).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    said
}

/// The launcher without the settings of whoever runs the tests.
fn command(arguments: &[String], router: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().env("APOLLO_ROUTER", router);
    command
}

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_leadgraph").into()
}

/// The lines after the greeting, with single spaces.
fn table(log: &str) -> Vec<String> {
    let lines = log.lines().skip_while(|line| *line != "Leadgraph is running. Ctrl-C stops it.").skip(1);
    let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

fn expected_table(ports: PortRow, data: &Path) -> Vec<String> {
    let url = |name: &str, port: u16, path: &str| format!("{name} http://127.0.0.1:{port}/{path}");
    let services = ["accounts", "leads", "interactions", "tasks", "scoring", "notifications"];
    let services = (1..).zip(services).map(|(i, service)| url(service, ports.router() + i, "graphql"));
    let mut table =
        vec![url("GraphQL", ports.router(), "graphql"), url("router health", ports.health(), "health")];
    table.extend(services);
    table.push(format!("data {}", data.display()));
    table.push("demo login test@example.com / password".into());
    table
}

async fn login(ports: PortRow) -> String {
    let query = r#"mutation { login(input: {email: "test@example.com", password: "password"}) { token } }"#;
    let answer = ask(ports, "", query).await;
    answer["data"]["login"]["token"].as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned()
}

async fn ask(ports: PortRow, token: &str, query: &str) -> Value {
    let client = subgraph::http_client().unwrap();
    let request = client.post(format!("http://127.0.0.1:{}/graphql", ports.router()));
    let request = if token.is_empty() { request } else { request.bearer_auth(token) };
    request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap()
}

/// The processes that `parent` started.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // What has ended meanwhile has no status
    let parent = format!("PPid:\t{parent}");
    ids.filter(|id| {
        fs::read_to_string(format!("/proc/{id}/status"))
            .is_ok_and(|status| status.lines().any(|line| line == parent))
    })
    .collect()
}

/// Waits until the processes have ended and all ports are free.
async fn assert_gone(processes: &[u32], ports: PortRow, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let alive: Vec<_> = processes.iter().filter(|id| test_kill_process(pid(**id)).is_ok()).collect();
        let taken: Vec<_> = ports.all().filter(|port| !is_free(*port)).collect();
        if alive.is_empty() && taken.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "processes {alive:?} live, ports {taken:?} are taken");
        sleep(Duration::from_millis(50)).await;
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed()).unwrap()
}

fn tempfile() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("leadgraph-launcher-").tempdir().unwrap()
}
