//! Who is let in, and for how long.

use crate::{
    client::{Client, PROTOCOL},
    stage::{Stage, short_token, token},
};
use chrono::{TimeDelta, Utc};
use events::{Envelope, contract::SessionRevoked, outbox};
use serde_json::json;
use std::time::{Duration, Instant};
use subgraph::LiveLimits;
use uuid::Uuid;

#[tokio::test]
async fn a_token_may_stand_in_three_places() {
    let stage = Stage::new().await;
    let bearer = format!("Bearer {}", token());
    for payload in
        [json!({"token": token()}), json!({"Authorization": bearer}), json!({"AUTHORIZATION": bearer})]
    {
        let mut client = Client::connect(stage.running.addr).await;
        client.say(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(client.hear().await["type"], "connection_ack");
    }
    let mut client =
        Client::with_headers(stage.running.addr, &[PROTOCOL, ("authorization", &bearer)]).await.unwrap();
    client.say(json!({"type": "connection_init"})).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
}

#[tokio::test]
async fn without_a_token_that_counts_it_is_closed_with_4403() {
    let stage = Stage::new().await;
    let expired = short_token(TimeDelta::seconds(-1));
    for payload in [json!(null), json!({}), json!({"token": "x"}), json!({"token": expired})] {
        let mut client = Client::connect(stage.running.addr).await;
        client.say(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(client.closed().await, (4403, "Forbidden".into()), "{payload}");
    }
}

#[tokio::test]
async fn it_is_closed_when_the_token_ends() {
    let stage = Stage::new().await;
    let mut client = Client::connect(stage.running.addr).await;
    // Tokens count in whole seconds
    let client_token = short_token(TimeDelta::seconds(2));
    let began = Instant::now();
    client = client.welcomed(&client_token).await;
    client.subscribe("1", "subscription { said { text } }", json!({})).await;
    client.sync().await;
    assert_eq!(client.closed().await, (4403, "Forbidden: the token has expired".into()));
    let took = began.elapsed();
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn it_is_closed_when_the_session_ends_and_others_are_not() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    let other = testkit::mint(subgraph::Role::SalesRep, 8, Utc::now());
    let mut other = Client::connect(stage.running.addr).await.welcomed(&other).await;
    let session = "00000000-0000-7000-8000-000000000007".to_owned();
    let expires_at = Utc::now() + TimeDelta::days(400);
    let revoked = SessionRevoked { session, holder: "user:7".into(), reason: "LOGOUT".into(), expires_at };
    let envelope = Envelope::new(&revoked, Uuid::from_u128(7), Utc::now(), "user:7".into(), None).unwrap();
    let row = outbox::Model {
        position: 1,
        id: envelope.id,
        kind: envelope.kind.clone(),
        envelope: serde_json::to_string(&envelope).unwrap(),
        created_at: envelope.time,
        published_at: None,
        keep_until: None,
    };
    let bus = events::open(None, stage.data_dir()).await.unwrap();
    let began = Instant::now();
    bus.append(&[row]).await.unwrap();
    assert_eq!(client.closed().await, (4403, "Forbidden: the session has ended".into()));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let mut again = Client::connect(stage.running.addr).await;
    again.say(json!({"type": "connection_init", "payload": {"token": token()}})).await;
    assert_eq!(again.closed().await.0, 4403);
    other.sync().await;
}

#[tokio::test]
async fn it_is_closed_when_the_server_stops() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    let began = Instant::now();
    let stopped = tokio::spawn(stage.running.stop());
    assert_eq!(client.closed().await, (1001, "The server stops".into()));
    drop(client);
    stopped.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

async fn limited(limits: &[&str]) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("talk.sqlite").display());
    let flags = [&["--trusted-proxies=127.0.0.1"], limits].concat();
    Stage::at(&url, folder, LiveLimits::default(), &flags).await
}

#[tokio::test]
async fn each_operation_on_a_socket_counts() {
    let stage = limited(&["--rate-limit-user=1/s:3"]).await;
    let mut client = stage.client().await;
    for id in 0..20 {
        // Queries and subscriptions alike
        let query = if id % 2 == 0 { "subscription { said { text } }" } else { "{ hello }" };
        client.subscribe(&id.to_string(), query, json!({})).await;
    }
    let mut refused = 0;
    while refused < 14 {
        let heard = client.hear().await;
        if heard["type"] == "error" {
            assert_eq!(heard["payload"][0]["extensions"]["code"], "RATE_LIMITED", "{heard}");
            assert_eq!(heard["payload"][0]["extensions"]["retryAfter"], 1);
            refused += 1;
        }
    }
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_refused_before_the_upgrade() {
    let stage = limited(&["--rate-limit-address=1/s:3"]).await;
    let connect = async |from: &str| {
        Client::with_headers(stage.running.addr, &[PROTOCOL, ("x-forwarded-for", from)]).await
    };
    let mut open = Vec::new();
    let refusal = loop {
        match connect("192.0.2.1").await {
            Ok(client) => open.push(client),
            Err(refusal) => break refusal,
        }
        assert!(open.len() < 20, "never refused");
    };
    assert!(open.len() >= 3);
    assert_eq!(refusal.status(), 429);
    assert_eq!(refusal.headers()["retry-after"], "1");
    assert!(connect("192.0.2.2").await.is_ok());
}
