//! Every rule of graphql-transport-ws, and every code with which a socket is closed.

use crate::{
    client::{Client, PROTOCOL},
    stage::{Stage, token},
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use subgraph::LiveLimits;
use tokio_tungstenite::tungstenite::Message;

const SAID: &str = "subscription { said { text } }";

/// What a client that says this, after it was let in, is told.
async fn code_after(stage: &Stage, message: impl Into<Message>) -> (u16, String) {
    let mut client = stage.client().await;
    client.send(message).await;
    client.closed().await
}

#[tokio::test]
async fn what_is_not_the_protocol_closes_with_4400() {
    let stage = Stage::new().await;
    let long = json!({"type": "subscribe", "id": "x".repeat(257), "payload": {"query": SAID}}).to_string();
    let empty = json!({"type": "subscribe", "id": "", "payload": {"query": SAID}}).to_string();
    let words = "ä".repeat(500);
    for wrong in ["{", "7", r#"{"type":"start"}"#, &long, &empty, &format!(r#"{{"type":"{words}"}}"#)] {
        let (code, reason) = code_after(&stage, wrong).await;
        assert_eq!(code, 4400, "{wrong}");
        assert!(reason.starts_with("Invalid message") && reason.len() <= 123, "{reason}");
    }
    assert_eq!(code_after(&stage, Message::binary(b"{}".to_vec())).await.0, 4400);
    assert_eq!(code_after(&stage, "x".repeat(70_000)).await.0, 1009);
}

#[tokio::test]
async fn a_client_says_first_and_once_who_it_is() {
    let init_timeout = Duration::from_millis(300);
    let stage = Stage::with(LiveLimits { init_timeout, ..LiveLimits::default() }).await;
    let mut silent = Client::connect(stage.running.addr).await;
    assert_eq!(silent.closed().await, (4408, "Connection initialisation timeout".into()));
    let mut early = Client::connect(stage.running.addr).await;
    early.subscribe("1", SAID, json!({})).await;
    assert_eq!(early.closed().await, (4401, "Unauthorized".into()));
    let mut twice = stage.client().await;
    twice.say(json!({"type": "connection_init"})).await;
    assert_eq!(twice.closed().await, (4429, "Too many initialisation requests".into()));
    // Who is in time stays
    let mut patient = stage.client().await;
    tokio::time::sleep(init_timeout * 2).await;
    patient.sync().await;
}

#[tokio::test]
async fn an_id_names_one_operation_at_a_time() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    client.subscribe("a", SAID, json!({})).await;
    client.sync().await;
    client.say(json!({"type": "complete", "id": "a"})).await;
    client.subscribe("a", SAID, json!({})).await;
    client.subscribe("b", SAID, json!({})).await;
    client.sync().await;
    client.subscribe("b", SAID, json!({})).await;
    assert_eq!(client.closed().await, (4409, "Subscriber for b already exists".into()));
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let stage = Stage::new().await;
    let mut client = Client::connect(stage.running.addr).await;
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.hear().await, json!({"type": "pong"}));
    client.say(json!({"type": "ping", "payload": {"at": [1, null]}})).await;
    assert_eq!(client.hear().await, json!({"type": "pong", "payload": {"at": [1, null]}}));
    client.say(json!({"type": "pong"})).await;
    client.send(Message::Ping("x".into())).await;
    assert_eq!(client.socket.next().await.unwrap().unwrap(), Message::Pong("x".into()));
    let mut client = client.welcomed(&token()).await;
    client.sync().await;
}

#[tokio::test]
async fn a_silent_peer_is_asked_and_then_dropped() {
    let (ping_after, dead_after) = (Duration::from_millis(200), Duration::from_millis(900));
    let stage = Stage::with(LiveLimits { ping_after, dead_after, ..LiveLimits::default() }).await;
    // Reading answers the pings
    let mut alive = stage.client().await;
    let hears = tokio::spawn(async move {
        let heard = tokio::time::timeout(dead_after * 3, alive.hear()).await;
        assert!(heard.is_err(), "{heard:?}");
        alive.sync().await;
    });
    let mut dead = stage.client().await;
    tokio::time::sleep(dead_after * 2).await;
    dead.cut_off().await;
    hears.await.unwrap();
    stage.metric_is("live_sockets", 0).await;
}

#[tokio::test]
async fn queries_and_mutations_work_with_the_same_checks() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    client.subscribe("1", "{ hello }", json!({})).await;
    assert_eq!(client.next("1").await, json!({"data": {"hello": "hello user:7"}}));
    assert_eq!(client.hear().await, json!({"id": "1", "type": "complete"}));
    client.subscribe("1", "mutation { say(text: \"x\") }", json!({})).await;
    assert_eq!(client.next("1").await, json!({"data": {"say": 1}}));
    assert_eq!(client.hear().await, json!({"id": "1", "type": "complete"}));
    for (query, code) in [
        ("{", "BAD_USER_INPUT"),
        ("{ none }", "FORBIDDEN"),
        ("{ hello { x } }", "BAD_USER_INPUT"),
        ("query a { hello } query b { hello }", "BAD_USER_INPUT"),
        ("subscription { secret { text } }", "FORBIDDEN"),
        ("subscription { said { none } }", "BAD_USER_INPUT"),
        ("subscription { said(afterSequence: -1) { text } }", "BAD_USER_INPUT"),
        ("subscription { said(afterSequence: 99) { text } }", "NOT_FOUND"),
        ("subscription { said { text } whispered { text } }", "BAD_USER_INPUT"),
        ("subscription { ...F } fragment F on Subscription { said { text } }", "BAD_USER_INPUT"),
    ] {
        client.subscribe("2", query, json!({})).await;
        assert_eq!(client.errors("2").await[0]["extensions"]["code"], code, "{query}");
    }
}

#[tokio::test]
async fn the_51st_operation_is_refused_and_the_others_stay() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    for id in 0..50 {
        client.subscribe(&id.to_string(), SAID, json!({})).await;
    }
    client.subscribe("x", SAID, json!({})).await;
    assert_eq!(client.errors("x").await[0]["extensions"]["code"], "BAD_USER_INPUT");
    stage.metric_is("live_subscriptions", 50).await;
    client.say(json!({"type": "complete", "id": "7"})).await;
    client.subscribe("x", SAID, json!({})).await;
    client.sync().await;
    stage.metric_is("live_subscriptions", 50).await;
    drop(client);
    stage.metric_is("live_subscriptions", 0).await;
}

#[tokio::test]
async fn only_this_subprotocol_and_these_origins() {
    let stage = Stage::new().await;
    let addr = stage.running.addr;
    for headers in [vec![], vec![("sec-websocket-protocol", "graphql-ws")]] {
        let refused = Client::with_headers(addr, &headers).await.err().unwrap();
        assert_eq!(refused.status(), 400, "{headers:?}");
        let body: Value = serde_json::from_slice(refused.body().as_ref().unwrap()).unwrap();
        assert!(body["errors"][0]["message"].as_str().unwrap().contains("graphql-transport-ws"), "{body}");
    }
    let both = ("sec-websocket-protocol", "graphql-ws, graphql-transport-ws");
    assert!(Client::with_headers(addr, &[both]).await.is_ok());
    for (origin, status) in [("http://localhost:3000", None), ("https://evil.example", Some(403))] {
        let refused = Client::with_headers(addr, &[PROTOCOL, ("origin", origin)]).await.err();
        assert_eq!(refused.map(|answer| answer.status().as_u16()), status, "{origin}");
    }
}

#[tokio::test]
async fn over_http_a_subscription_is_told_where_to_go() {
    let stage = Stage::new().await;
    let answer = stage.post(SAID, json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("WebSocket"));
}
