//! A broker that is away, was never there, dies and forgets: the services do their work without it, say so, and
//! tell each other everything once it is back.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::supergraph::SERVICES;
use testkit::{Load, Stack, eventually};
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn away_for_a_minute_under_load() {
    let mut stack = Stack::networked().await;
    let load = Load::start(stack.client(), 51, 2);
    load.more(30).await;
    let gone = Instant::now();
    stack.nats().kill();
    become_all(&stack, "degraded").await;
    for service in SERVICES {
        let health = stack.health(service).await.unwrap();
        let said = health["checks"]["broker"].as_str().unwrap();
        assert!(said.contains("NATS"), "{service} does not say what is wrong: {health}");
    }
    load.more(100).await;
    sleep(Duration::from_mins(1).saturating_sub(gone.elapsed())).await;
    assert!(stack.metric("leads", "leadgraph_outbox_depth").await.unwrap() > 0.0);
    let age = stack.metric("leads", "leadgraph_outbox_oldest_age_seconds").await.unwrap();
    assert!(age > 50.0, "{age}");

    stack.nats().restart().await;
    become_all(&stack, "ok").await;
    load.more(30).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn never_there_at_start() {
    let mut stack = Stack::networked_without_nats().await;
    become_all(&stack, "degraded").await;
    let load = Load::start(stack.client(), 61, 2);
    load.more(60).await;
    stack.nats().restart().await;
    load.more(20).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
    become_all(&stack, "ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again_under_load() {
    let mut stack = Stack::networked().await;
    let load = Load::start(stack.client(), 71, 3);
    for _ in 0..5 {
        load.more(30).await;
        stack.nats().kill();
        load.more(10).await;
        stack.nats().restart().await;
    }
    // It says nothing for longer than anybody waits for an acknowledgement, then goes on as if nothing had been
    stack.nats().pause();
    load.more(30).await;
    sleep(Duration::from_secs(8)).await;
    stack.nats().resume();
    load.more(30).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_data_is_lost_under_load() {
    let mut stack = Stack::networked().await;
    let load = Load::start(stack.client(), 81, 3);
    for _ in 0..3 {
        load.more(40).await;
        stack.nats().kill();
        stack.nats().wipe();
        load.more(10).await;
        stack.nats().restart().await;
    }
    load.more(40).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

/// Every service serves, and says this about its health.
async fn become_all(stack: &Stack, status: &str) {
    for service in SERVICES {
        let so =
            || async { stack.health(service).await.is_some_and(|health: Value| health["status"] == status) };
        eventually(&format!("{service} is {status}"), SOON, so).await;
    }
}
