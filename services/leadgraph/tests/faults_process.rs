//! Services that are killed at the worst moments, doubled, stopped, and left by their clients: no change is lost,
//! none has its effect twice.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use testkit::stack::{Hold, Moment};
use testkit::supergraph::SERVICES;
use testkit::{Load, Stack, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The services that do something about events of leads.
const CONSUMERS: [&str; 4] = ["interactions", "tasks", "scoring", "notifications"];
const UNPUBLISHED: &str = "outbox WHERE published_at IS NULL";

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_commit_and_publishing() {
    let mut stack = Stack::networked().await;
    stack.verify().await;
    stack.nats().pause();
    let lead = stack.client().create_lead("Paused").await;
    stack.kill("leads");
    assert_eq!(stack.databases().count("leads", UNPUBLISHED).await, 1);
    stack.nats().resume();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stack.databases().count("leads", UNPUBLISHED).await, 1, "nobody is there to publish it");

    stack.restart("leads").await;
    stack.verify().await;
    assert_eq!(stack.databases().count("tasks", &format!("lead_view WHERE id = {lead}")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_publishing_and_marking() {
    let mut stack = Stack::networked().await;
    stack.verify().await;
    let hold = Hold::place(stack.databases(), "leads", Moment::Marking).await;
    let lead = stack.client().create_lead("Marked").await;
    hold.caught().await;
    let seen = format!("lead_view WHERE id = {lead}");
    let databases = stack.databases().clone();
    for service in CONSUMERS {
        let applied = || async { databases.count(service, &seen).await == 1 };
        eventually("what is published is applied", Duration::from_secs(5), applied).await;
    }
    stack.kill("leads");
    hold.abort_caught().await;
    hold.release().await;
    assert_eq!(databases.count("leads", UNPUBLISHED).await, 1, "it is published and not marked");

    stack.restart("leads").await;
    stack.verify().await;
    assert_eq!(databases.count("leads", UNPUBLISHED).await, 0);
}

/// There is no acknowledgement to a broker: how far a service has read is part of the transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_killed_before_and_after_its_commit() {
    let mut stack = Stack::networked().await;
    stack.verify().await;
    let databases = stack.databases().clone();
    for service in CONSUMERS {
        let hold = Hold::place(&databases, service, Moment::Applying).await;
        let lead = stack.client().create_lead(&format!("Before-{service}")).await;
        hold.caught().await;
        stack.kill(service);
        hold.abort_caught().await;
        hold.release().await;
        let seen = format!("lead_view WHERE id = {lead}");
        assert_eq!(databases.count(service, &seen).await, 0, "{service} had not committed");
        stack.restart(service).await;
        stack.verify().await;
        assert_eq!(databases.count(service, &seen).await, 1);
    }
    for (service, seed) in CONSUMERS.into_iter().zip(11..) {
        let before = databases.count(service, "inbox").await;
        let load = Load::start(stack.client(), seed, 2);
        let applied = || async { databases.count(service, "inbox").await > before + 3 };
        eventually("events are applied", Duration::from_secs(20), applied).await;
        stack.kill(service);
        sleep(Duration::from_millis(300)).await;
        stack.restart(service).await;
        load.more(10).await;
        let ledger = load.finish().await;
        stack.verify().await;
        ledger.verify(&databases).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_and_two_consumers_at_once() {
    let mut stack = Stack::networked().await;
    for service in ["leads", "notifications", "tasks"] {
        stack.replicate(service).await;
    }
    let load = Load::start(stack.client(), 21, 4);
    load.more(150).await;
    stack.kill("leads");
    stack.kill("notifications");
    load.more(30).await;
    stack.restart("leads").await;
    stack.restart("notifications").await;
    load.more(100).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_under_load() {
    let mut stack = Stack::networked().await;
    let load = Load::start(stack.client(), 31, 4);
    for service in SERVICES {
        load.more(20).await;
        let status = stack.terminate(service).await;
        assert!(status.success(), "{service} ended with {status}");
        stack.restart(service).await;
    }
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_under_load() {
    let mut stack = Stack::networked().await;
    let load = Load::start(stack.client(), 41, 4);
    for service in SERVICES.into_iter().chain(CONSUMERS) {
        load.more(15).await;
        stack.kill(service);
        sleep(Duration::from_millis(500)).await;
        stack.restart(service).await;
    }
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_hang_up() {
    let mut stack = Stack::networked().await;
    let (port, token) = (stack.replica("leads").port(), stack.client().token());
    for first in (0..1_000).step_by(50) {
        join_all((first..first + 50).map(|number| hang_up(port, &token, number))).await;
    }
    stack.verify().await;
    let stored = stack.databases().count("leads", "lead WHERE last_name = 'Hangup'").await;
    // A quarter of them never asked for anything
    assert!((250..=750).contains(&stored), "{stored} of 750 whole requests were done");
    stack.client().create_lead("Patient").await;
    stack.verify().await;
}

/// Asks for a lead and leaves: in the middle of the question, at once after it, later, or in the answer.
async fn hang_up(port: u16, token: &str, number: usize) {
    let query = "mutation($input: CreateLeadInput!) { createLead(input: $input) { id } }";
    let email = format!("hangup{number}@example.com");
    let input = json!({ "firstName": "Client", "lastName": "Hangup", "email": email });
    let body = json!({ "query": query, "variables": { "input": input } }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
         authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let cut = if number.is_multiple_of(4) { request.len() - body.len() / 2 } else { request.len() };
    socket.write_all(&request.as_bytes()[..cut]).await.unwrap();
    match number % 4 {
        2 => sleep(Duration::from_millis(number as u64 % 40)).await,
        3 => drop(socket.read(&mut [0]).await),
        _ => {}
    }
}
