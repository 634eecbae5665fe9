//! Following a recalculation over a WebSocket.

use crate::{
    chance::Chance,
    stage::{PATIENCE, Stage, beginning},
    stored::fill,
};
use chrono::TimeDelta;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::TestDatabase;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

const LEADS: i32 = 25_000;

/// Somebody who is subscribed to the progress.
struct Follower(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Follower {
    async fn of(stage: &Stage) -> Self {
        let mut request = format!("ws://{}/graphql", stage.addr()).into_client_request().unwrap();
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let mut follower = Self(connect_async(request).await.unwrap().0);
        follower.say(json!({ "type": "connection_init", "payload": { "token": stage.token() } })).await;
        assert_eq!(follower.hear().await, json!({ "type": "connection_ack" }));
        let query = "subscription { recalculationProgress { done total finished } }";
        follower.say(json!({ "id": "1", "type": "subscribe", "payload": { "query": query } })).await;
        follower.say(json!({ "type": "ping" })).await;
        assert_eq!(follower.hear().await["type"], "pong");
        follower
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("something in time").unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// All that is shown, to the end of the stream.
    async fn until_the_end(mut self) -> Vec<Value> {
        let mut shown = Vec::new();
        loop {
            let mut message = self.hear().await;
            match message["type"].as_str() {
                Some("next") => shown.push(message["payload"]["data"]["recalculationProgress"].take()),
                Some("complete") => return shown,
                _ => panic!("{message}"),
            }
        }
    }
}

fn is_whole(shown: &[Value]) -> bool {
    let done = |row: &Value| row["done"].as_i64().unwrap();
    shown.is_sorted_by(|one, other| done(one) <= done(other))
        && shown.iter().rev().skip(1).all(|row| row["finished"] == false)
}

#[tokio::test]
async fn progress_goes_until_the_end_and_no_further() {
    for database in TestDatabase::both() {
        let stage = Stage::set(database).await;
        let mut chance = Chance::new(3);
        let leads: Vec<_> = (1..=LEADS).map(|id| chance.lead(id, beginning())).collect();
        fill(&stage, &leads, &[]).await;
        for round in ["the first run", "one more"] {
            let [one, other] = [Follower::of(&stage).await, Follower::of(&stage).await];
            // Until they have looked whether there is one under way
            sleep(Duration::from_secs(1)).await;
            // Runs are told apart by when they were asked for
            stage.clock.advance(TimeDelta::seconds(1));
            assert_eq!(stage.recalculate().await, (i64::from(LEADS), 0));
            for follower in [one, other] {
                let shown = follower.until_the_end().await;
                let last = json!({ "done": LEADS, "total": LEADS, "finished": true });
                assert_eq!(shown.last(), Some(&last), "{round}");
                assert!(is_whole(&shown), "{round}: {shown:?}");
            }
        }
        stage.strike().await;
    }
}
