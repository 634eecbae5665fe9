//! `docker compose up --scale notifications=3` in development.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::acceptance::{self, System};
use testkit::{Client, eventually};

use crate::resolved;
use crate::stack::Containers;

/// What becomes so on its own does by then.
const SOON: Duration = Duration::from_secs(30);
const REPLICAS: [&str; 3] = ["notifications", "notifications-2", "notifications-3"];

async fn up() -> Containers {
    up_with(&[]).await
}

async fn up_with(variables: &[(&str, String)]) -> Containers {
    // Where everybody comes from here, whom the containers know as their network
    let network = ("LEADGRAPH_SUBNET", "127.0.0.0/8".to_owned());
    let variables: Vec<_> = variables.iter().cloned().chain([network]).collect();
    let mut containers = Containers::new(&resolved::development(&variables), "notifications").await;
    containers.up().await;
    containers
}

#[tokio::test(flavor = "multi_thread")]
async fn the_acceptance_checks_pass() {
    let containers = up().await;
    let system = containers.system().await;
    let token = acceptance::the_demo_user_signs_in(&system).await;
    acceptance::a_lead_is_created_under_both_argument_names(&system, &token).await;
    let lead = acceptance::create_john(&system, &token, "another.john@example.com").await;
    acceptance::a_notification_is_marked_as_read(&system, &token, &lead).await;
    acceptance::a_lead_is_shown_with_its_interactions(&system, &token).await;
    acceptance::suggestions_are_decided_on(&system, &token).await;
    acceptance::suggestions_are_made(&system, &token, 2).await;
    acceptance::every_lead_is_scored(&system, &token, 18).await;
    acceptance::a_socket_io_client_hears_of_a_new_lead(&system, &token, "third.john@example.com").await;
    a_service_sees_its_own_schema_only(&containers).await;
    // The command line, in the container that may see everything
    let status = containers.get("migrate").run(&["leadgraph", "events", "status"]).await;
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && said.contains("notifications"), "{status:?}");
}

/// With the password that a service has, nobody reads what another one keeps.
async fn a_service_sees_its_own_schema_only(containers: &Containers) {
    let ask = async |service: &str, table: &str| {
        let variable = format!("{}_DATABASE_URL", service.to_uppercase());
        let given = containers.get(service).environment().into_iter().find(|(name, _)| *name == variable);
        let url = given.expect("a service has a database").1;
        let mut psql = tokio::process::Command::new("psql");
        psql.args(["-X", "-d", &url, "-c", &format!("SELECT FROM {table} LIMIT 1")]);
        psql.output().await.expect("psql")
    };
    assert!(ask("leads", "leads.lead").await.status.success());
    let refused = ask("tasks", "leads.lead").await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("permission denied for schema leads"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_tells_the_same_and_may_fail() {
    let mut containers = up().await;
    let token = acceptance::the_demo_user_signs_in(&containers.system().await).await;
    containers.system().await.settled().await;
    let mut clients: Vec<_> = (0..6).map(|_| subscriber(&containers, &token)).collect();
    all_follow(&containers, clients.len()).await;
    all_hear_of_a_new_lead(&containers.system().await, &token, "one@example.com", &mut clients).await;

    containers.kill("notifications-2");
    all_hear_of_a_new_lead(&containers.system().await, &token, "two@example.com", &mut clients).await;
    containers.healthy().await;
    // Those that come now go to the one that has none
    clients.extend((0..3).map(|_| subscriber(&containers, &token)));
    all_follow(&containers, clients.len()).await;
    all_hear_of_a_new_lead(&containers.system().await, &token, "three@example.com", &mut clients).await;
}

/// Each request of a session that polls reaches the replica that has the session, whatever the client's address is.
#[tokio::test(flavor = "multi_thread")]
async fn polling_clients_stay_with_their_replica() {
    let containers = up().await;
    let system = containers.system().await;
    let token = acceptance::the_demo_user_signs_in(&system).await;
    system.settled().await;
    let client = |number: usize| {
        let options = json!({ "auth": { "token": token }, "transports": ["polling"],
            "extraHeaders": { "x-forwarded-for": format!("203.0.113.{number}") } });
        Client::start("socket-io.mjs", [&system.live, &options.to_string()])
    };
    let mut clients: Vec<_> = (1..=6).map(client).collect();
    for client in &mut clients {
        assert_eq!(client.next().await["on"], "connect");
    }
    let lead = acceptance::create_john(&system, &token, "one@example.com").await;
    for client in &mut clients {
        let said = client.next().await;
        assert_eq!((&said["on"], &said["transport"]), (&json!("notification:created"), &json!("polling")));
        assert_eq!(said["data"]["relatedLeadId"], lead);
    }
}

/// Behind the router and behind live, a client is who the proxy with TLS says it is.
#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_apart_by_their_addresses() {
    let containers = up_with(&[("RATE_LIMIT_ADDRESS", "1/s:5".to_owned())]).await;
    let system = containers.system().await;
    let live = format!("{}/graphql", system.live);
    for (url, query) in [(&system.router, "{ leads { id } }"), (&live, "{ getUnreadCount }")] {
        let is_limited = async |client: &str| {
            let request = system.http.post(url).header("x-forwarded-for", client);
            let answer = request.json(&json!({ "query": query })).send().await.expect("an answer");
            answer.text().await.expect("text").contains("RATE_LIMITED")
        };
        let mut limited = false;
        // The replicas count for themselves
        for _ in 0..100 {
            limited = limited || is_limited("203.0.113.1").await;
        }
        assert!(limited, "{url}: one client asks as much as it likes");
        assert!(!is_limited("203.0.113.2").await, "{url}: another one has to wait for it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_comes_back_and_nothing_is_lost() {
    let mut containers = up().await;
    let token = acceptance::the_demo_user_signs_in(&containers.system().await).await;
    containers.system().await.settled().await;

    containers.kill("leads");
    let query = "{ leads(limit: 1) { email } }";
    let refused = containers.system().await.graphql(Some(&token), query, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{refused:#}");
    containers.healthy().await;
    answers(&containers.system().await, &token, query).await;

    // Work goes on without the broker, and is told when it is back
    containers.kill("nats");
    let lead = acceptance::create_john(&containers.system().await, &token, "one@example.com").await;
    containers.healthy().await;
    acceptance::newest_notification(&containers.system().await, &token, &lead).await;

    containers.kill("postgres");
    let refused = containers.system().await.graphql(Some(&token), query, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{refused:#}");
    containers.healthy().await;
    answers(&containers.system().await, &token, query).await;
    containers.system().await.settled().await;

    // The machine starts again: the engine starts all at once, and waits for nobody
    containers.kill_all();
    containers.healthy().await;
    answers(&containers.system().await, &token, query).await;
    let lead = acceptance::create_john(&containers.system().await, &token, "two@example.com").await;
    acceptance::newest_notification(&containers.system().await, &token, &lead).await;
    let leads = containers.system().await.databases.count("leads", "lead").await;
    assert_eq!(leads, 17, "the demo data once, and two");
}

async fn answers(system: &System<'_>, token: &str, query: &str) {
    let is_answered = async || system.graphql(Some(token), query, json!({})).await.get("errors").is_none();
    eventually("an answer", SOON, is_answered).await;
}

/// Somebody who follows new notifications through the published port.
fn subscriber(containers: &Containers, token: &str) -> Client {
    let query = "subscription ($after: Int) { notificationCreated(afterSequence: $after) { sequence relatedLeadId } }";
    let url = format!("ws://{}:4006/graphql", containers.get("live").address());
    Client::start("graphql-ws.mjs", [url, json!({ "token": token, "query": query }).to_string()])
}

/// Waits until all clients follow, and each replica has some of them.
async fn all_follow(containers: &Containers, clients: usize) {
    let of = async |name: &str| {
        let text = containers.fetch(name, 4006, "/metrics").await.unwrap_or_default();
        let metric = text.lines().find_map(|line| line.strip_prefix("leadgraph_live_subscriptions{"));
        metric.and_then(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).unwrap_or_default()
    };
    let all = async || {
        let (first, second, third) = (of(REPLICAS[0]).await, of(REPLICAS[1]).await, of(REPLICAS[2]).await);
        first > 0 && second > 0 && third > 0 && first + second + third == clients
    };
    eventually("all clients follow, some at each replica", SOON, all).await;
}

async fn all_hear_of_a_new_lead(system: &System<'_>, token: &str, email: &str, clients: &mut [Client]) {
    let lead = acceptance::create_john(system, token, email).await;
    let mut heard = Vec::new();
    for client in clients {
        heard.push(next_of(client, &lead).await);
    }
    assert!(heard.windows(2).all(|pair| pair[0] == pair[1]), "{heard:#?}");
}

/// What a client is told about this lead, past its connections and other news.
async fn next_of(client: &mut Client, lead: &Value) -> Value {
    loop {
        let mut said = client.next().await;
        let told = said["data"]["data"]["notificationCreated"].take();
        if said["on"] == "next" && told["relatedLeadId"] == *lead {
            return told;
        }
    }
}
