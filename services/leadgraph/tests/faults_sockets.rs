//! Clients of live notifications that never read, and that all come back at once: nobody else notices, and who
//! resumes misses nothing and sees nothing twice.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt, stream};
use serde_json::{Value, json};
use testkit::{Load, Stack, eventually};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TcpStream>;

const SOON: Duration = Duration::from_secs(30);
const SOCKETS: &str = "leadgraph_live_sockets";
const MISSED: &str = "leadgraph_live_missed_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_that_never_read() {
    let mut stack = Stack::networked().await;
    stack.verify().await;
    let port = stack.replica("notifications").port();
    let token = stack.client().token();
    let mut reader = subscribed(port, &token, None, THIN).await;
    // As much of each as a client may ask for: more than a connection takes that nobody reads
    let fat = (0..40).map(|number| format!("m{number}: message")).collect::<Vec<_>>().join(" ");
    let deaf = stream::iter(0..1_000).map(|_| subscribed(port, &token, None, &fat)).buffer_unordered(50);
    let deaf: Vec<Socket> = deaf.collect().await;
    let before = memory(&mut stack);

    let lead = stack.client().create_lead("Deaf").await;
    let (first, _) = next(&mut reader).await;
    let title = "x".repeat(255);
    for number in 1..=150 {
        stack.client().complete_task(lead, &title).await;
        let (sequence, _) = next(&mut reader).await;
        assert_eq!(sequence, first + number, "the one who reads gets each at once");
    }
    let missed = || async { stack.metric("notifications", MISSED).await.unwrap_or_default() >= 1_000.0 };
    eventually("who does not read is told so in the end", SOON, missed).await;
    let after = memory(&mut stack);
    assert!(after < before + 200_000, "1,000 clients that never read cost {} kB", after - before);
    drop(deaf);
    let gone = || async { stack.metric("notifications", SOCKETS).await == Some(1.0) };
    eventually("they are forgotten", SOON, gone).await;
    stack.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_reconnects() {
    let mut stack = Stack::networked().await;
    let port = stack.replica("notifications").port();
    let token = stack.client().token();
    let load = Load::start(stack.client(), 131, 2);
    load.more(20).await;
    let storm = stream::iter(0..2_000).map(|number| {
        let token = &token;
        async move {
            // Some resume from the beginning, and all leave without a word
            let socket = subscribed(port, token, (number % 4 == 0).then_some(0), THIN).await;
            drop(socket);
        }
    });
    storm.buffer_unordered(100).collect::<Vec<_>>().await;
    let gone = || async { stack.metric("notifications", SOCKETS).await == Some(0.0) };
    eventually("all are forgotten", SOON, gone).await;

    // One that is cut off again and again while much happens
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let last = seen.last().copied().unwrap_or(0);
        let mut socket = subscribed(port, &token, Some(last), THIN).await;
        for _ in 0..5 {
            let (sequence, _) = next(&mut socket).await;
            assert!(seen.insert(sequence), "{sequence} came twice");
        }
    }
    stack.restart("notifications").await;
    load.more(20).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
    let stored = "SELECT sequence FROM notification ORDER BY sequence";
    let stored = stack.databases().rows::<Sequence>("notifications", stored).await.unwrap();
    let last = stored.last().unwrap().sequence;
    let mut socket = subscribed(port, &token, seen.last().copied(), THIN).await;
    while seen.last().is_none_or(|seen| *seen < last) {
        let (sequence, _) = next(&mut socket).await;
        assert!(seen.insert(sequence), "{sequence} came twice");
    }
    let missed: Vec<_> = stored.iter().filter(|it| !seen.contains(&it.sequence)).collect();
    assert!(missed.is_empty(), "{missed:?} were missed");
}

#[derive(Debug, sea_orm::FromQueryResult)]
struct Sequence {
    sequence: i32,
}

/// Asks for each notification's sequence and message.
const THIN: &str = "sequence message";

/// A client whose subscription has begun, with little room for what it does not read.
async fn subscribed(port: u16, token: &str, after: Option<i32>, fields: &str) -> Socket {
    let tcp = TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(4_096).unwrap();
    let tcp = tcp.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let mut request = format!("ws://127.0.0.1:{port}/graphql").into_client_request().unwrap();
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = client_async(request, tcp).await.unwrap();
    send(&mut socket, &json!({ "type": "connection_init", "payload": { "token": token } })).await;
    assert_eq!(said(&mut socket).await["type"], "connection_ack");
    let query =
        format!("subscription($after: Int) {{ notificationCreated(afterSequence: $after) {{ {fields} }} }}");
    let payload = json!({ "query": query, "variables": { "after": after } });
    send(&mut socket, &json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    if after.is_none() {
        // It has begun when this is answered
        send(
            &mut socket,
            &json!({ "type": "subscribe", "id": "2", "payload": { "query": "{ getUnreadCount }" } }),
        )
        .await;
        while said(&mut socket).await != json!({ "id": "2", "type": "complete" }) {}
    }
    socket
}

async fn send(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

async fn said(socket: &mut Socket) -> Value {
    loop {
        let message =
            timeout(SOON, socket.next()).await.expect("it says something").expect("it is open").unwrap();
        if let Message::Text(text) = message {
            let said: Value = serde_json::from_str(&text).unwrap();
            assert_ne!(said["type"], "error", "{said}");
            return said;
        }
    }
}

/// The next notification's sequence and message.
async fn next(socket: &mut Socket) -> (i32, String) {
    let said = said(socket).await;
    let notification = &said["payload"]["data"]["notificationCreated"];
    let sequence = notification["sequence"].as_i64().unwrap_or_else(|| panic!("no notification: {said}"));
    (i32::try_from(sequence).unwrap(), notification["message"].to_string())
}

/// What the process of notifications has in memory, in kB.
fn memory(stack: &mut Stack) -> i64 {
    let id = stack.replica("notifications").running().id();
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
