//! Everybody gets everything once, in order, also who was away for a while, from any replica.

use crate::{
    client::Client,
    stage::{RENDERED, Stage},
};
use serde_json::json;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use testkit::TestDatabase;

const SAID: &str = "subscription($after: Int) { said(afterSequence: $after) { sequence text } }";

async fn sequence(client: &mut Client) -> i64 {
    client.next("1").await["data"]["said"]["sequence"].as_i64().unwrap()
}

/// Subscribes, and is certain that what happens from now on is delivered.
async fn follow(stage: &Stage, query: &str, subscriptions: u64) -> Client {
    let mut client = stage.client().await;
    client.subscribe("1", query, json!({})).await;
    stage.metric_is("live_subscriptions", subscriptions).await;
    client
}

#[tokio::test]
async fn one_execution_serves_all_who_asked_the_same() {
    let stage = Stage::new().await;
    let query = "subscription($after: Int) { said(afterSequence: $after) { loud } }";
    let mut clients = Vec::new();
    for after in [json!({}), json!({"after": 0}), json!({"after": null}), json!({})] {
        let mut client = stage.client().await;
        client.subscribe("1", query, after).await;
        clients.push(client);
    }
    stage.metric_is("live_subscriptions", 4).await;
    let before = RENDERED.load(Ordering::Relaxed);
    stage.say("hello", 1).await;
    for client in &mut clients {
        assert_eq!(client.next("1").await, json!({"data": {"said": {"loud": "HELLO"}}}));
    }
    assert_eq!(RENDERED.load(Ordering::Relaxed) - before, 1);
    assert_eq!(stage.metric("live_frames_total").await, 4);
    clients[0].say(json!({"type": "complete", "id": "1"})).await;
    stage.metric_is("live_subscriptions", 3).await;
    stage.say("again", 1).await;
    assert_eq!(clients[1].next("1").await["data"]["said"]["loud"], "AGAIN");
    clients[0].silence().await;
}

#[tokio::test]
async fn an_event_is_there_at_once() {
    let stage = Stage::new().await;
    let mut client = follow(&stage, SAID, 1).await;
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        stage.say("x", 1).await;
        sequence(&mut client).await;
        fastest = fastest.min(began.elapsed());
    }
    // Without being woken it would be half a second on average
    assert!(fastest < Duration::from_millis(200), "{fastest:?}");
}

#[tokio::test]
async fn arguments_choose_what_is_delivered() {
    let stage = Stage::new().await;
    let mut lead = follow(&stage, "subscription { whispered(about: \"lead\") { text } }", 1).await;
    let mut all = follow(&stage, "subscription { whispered { text } }", 2).await;
    stage.whisper("a task").await;
    stage.whisper("a lead").await;
    assert_eq!(lead.next("1").await, json!({"data": {"whispered": {"text": "a lead"}}}));
    assert_eq!(all.next("1").await["data"]["whispered"]["text"], "a task");
    assert_eq!(all.next("1").await["data"]["whispered"]["text"], "a lead");
}

/// Comes back again and again while events are written, and has every one of them once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_misses_nothing_and_gets_nothing_twice() {
    const EVENTS: i64 = 600;
    for database in TestDatabase::both() {
        let stage = Stage::replica(&database).await;
        let writing = async {
            for written in 0..EVENTS / 3 {
                stage.say("x", 3).await;
                if written % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let clients =
            futures_util::future::join_all((1..=4).map(|pace| come_and_go(&stage, pace * 7, EVENTS)));
        let ((), resumed) = tokio::join!(writing, clients);
        let resumed: u64 = resumed.into_iter().sum();
        assert!(resumed > 40, "{resumed}");
        assert_eq!(stage.metric("live_resumed_total").await, resumed);
        assert_eq!(stage.metric("live_missed_total").await, 0);
    }
}

/// Reads `stay` events at a time. Says how often it came back.
async fn come_and_go(stage: &Stage, stay: i64, until: i64) -> u64 {
    let (mut last, mut resumed) = (0, 0);
    while last < until {
        let mut client = stage.client().await;
        client.subscribe("1", SAID, json!({"after": last})).await;
        resumed += 1;
        for _ in 0..stay.min(until - last) {
            let next = sequence(&mut client).await;
            assert_eq!(next, last + 1);
            last = next;
        }
    }
    resumed
}

#[tokio::test]
async fn much_that_was_missed_is_replayed_at_the_clients_pace() {
    let stage = Stage::new().await;
    stage.say("x", 500).await;
    let mut client = stage.client().await;
    client.subscribe("1", SAID, json!({"after": 17})).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    stage.say("y", 1).await;
    for expected in 18..=501 {
        assert_eq!(sequence(&mut client).await, expected);
    }
    stage.say("z", 1).await;
    assert_eq!(client.next("1").await, json!({"data": {"said": {"sequence": 502, "text": "z"}}}));
    client.silence().await;
}

#[tokio::test]
async fn every_replica_delivers_what_any_of_them_wrote() {
    let database = TestDatabase::postgres();
    let (one, two) = (Stage::replica(&database).await, Stage::replica(&database).await);
    let mut clients = [follow(&one, SAID, 1).await, follow(&two, SAID, 1).await];
    for round in 0..5 {
        one.say("from one", 1).await;
        two.say("from two", 1).await;
        for client in &mut clients {
            assert_eq!(sequence(client).await, round * 2 + 1);
            assert_eq!(sequence(client).await, round * 2 + 2);
        }
    }
    for client in &mut clients {
        client.silence().await;
    }
}

/// Transactions that overlap become visible in the order in which clients get them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_passed_over_when_many_write_at_once() {
    let database = TestDatabase::postgres();
    let stage = Stage::replica(&database).await;
    let mut client = follow(&stage, SAID, 1).await;
    let writers = (0..8).map(async |_| {
        for _ in 0..20 {
            stage.say("x", 1).await;
        }
    });
    let reading = async {
        for expected in 1..=160 {
            assert_eq!(sequence(&mut client).await, expected);
        }
    };
    tokio::join!(futures_util::future::join_all(writers), reading);
}
