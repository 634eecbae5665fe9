//! `leadgraph watch` against the real services: every notification once and in order, whatever happens.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

#[expect(dead_code, reason = "each test of the command line uses some of it")]
mod stand;

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stand::{Stand, until};
use testkit::{Service, tethered};

const SERVICES: [&str; 3] = ["accounts", "leads", "notifications"];

/// A `leadgraph watch` that runs.
struct Watch(Service);

impl Watch {
    fn start(stand: &Stand, args: &[&str]) -> Self {
        let where_to = addresses(stand);
        let args =
            ["watch"].into_iter().chain(where_to.iter().map(String::as_str)).chain(args.iter().copied());
        Self(Service::spawn(env!("CARGO_BIN_EXE_leadgraph"), args, [("", ""); 0]))
    }

    /// Waits until it is connected so many times.
    async fn connected(&self, times: usize) {
        let said = || self.0.log().matches("leadgraph: connected").count();
        until(&format!("connected {times} times:\n{}", self.0.log()), async || said() >= times).await;
    }

    /// The JSON lines it has printed.
    fn shown(&self) -> Vec<Value> {
        let log = self.0.log();
        let lines = log.lines().filter(|line| line.starts_with('{'));
        // The last one may not be whole yet
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The last names in what it has shown, of leads that the test made.
    fn names(&self) -> Vec<String> {
        let shown = self.shown();
        let messages = shown.iter().filter_map(|one| one["message"].as_str()?.strip_prefix("Jo "));
        messages.filter_map(|message| message.strip_suffix(" added to pipeline")).map(str::to_owned).collect()
    }

    async fn shows(&self, names: &[String]) {
        until(&format!("shows {names:?}"), async || self.names().len() >= names.len()).await;
        assert_eq!(self.names(), names, "{}", self.0.log());
    }

    /// Waits until it has ended; whether it succeeded.
    async fn ended(&mut self) -> bool {
        until("it ends", async || !self.0.is_running()).await;
        self.0.terminate().await.success()
    }
}

fn addresses(stand: &Stand) -> [String; 2] {
    [
        format!("--url=http://{}", stand.address("accounts")),
        format!("--notifications-url=ws://{}", stand.address("notifications")),
    ]
}

/// Creates leads, and remembers their last names.
async fn create(stand: &Stand, token: &str, names: &mut Vec<String>, count: usize) {
    for _ in 0..count {
        let name = format!("Number{}", names.len());
        stand.create_lead(token, &name).await;
        names.push(name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_and_nothing_shown_twice() {
    let mut stand = Stand::start(&SERVICES, None, &[]).await;
    let (token, mut names) = (stand.admin().await, Vec::new());
    let watch = Watch::start(&stand, &["--json"]);
    watch.connected(1).await;
    // Lost before anything was shown
    stand.kill("notifications");
    create(&stand, &token, &mut names, 3).await;
    stand.run("notifications").await;
    watch.shows(&names).await;
    watch.connected(2).await;
    create(&stand, &token, &mut names, 3).await;
    watch.shows(&names).await;
    for round in 3..5 {
        stand.kill("notifications");
        create(&stand, &token, &mut names, 2).await;
        stand.run("notifications").await;
        create(&stand, &token, &mut names, 2).await;
        watch.shows(&names).await;
        watch.connected(round).await;
    }
    let shown = watch.shown();
    let sequences: Vec<_> = shown.iter().map(|one| one["sequence"].as_i64().unwrap()).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{sequences:?}");
    let all = Watch::start(&stand, &["--json", "--since=0"]);
    until("shows everything", async || all.shown().last() == shown.last()).await;
    let first = all.shown()[0]["sequence"].as_i64();
    assert_eq!((first, all.names()), (Some(1), names));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_password_signs_in_again_when_the_token_ends() {
    let stand = Stand::start(&SERVICES, None, &[("JWT_EXPIRES_IN", "6s")]).await;
    let (mut names, watch) = (Vec::new(), Watch::start(&stand, &["--json"]));
    for times in 1..=3 {
        watch.connected(times).await;
        create(&stand, &stand.admin().await, &mut names, 2).await;
        watch.shows(&names).await;
    }
    assert!(watch.0.log().contains("signing in again"), "{}", watch.0.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_token_alone_is_told_that_it_ended() {
    let stand = Stand::start(&SERVICES, None, &[]).await;
    let token = stand.admin().await;
    let mut watch = Watch::start(&stand, &["--token", &token]);
    watch.connected(1).await;
    stand.data("accounts", &token, "mutation { logout }").await;
    assert!(!watch.ended().await);
    let log = watch.0.log();
    assert!(log.contains("the server does not take the token"), "{log}");
    assert!(log.ends_with("sign in again and pass the new token\n"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_the_server_does_not_know_is_no_dead_end() {
    let stand = Stand::start(&SERVICES, None, &[]).await;
    let watch = Watch::start(&stand, &["--json", "--since=1000000"]);
    let said = "the server knows nothing of notification 1000000";
    until("it says so", async || watch.0.log().contains(said)).await;
    let mut names = Vec::new();
    // Made before it has subscribed anew, or behind: either way it is shown
    tokio::time::sleep(Duration::from_millis(500)).await;
    create(&stand, &stand.admin().await, &mut names, 2).await;
    watch.shows(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_lines_and_ends_it_with_ctrl_c() {
    let stand = Stand::start(&SERVICES, None, &[]).await;
    let mut watch = Watch::start(&stand, &[]);
    watch.connected(1).await;
    stand.create_lead(&stand.admin().await, "Doe").await;
    let line = "Z  LEAD_CREATED    New Lead Created: Jo Doe added to pipeline\n";
    until("a line", async || watch.0.log().contains(line)).await;
    kill_process(Pid::from_raw(watch.0.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    assert!(watch.ended().await, "{}", watch.0.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_ends_it() {
    let stand = Stand::start(&SERVICES, None, &[]).await;
    let token = stand.admin().await;
    let mut command: Command = tethered(env!("CARGO_BIN_EXE_leadgraph"), "KILL");
    command.arg("watch").args(addresses(&stand)).args(["--json", "--since=0"]).env_clear();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = String::new();
    stand.create_lead(&token, "First").await;
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("\"sequence\":1"), "{first}");
    stand.create_lead(&token, "Second").await;
    until("it ends", async || child.try_wait().unwrap().is_some()).await;
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_ends_with_words() {
    let stand = Stand::start(&["accounts", "leads"], None, &[]).await;
    let here = format!("--url=http://{}", stand.address("accounts"));
    let no_graphql = format!("--notifications-url=ws://{}", stand.address("leads"));
    for (args, words) in [
        ([&*here, "--email=test@example.com", "--password=wrong"].as_slice(), "cannot sign in: "),
        (&[&here, &no_graphql], "does not speak graphql-transport-ws"),
        (&[&here, "--notifications-url=http://127.0.0.1/graphql"], "is no address of a WebSocket"),
        (&["--url=http://crm.example.com/graphql"], "say who you are"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_leadgraph")).arg("watch").args(args).env_clear().output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words), "{words}: {said}");
    }
}
