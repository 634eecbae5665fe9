//! Clients that read too slowly are told so, and nobody else notices.

use crate::{
    client::Client,
    stage::{Stage, token},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use subgraph::LiveLimits;

const SAID: &str = "subscription($after: Int) { said(afterSequence: $after) { sequence text } }";

async fn narrow(stage: &Stage, query: &str) -> Client {
    let mut client = Client::narrow(stage.running.addr).await.welcomed(&token()).await;
    client.subscribe("1", query, json!({})).await;
    client
}

fn sequence(message: &Value) -> i64 {
    message["payload"]["data"]["said"]["sequence"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_is_told_where_to_go_on_and_nobody_else_is() {
    let stage = Stage::new().await;
    let mut slow = narrow(&stage, SAID).await;
    let mut fast = stage.client().await;
    fast.subscribe("1", SAID, json!({})).await;
    stage.metric_is("live_subscriptions", 2).await;
    let text = "x".repeat(2_000);
    let mut written = 0;
    while stage.metric("live_missed_total").await == 0 {
        stage.say(&text, 20).await;
        for _ in 0..20 {
            written += 1;
            assert_eq!(sequence(&fast.hear().await), written);
        }
    }
    let mut last = 0;
    let error = loop {
        let message = slow.hear().await;
        if message["type"] == "error" {
            break message;
        }
        assert_eq!(sequence(&message), last + 1);
        last += 1;
    };
    let error = &error["payload"][0];
    assert_eq!(error["extensions"], json!({"code": "UNAVAILABLE", "afterSequence": last}));
    assert_eq!(error["message"], format!("You missed events: subscribe again with afterSequence {last}"));
    slow.subscribe("1", SAID, json!({"after": last})).await;
    for expected in last + 1..=written {
        assert_eq!(sequence(&slow.hear().await), expected);
    }
    stage.metric_is("live_subscriptions", 2).await;
    assert_eq!(stage.metric("live_missed_total").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_sequence_it_is_told_to_ask_again() {
    let stage = Stage::new().await;
    let mut slow = narrow(&stage, "subscription { whispered { text } }").await;
    stage.metric_is("live_subscriptions", 1).await;
    let text = "x".repeat(20_000);
    while stage.metric("live_missed_total").await == 0 {
        stage.whisper(&text).await;
    }
    let mut message = slow.hear().await;
    while message["type"] == "next" {
        message = slow.hear().await;
    }
    assert_eq!(message["payload"][0]["message"], "You missed events: query again");
    assert_eq!(message["payload"][0]["extensions"], json!({"code": "UNAVAILABLE"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_is_dropped() {
    let stall = Duration::from_millis(700);
    let stage = Stage::with(LiveLimits { stall, ..LiveLimits::default() }).await;
    let _stuck = narrow(&stage, SAID).await;
    stage.metric_is("live_subscriptions", 1).await;
    while stage.metric("live_missed_total").await == 0 {
        stage.say(&"x".repeat(2_000), 20).await;
    }
    let began = Instant::now();
    stage.metric_is("live_sockets", 0).await;
    assert!(began.elapsed() < stall * 8, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_that_never_read_hold_up_nobody() {
    const MANY: u64 = 1_000;
    let stage = Stage::new().await;
    let stuck = join_all((0..MANY).map(|_| narrow(&stage, SAID))).await;
    let mut reader = stage.client().await;
    reader.subscribe("1", SAID, json!({})).await;
    stage.metric_is("live_subscriptions", MANY + 1).await;
    let text = "x".repeat(1_000);
    let (mut read, mut slowest) = (0, Duration::ZERO);
    while stage.metric("live_missed_total").await < MANY {
        let began = Instant::now();
        stage.say(&text, 10).await;
        for _ in 0..10 {
            read += 1;
            assert_eq!(sequence(&reader.hear().await), read);
        }
        slowest = slowest.max(began.elapsed());
        assert!(read < 5_000, "they are never told");
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert_eq!(stage.metric("live_missed_total").await, MANY);
    drop(stuck);
}
