//! What the npm client of graphql-transport-ws is told, also when it loses its connection.

use crate::stage::Stage;
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::{Client, TestDatabase};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Stands between clients and the service, and breaks their connections when it is told to.
struct Line {
    port: u16,
    cuts: Arc<watch::Sender<u32>>,
}

impl Line {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self { port: listener.local_addr().unwrap().port(), cuts: Arc::default() };
        let cuts = line.cuts.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    // Refused while the service is not there: the client is, too
                    let Ok(mut service) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut service) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        line
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

fn subscribe(stage: &Stage, port: u16, query: &str, after: Option<i32>) -> Client {
    let mut options = json!({ "token": stage.token(1), "query": query });
    if let Some(after) = after {
        options["after"] = after.into();
    }
    let url = format!("ws://127.0.0.1:{port}/graphql");
    Client::start("graphql-ws.mjs", [url, options.to_string()])
}

const CREATED: &str = "subscription ($after: Int) { notificationCreated(afterSequence: $after) {
    sequence type title message isRead relatedLeadId relatedLead { id } createdAt } }";

/// The next result or error, past news of the connection.
async fn next(client: &mut Client) -> Value {
    loop {
        let said = client.next().await;
        if !["connected", "closed", "missed"].iter().any(|news| said["on"] == *news) {
            return said;
        }
    }
}

async fn sequences(client: &mut Client, count: i32) -> Vec<i64> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let said = next(client).await;
        let sequence = said["data"]["data"]["notificationCreated"]["sequence"].as_i64();
        seen.push(sequence.unwrap_or_else(|| panic!("{said}")));
    }
    seen
}

async fn nothing_lost_nothing_twice(database: TestDatabase) {
    let mut stage = Stage::set(database).await;
    stage.notify(1, 30).await;
    let line = Line::to(stage.port).await;
    let mut client = subscribe(&stage, line.port, CREATED, Some(0));
    assert_eq!(sequences(&mut client, 30).await, (1..=30).collect::<Vec<_>>());
    for round in 0..6 {
        stage.notify(31 + round * 50, 25).await;
        line.cut();
        stage.notify(56 + round * 50, 25).await;
        if round == 3 {
            stage.stop().await;
            stage.start().await;
        }
    }
    assert_eq!(sequences(&mut client, 300).await, (31..=330).collect::<Vec<_>>());
    stage.graphql("mutation { markAllAsRead }").await;
    assert_eq!(client.rest().iter().filter(|said| said["on"] == "next").count(), 0);
    assert!(stage.metric("leadgraph_live_resumed_total").await > 0);
    stage.stop().await;
}

#[tokio::test]
async fn a_client_that_loses_its_connection_sees_everything_once() {
    nothing_lost_nothing_twice(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn a_client_that_loses_its_connection_sees_everything_once_on_postgres() {
    nothing_lost_nothing_twice(TestDatabase::postgres()).await;
}

#[tokio::test]
async fn a_client_goes_on_only_where_nothing_is_lost() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    stage.notify(1, 3).await;
    let mut client = subscribe(&stage, stage.port, CREATED, Some(1));
    assert_eq!(sequences(&mut client, 2).await, [2, 3]);
    for (after, code) in [(-1, "BAD_USER_INPUT"), (4, "NOT_FOUND"), (i32::MAX, "NOT_FOUND")] {
        let said = next(&mut subscribe(&stage, stage.port, CREATED, Some(after))).await;
        assert_eq!(
            (&said["on"], &said["data"][0]["extensions"]["code"]),
            (&json!("error"), &json!(code)),
            "{said}"
        );
    }
    stage.sql("UPDATE counter SET value = 10004 WHERE name = 'notification.sequence'").await;
    let said = next(&mut subscribe(&stage, stage.port, CREATED, Some(3))).await;
    let message = "What follows sequence 3 is not kept; query and start afresh";
    assert_eq!((&said["on"], &said["data"][0]["message"]), (&json!("error"), &json!(message)));
    let mut client = subscribe(&stage, stage.port, CREATED, Some(4));
    while client.next().await["on"] != "connected" {}
    stage.notify(1, 1).await;
    assert_eq!(sequences(&mut client, 1).await, [10005]);
}

#[tokio::test]
async fn what_happens_to_notifications_is_told() {
    let stage = Stage::set(TestDatabase::sqlite()).await;
    stage.notify(1, 2).await;
    let mut created = subscribe(&stage, stage.port, CREATED, Some(0));
    assert_eq!(sequences(&mut created, 2).await, [1, 2]);
    let ids = stage.graphql("{ getNotifications { id } }").await["getNotifications"].clone();
    let ids: Vec<_> = ids.as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    let queries = [
        "subscription { notificationUpdated { id isRead relatedLead { id } } }",
        "subscription { notificationDeleted }",
        "subscription { notificationsBulkUpdated { action count } }",
    ];
    let mut clients = queries.map(|query| subscribe(&stage, stage.port, query, None));
    crate::stage::eventually("all are subscribed", async || {
        stage.metric("leadgraph_live_subscriptions").await == 4
    })
    .await;
    stage.graphql(&format!("mutation {{ markAsRead(id: {}) {{ id }} }}", ids[0])).await;
    stage.graphql("mutation { markAllAsRead }").await;
    stage.graphql(&format!("mutation {{ deleteNotification(id: {}) }}", ids[0])).await;
    let expected = [
        json!({ "notificationUpdated": { "id": ids[0], "isRead": true, "relatedLead": null } }),
        json!({ "notificationDeleted": ids[0] }),
        json!({ "notificationsBulkUpdated": { "action": "mark-all-read", "count": 1 } }),
    ];
    for (client, expected) in clients.iter_mut().zip(expected) {
        assert_eq!(next(client).await["data"]["data"], expected);
    }
}
