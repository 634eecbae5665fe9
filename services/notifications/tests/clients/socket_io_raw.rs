//! What clients do that the usual one does not: they say nothing, read nothing, stay when they are told to go, or
//! come from pages that may not.

use crate::stage::{Stage, eventually, session};
use chrono::TimeDelta;
use events::{
    Event,
    contract::{SessionRevoked, Task, TaskCompleted},
};
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Client, TestDatabase};
use tokio::time::timeout;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// A session over polling, request by request.
struct Polling {
    url: String,
    client: reqwest::Client,
}

impl Polling {
    async fn open(stage: &Stage) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/socket.io/?EIO=4&transport=polling", stage.url());
        let opened = client.get(&url).send().await.unwrap().text().await.unwrap();
        let opened: Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
        Self { url: format!("{url}&sid={}", opened["sid"].as_str().unwrap()), client }
    }

    async fn connected(stage: &Stage, user: i32) -> Self {
        let polling = Self::open(stage).await;
        polling.say(format!("40{}", json!({ "token": stage.token(user) }))).await;
        assert!(polling.message().await.starts_with("40"));
        polling
    }

    /// The next message, past the server's pings.
    async fn message(&self) -> String {
        loop {
            let packets = self.poll().await.text().await.unwrap();
            if let Some(message) = packets.split('\x1e').find(|packet| *packet != "2") {
                return message.to_owned();
            }
            self.say("3".into()).await;
        }
    }

    async fn say(&self, packet: String) {
        let answer = self.client.post(&self.url).body(packet).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }

    async fn poll(&self) -> Response {
        self.client.get(&self.url).send().await.unwrap()
    }

    fn websocket(&self) -> String {
        self.url.replace("http:", "ws:").replace("transport=polling", "transport=websocket")
    }
}

async fn websocket(stage: &Stage, user: i32) -> Socket {
    let url = format!("ws://127.0.0.1:{}/socket.io/?EIO=4&transport=websocket", stage.port);
    let (mut socket, _) = connect_async(url).await.unwrap();
    assert!(text(&mut socket).await.unwrap().starts_with('0'));
    socket.send(Message::text(format!("40{}", json!({ "token": stage.token(user) })))).await.unwrap();
    assert!(text(&mut socket).await.unwrap().starts_with("40"));
    socket
}

/// The next packet, past the server's pings; nothing when the connection is over.
async fn text(socket: &mut Socket) -> Option<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text == "2" => {}
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            _ => return None,
        }
    }
}

/// Tasks whose titles are far longer than those of the product, so that a few fill every buffer there is.
fn heavy(count: i32) -> Vec<TaskCompleted> {
    let task = Task { title: "x".repeat(100_000), ..Task::example() };
    (0..count).map(|id| TaskCompleted { task: Task { id, ..task.clone() } }).collect()
}

async fn nobody_is_left(stage: &Stage) {
    eventually("no socket is left", async || stage.metric("leadgraph_live_sockets").await == 0).await;
}

#[tokio::test]
async fn who_reads_nothing_is_cut_off_and_nobody_else() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let mut deaf = websocket(&stage, 1).await;
    let silent = Polling::connected(&stage, 1).await;
    let options = json!({ "auth": { "token": stage.token(1) }, "transports": ["websocket"] });
    let mut reader = Client::start("socket-io.mjs", [stage.url(), options.to_string()]);
    assert_eq!(reader.next().await["on"], "connect");

    let mut sent = 0;
    while stage.metric("leadgraph_live_missed_total").await < 2 {
        assert!(sent < 1_000, "nobody was cut off");
        stage.publish_all(&heavy(50)).await;
        for _ in 0..50 {
            assert_eq!(reader.next().await["on"], "notification:created");
        }
        sent += 50;
    }
    assert_eq!(stage.metric("leadgraph_live_sockets").await, 1);
    assert_eq!(silent.poll().await.status(), StatusCode::BAD_REQUEST);
    // What was on its way may still arrive, and then the end
    let mut arrived = 0;
    while text(&mut deaf).await.is_some() {
        arrived += 1;
    }
    assert!(arrived < sent, "{arrived} of {sent}");
}

#[tokio::test]
async fn who_stays_after_its_session_ended_is_cut_off() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let mut socket = websocket(&stage, 3).await;
    let polling = Polling::connected(&stage, 3).await;
    let expires_at = stage.clock.now() + TimeDelta::days(400);
    stage.publish(&SessionRevoked { session: session(3), expires_at, ..SessionRevoked::example() }).await;
    assert_eq!(text(&mut socket).await.as_deref(), Some("41"));
    assert_eq!(polling.message().await, "41");
    nobody_is_left(&stage).await;
    stage.notify(1, 1).await;
    assert_eq!(text(&mut socket).await, None);
    // A poll is waiting when it is cut off
    assert_eq!(polling.poll().await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_upgrade_that_is_given_up_ends_the_session() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let polling = Polling::connected(&stage, 1).await;
    let (probe, _) = connect_async(polling.websocket()).await.unwrap();
    drop(probe);
    // Long before its silence is noticed
    let ended = timeout(Duration::from_secs(10), async {
        while polling.poll().await.status() != StatusCode::BAD_REQUEST {}
    });
    ended.await.unwrap();
    nobody_is_left(&stage).await;
}

#[tokio::test]
async fn what_is_not_the_protocol_is_refused() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for query in
        ["", "?EIO=3&transport=polling", "?EIO=4&transport=x", "?EIO=4&transport=polling&sid=unknown"]
    {
        let answer = client.get(format!("{}/socket.io/{query}", stage.url())).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    for query in ["?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA", "?EIO=9&transport=websocket"] {
        let url = format!("ws://127.0.0.1:{}/socket.io/{query}", stage.port);
        assert!(connect_async(url).await.is_err(), "{query}");
    }
    let polling = Polling::connected(&stage, 1).await;
    let long = polling.client.post(&polling.url).body(format!("42[\"{}\"]", "x".repeat(70_000)));
    assert!(!long.send().await.unwrap().status().is_success());
    let mut socket = websocket(&stage, 1).await;
    // What a client says without being asked is not listened to
    socket.send(Message::text(r#"42["notification:created",{}]"#)).await.unwrap();
    socket.send(Message::text(format!("42[\"{}\"]", "x".repeat(70_000)))).await.unwrap();
    assert_eq!(text(&mut socket).await, None);
    nobody_is_left(&stage).await;
}

#[tokio::test]
async fn only_pages_that_may_come_in() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/socket.io/?EIO=4&transport=polling", stage.url());
    let from =
        |method: Method, origin: &'static str| client.request(method, &url).header("origin", origin).send();

    let allowed = from(Method::GET, "http://localhost:3000").await.unwrap();
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "http://localhost:3000");
    assert_eq!(allowed.headers()["access-control-allow-credentials"], "true");
    let asked = from(Method::OPTIONS, "http://localhost:3000").await.unwrap();
    assert_eq!(asked.status(), StatusCode::NO_CONTENT);
    assert!(asked.headers()["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    for method in [Method::GET, Method::OPTIONS, Method::POST] {
        let refused = from(method, "http://evil.example").await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(!refused.headers().contains_key("access-control-allow-origin"));
    }
    let upgrade = client.get(url.replace("polling", "websocket")).header("origin", "http://evil.example");
    let upgrade = upgrade.header("connection", "upgrade").header("upgrade", "websocket");
    let upgrade =
        upgrade.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(upgrade.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_address_that_shakes_hands_too_often_waits() {
    let mut stage = Stage::set(TestDatabase::sqlite()).await;
    stage.restart_with(&["--trusted-proxies=127.0.0.1", "--rate-limit-address=1/s:3"]).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/socket.io/?EIO=4&transport=polling", stage.url());
    let shake =
        async |address: &str| client.get(&url).header("x-forwarded-for", address).send().await.unwrap();
    let mut answer = shake("192.0.2.1").await;
    for _ in 0..20 {
        if answer.status() == StatusCode::OK {
            answer = shake("192.0.2.1").await;
        }
    }
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert_eq!(shake("192.0.2.2").await.status(), StatusCode::OK);
    stage.stop().await;
}
