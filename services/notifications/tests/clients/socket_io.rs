//! What socket.io-client is told, over each transport.

use crate::stage::{Stage, eventually, session};
use chrono::TimeDelta;
use events::{
    Event,
    contract::{LeadCreated, SessionRevoked},
};
use serde_json::{Value, json};
use testkit::{Client, TestDatabase};

/// The transports that a client can be told to use, and what it does when it is told nothing.
const TRANSPORTS: [&str; 3] = [r#"["websocket"]"#, r#"["polling"]"#, r#"["polling","websocket"]"#];

fn connect(stage: &Stage, transports: &str, auth: &Value) -> Client {
    let transports: Value = serde_json::from_str(transports).unwrap();
    let options = json!({ "transports": transports, "auth": auth, "reconnectionDelay": 50, "reconnectionDelayMax": 200 });
    Client::start("socket-io.mjs", [stage.url(), options.to_string()])
}

/// A client that is connected, over the transport it ends up with.
async fn connected(stage: &Stage, transports: &str, user: i32) -> Client {
    let mut client = connect(stage, transports, &json!({ "token": stage.token(user) }));
    let mut said = vec![client.next().await["on"].take()];
    if transports == TRANSPORTS[2] {
        // In either order
        said.push(client.next().await["on"].take());
        assert!(said.contains(&json!("upgrade")), "{said:?}");
    }
    assert!(said.contains(&json!("connect")), "{said:?}");
    client
}

/// What comes with the next event, which must have this name. A client may change its transport meanwhile.
async fn next(client: &mut Client, name: &str) -> Value {
    loop {
        let mut said = client.next().await;
        if said["on"] != "upgrade" {
            assert_eq!(said["on"], name, "{said}");
            return said["data"].take();
        }
    }
}

/// As [`next`], past the attempts to connect.
async fn wait_for(client: &mut Client, name: &str) -> Value {
    loop {
        let mut said = client.next().await;
        if said["on"] == name {
            return said["data"].take();
        }
        assert!(
            ["connect_error", "upgrade", "reconnect", "connect"].iter().any(|it| said["on"] == *it),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_client_is_told_over_every_transport() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let mut clients = Vec::new();
    for transports in TRANSPORTS {
        clients.push(connected(&stage, transports, 1).await);
    }
    assert_eq!(stage.metric("leadgraph_live_sockets").await, 3);

    stage.publish(&LeadCreated::example()).await;
    for client in &mut clients {
        let told = next(client, "notification:created").await;
        let id = told["id"].as_str().unwrap().to_owned();
        let at = told["createdAt"].as_str().unwrap();
        assert_eq!((at.len(), at.ends_with('Z')), ("2026-01-15T12:00:00.000Z".len(), true), "{at}");
        assert_eq!(
            told,
            json!({
                "id": id, "type": "lead_created", "title": "New Lead Created", "message": "John Doe added to pipeline",
                "isRead": false, "relatedLeadId": 42, "createdAt": at, "updatedAt": at,
            })
        );
    }
}

#[tokio::test]
async fn a_client_is_told_what_others_do() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let mut clients = Vec::new();
    for transports in TRANSPORTS {
        clients.push(connected(&stage, transports, 1).await);
    }
    stage.notify(1, 4).await;
    for client in &mut clients {
        for _ in 0..4 {
            next(client, "notification:created").await;
        }
    }
    let id = stage.graphql("{ getNotifications { id } }").await["getNotifications"][0]["id"].clone();
    stage.graphql(&format!("mutation {{ markAsRead(id: {id}) {{ isRead }} }}")).await;
    for client in &mut clients {
        let told = next(client, "notification:updated").await;
        assert_eq!(
            (&told["id"], &told["isRead"], &told["type"]),
            (&id, &json!(true), &json!("score_updated"))
        );
    }
    // Told to nobody here: these clients have never heard of it
    stage.graphql(&format!("mutation {{ deleteNotification(id: {id}) }}")).await;
    stage.graphql("mutation { markAllAsRead }").await;
    for (client, transport) in clients.iter_mut().zip(["websocket", "polling", "websocket"]) {
        let told = client.next().await;
        let data = json!({ "action": "mark-all-read", "count": 3 });
        assert_eq!(told, json!({ "on": "notifications:bulk-updated", "data": data, "transport": transport }));
    }
}

#[tokio::test]
async fn without_a_token_that_counts_it_is_disconnected() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let no_string = json!({ "token": { "token": stage.token(1) } });
    for auth in [json!({}), json!({ "token": "x.y.z" }), json!({ "token": "" }), no_string] {
        for transports in TRANSPORTS {
            let mut client = connect(&stage, transports, &auth);
            next(&mut client, "connect").await;
            assert_eq!(next(&mut client, "disconnect").await, "io server disconnect");
            stage.notify(1, 1).await;
            eventually("it is not counted", async || stage.metric("leadgraph_live_sockets").await == 0).await;
            assert!(client.rest().iter().all(|said| said["on"] == "upgrade"), "{:?}", client.rest());
        }
    }
}

#[tokio::test]
async fn a_token_may_come_in_the_header() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let bearer = format!("Bearer {}", stage.token(1));
    let options = json!({ "extraHeaders": { "authorization": bearer }, "transports": ["websocket"] });
    let mut client = Client::start("socket-io.mjs", [stage.url(), options.to_string()]);
    next(&mut client, "connect").await;
    stage.notify(7, 1).await;
    assert_eq!(next(&mut client, "notification:created").await["message"], "7 leads recalculated");
}

#[tokio::test]
async fn it_is_disconnected_when_its_session_ends() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let mut stays = connected(&stage, TRANSPORTS[0], 1).await;
    for (transports, user) in TRANSPORTS.into_iter().zip(2..) {
        let mut client = connected(&stage, transports, user).await;
        let revoked = SessionRevoked { session: session(user), ..SessionRevoked::example() };
        let expires_at = stage.clock.now() + TimeDelta::days(400);
        stage.publish(&SessionRevoked { expires_at, ..revoked }).await;
        assert_eq!(next(&mut client, "disconnect").await, "io server disconnect");
        // Nor can it come again
        let mut client = connect(&stage, transports, &json!({ "token": stage.token(user) }));
        next(&mut client, "connect").await;
        assert_eq!(next(&mut client, "disconnect").await, "io server disconnect");
    }
    stage.notify(1, 1).await;
    next(&mut stays, "notification:created").await;
}

#[tokio::test]
async fn it_is_disconnected_when_its_token_ends() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    let mut clients = Vec::new();
    for transports in TRANSPORTS {
        clients.push(connected(&stage, transports, 1).await);
    }
    stage.clock.advance(TimeDelta::days(364));
    let mut younger = connected(&stage, TRANSPORTS[0], 1).await;
    stage.clock.advance(TimeDelta::days(2));
    for client in &mut clients {
        assert_eq!(next(client, "disconnect").await, "io server disconnect");
    }
    stage.notify(1, 1).await;
    next(&mut younger, "notification:created").await;
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_its_clients_come_again() {
    let mut stage = Stage::set(TestDatabase::sqlite()).await;
    let mut clients = Vec::new();
    for transports in TRANSPORTS {
        clients.push(connected(&stage, transports, 1).await);
    }
    stage.stop().await;
    for client in &mut clients {
        let reason = next(client, "disconnect").await;
        assert!(reason == "transport close" || reason == "transport error", "{reason}");
    }
    stage.start().await;
    for client in &mut clients {
        wait_for(client, "connect").await;
    }
    stage.notify(1, 1).await;
    for client in &mut clients {
        wait_for(client, "notification:created").await;
    }
}

#[tokio::test]
async fn each_replica_tells_its_own_clients() {
    let stage = Stage::set(TestDatabase::postgres()).await;
    let other = stage.replica().await;
    let mut here = connected(&stage, TRANSPORTS[0], 1).await;
    let options = json!({ "auth": { "token": stage.token(1) } });
    let mut there = Client::start("socket-io.mjs", [format!("http://{}", other.addr), options.to_string()]);
    wait_for(&mut there, "connect").await;
    stage.notify(1, 20).await;
    for client in [&mut here, &mut there] {
        for number in 1..=20 {
            let told = wait_for(client, "notification:created").await;
            let leads = if number == 1 { "lead" } else { "leads" };
            assert_eq!(told["message"], format!("{number} {leads} recalculated"));
        }
    }
    other.stop().await.unwrap();
}
