//! Subscriptions that have a stream of their own and follow no events.

use crate::stage::{COUNTING, Stage};
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};
use testkit::eventually;

const COUNTED: &str = "subscription($to: Int!) { counted(to: $to) }";
const DEADLINE: Duration = Duration::from_secs(10);

fn nobody_counts() -> bool {
    COUNTING.load(Ordering::Relaxed) == 0
}

#[tokio::test]
async fn each_gets_all_of_a_stream_and_then_its_end() {
    let stage = Stage::new().await;
    let (mut one, mut other) = (stage.client().await, stage.client().await);
    one.subscribe("1", COUNTED, json!({ "to": 300 })).await;
    other.subscribe("1", COUNTED, json!({ "to": 2 })).await;
    for (client, to) in [(&mut one, 300), (&mut other, 2)] {
        for number in 1..=to {
            assert_eq!(client.next("1").await["data"]["counted"], number);
        }
        assert_eq!(client.hear().await, json!({ "id": "1", "type": "complete" }));
    }
    one.subscribe("1", COUNTED, json!({ "to": -1 })).await;
    assert_eq!(one.errors("1").await[0]["extensions"]["code"], "BAD_USER_INPUT");
    let answer = stage.post(COUNTED, json!({ "to": 1 })).await;
    assert_ne!(answer["errors"], Value::Null, "over HTTP there are none");
    eventually("streams that have ended are dropped", DEADLINE, async || nobody_counts()).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_subscriber() {
    let stage = Stage::new().await;
    let (mut one, mut other) = (stage.client().await, stage.client().await);
    for client in [&mut one, &mut other] {
        // Nobody reads so many: it waits for the client
        client.subscribe("1", COUNTED, json!({ "to": i32::MAX })).await;
        assert_eq!(client.next("1").await["data"]["counted"], 1);
    }
    assert!(!nobody_counts());
    one.say(json!({ "id": "1", "type": "complete" })).await;
    drop(other);
    eventually("streams end with those who subscribed", DEADLINE, async || nobody_counts()).await;
}
