//! `leadgraph events` on the databases of real services, whether they run or not.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

#[expect(dead_code, reason = "each test of the command line uses some of it")]
mod stand;

use std::process::Command;

use events::{Bus as _, Envelope, Event as _, LocalBus, contract::LeadCreated, outbox};
use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use stand::{Stand, rows, until};
use testkit::TestDatabase;
use uuid::Uuid;

/// An event of a version that nobody knows yet, on the bus.
async fn tell_of_the_future(stand: &Stand) -> Uuid {
    let id = Uuid::from_u128(0x0190_a000_0000_7000_8000_0000_0000_0001);
    let now = subgraph::Clock::System.now();
    let envelope = Envelope::new(&LeadCreated::example(), id, now, "user:1".into(), None).unwrap();
    let envelope = Envelope { dataschema: "urn:leadgraph:lead.created:9".into(), ..envelope };
    let row = outbox::Model {
        position: 1,
        id,
        kind: envelope.kind.clone(),
        envelope: serde_json::to_string(&envelope).unwrap(),
        created_at: now,
        published_at: None,
        keep_until: None,
    };
    let bus = LocalBus::open(&stand.data_dir().join("events.sqlite")).await.unwrap();
    bus.append(&[row]).await.unwrap();
    id
}

fn parked(stand: &Stand) -> Vec<Value> {
    serde_json::from_str(&stand.says(&["events", "parked", "--json"])).unwrap()
}

async fn parked_events_are_shown_and_replayed(database: Option<TestDatabase>) {
    let mut stand = Stand::start(&["notifications"], database, &[]).await;
    assert_eq!(stand.says(&["events", "parked"]), "nothing is parked\n");
    assert_eq!(stand.says(&["events", "replay", "--all"]), "nothing is parked\n");
    let id = tell_of_the_future(&stand).await;
    until("parked", async || parked(&stand).len() == 1).await;
    let event = parked(&stand).remove(0);
    assert_eq!((&event["service"], &event["id"]), (&"notifications".into(), &id.to_string().into()));
    assert_eq!((&event["type"], &event["subject"]), (&"lead.created".into(), &"lead/42".into()));
    assert_eq!((&event["attempts"], &event["envelope"]["data"]["lead"]["id"]), (&1.into(), &42.into()));
    let table = stand.says(&["events", "parked", "notifications"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("SERVICE        ID  ") && lines[0].ends_with("REASON"), "{table}");
    assert!(lines[1].starts_with(&format!("notifications  {id}  lead.created  lead/42  1  ")), "{table}");
    assert!(lines[1].ends_with("is not known: is this program too old?"), "{table}");
    // The running service tries again, in vain
    let said = stand.says(&["events", "replay", "--id", &id.to_string()]);
    assert_eq!(said, "notifications: 1 event is tried again as soon as it runs\n");
    until("tried again", async || parked(&stand)[0]["attempts"] == 2).await;
    // An upgrade would know it; here the event becomes one that is known, while nobody runs
    stand.kill("notifications");
    let db = stand.database("notifications").await;
    let known = "UPDATE parked_event SET envelope = replace(envelope, 'created:9', 'created:1')";
    db.execute_unprepared(known).await.unwrap();
    stand.says(&["events", "replay", "notifications", "--all"]);
    assert!(stand.says(&["events", "parked"]).contains("(to be tried again)"));
    stand.run("notifications").await;
    until("applied", async || parked(&stand).is_empty()).await;
    let told = rows(&db, "SELECT message FROM notification").await;
    assert_eq!(told, [serde_json::json!({ "message": "John Doe added to pipeline" })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_are_shown_and_replayed_on_sqlite() {
    parked_events_are_shown_and_replayed(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_are_shown_and_replayed_on_postgres() {
    parked_events_are_shown_and_replayed(Some(TestDatabase::postgres())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_shows_what_waits() {
    let mut stand = Stand::start(&["leads"], None, &[]).await;
    let status = |stand: &Stand| -> Vec<Value> {
        serde_json::from_str(&stand.says(&["events", "status", "--json"])).unwrap()
    };
    // Demo data
    until("published", async || status(&stand)[1]["unpublished"] == 0).await;
    assert_eq!(
        (&status(&stand)[0]["database"], &status(&stand)[1]["database"]),
        (&false.into(), &true.into())
    );
    stand.kill("leads");
    let db = stand.database("leads").await;
    db.execute_unprepared("UPDATE outbox SET published_at = NULL, keep_until = NULL").await.unwrap();
    let leads = status(&stand).remove(1);
    assert_eq!((&leads["service"], &leads["unpublished"]), (&"leads".into(), &15.into()));
    assert!(leads["oldestSeconds"].as_i64().is_some_and(|age| (0..60).contains(&age)), "{leads}");
    let table = stand.says(&["events", "status"]);
    assert!(table.lines().nth(1).unwrap().starts_with("accounts       no database yet"), "{table}");
    assert!(table.lines().nth(2).unwrap().starts_with("leads          15 "), "{table}");
    stand.run("leads").await;
    until("published", async || status(&stand)[1]["unpublished"] == 0).await;
}

#[test]
fn what_is_not_there_is_said_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadgraph"));
        let output = command.arg("events").args(args).arg("--data-dir").arg(&data).env_clear().output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    assert_eq!(run(&["parked"]), (true, "nothing is parked\n".into()));
    assert!(run(&["status"]).1.contains("notifications  no database yet"));
    let id = Uuid::nil().to_string();
    assert_eq!(
        run(&["replay", "--id", &id]),
        (false, "leadgraph: no such event is parked; see `leadgraph events parked`\n".into())
    );
    assert_eq!(run(&["parked", "nobody"]), (false, "leadgraph: there is no service nobody\n".into()));
    assert!(!run(&["replay"]).0 && !run(&["replay", "--all", "--id", &id]).0);
    assert!(!data.exists());
}
