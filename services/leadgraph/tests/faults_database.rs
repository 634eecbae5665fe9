//! Databases that end all connections, stop, crash, show rows late, and are full: what was acknowledged is there,
//! what cannot be done is refused in words, and all goes on by itself afterwards.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::env;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use events::contract::{Lead, LeadCreated, LeadUpdated};
use events::{Envelope, Event, outbox};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    QueryFilter, TransactionTrait,
};
use serde_json::{Value, json};
use subgraph::{Clock, Random, audit};
use testkit::stack::{Client, Databases, Failure};
use testkit::supergraph::SERVICES;
use testkit::{Load, Stack, eventually, tethered};
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(20);
/// Tells [`inside_a_small_disk`] where it is.
const SMALL_DISK: &str = "LEADGRAPH_SMALL_DISK";

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_and_the_server_stops_and_crashes_under_load() {
    let mut stack = Stack::networked().await;
    let load = Load::start(stack.client(), 111, 4);
    for _ in 0..8 {
        load.more(12).await;
        stack.postgres().terminate_all().await;
    }
    for _ in 0..2 {
        load.more(12).await;
        stack.postgres().restart().await;
    }
    load.more(12).await;
    stack.postgres().kill();
    sleep(Duration::from_secs(2)).await;
    stack.postgres().restart().await;
    load.more(30).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

/// Of two transactions the one with the higher position commits first, and its event is published long before.
#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_becomes_visible_late() {
    let stack = Stack::networked().await;
    let (early, late) = (stack.client().create_lead("Early").await, stack.client().create_lead("Late").await);
    stack.verify().await;
    let databases = stack.databases();
    let lower = databases.of("leads").begin().await.unwrap();
    moved(databases, &lower, late, "Below").await;
    let higher = databases.of("leads").begin().await.unwrap();
    moved(databases, &higher, early, "Above").await;
    higher.commit().await.unwrap();
    let so = || async {
        databases.count("tasks", &format!("lead_view WHERE id = {early} AND location = 'Above'")).await == 1
    };
    eventually("the higher position is published", SOON, so).await;
    assert_eq!(databases.count("leads", "outbox WHERE published_at IS NULL").await, 0);

    lower.commit().await.unwrap();
    let so = || async {
        databases.count("tasks", &format!("lead_view WHERE id = {late} AND location = 'Below'")).await == 1
    };
    eventually("the lower position is published, too", SOON, so).await;
    let order = "outbox a JOIN outbox b ON a.position < b.position AND a.published_at > b.published_at";
    assert!(databases.count("leads", order).await > 0, "they were published against their positions");
    stack.verify().await;
}

/// What moving a lead writes, in a transaction of the test's.
async fn moved(databases: &Databases, tx: &DatabaseTransaction, id: i32, location: &str) {
    let created = outbox::Entity::find().filter(outbox::Column::Kind.eq(LeadCreated::TYPE));
    let created = created.filter(outbox::Column::Envelope.contains(format!(r#""subject":"lead/{id}""#)));
    let created = created.one(databases.of("leads")).await.unwrap().unwrap();
    let LeadCreated { lead } = serde_json::from_str::<Envelope>(&created.envelope).unwrap().event().unwrap();
    let now = Clock::System.now();
    let lead = Lead { version: lead.version + 1, location: Some(location.into()), updated_at: now, ..lead };
    let update = format!(
        "UPDATE lead SET version = {}, location = '{location}', location_key = lower('{location}'),
         updated_at = '{}' WHERE id = {id}",
        lead.version,
        now.to_rfc3339()
    );
    tx.execute_unprepared(&update).await.unwrap();
    let event = LeadUpdated { lead, changed: vec!["location".into()] };
    let event = Envelope::new(&event, Random::System.uuid(now), now, "system".into(), None).unwrap();
    outbox::add(tx, std::slice::from_ref(&event)).await.unwrap();
    let change = audit::Model {
        id: event.id,
        at: now,
        actor: "system".into(),
        request_id: String::new(),
        action: "lead.updated".into(),
        entity_id: id.to_string(),
        details: "{}".into(),
    };
    audit::Entity::insert(change.into_active_model().reset_all()).exec_without_returning(tx).await.unwrap();
}

/// Runs [`inside_a_small_disk`] where a small disk is mounted that nobody else sees.
#[test]
fn a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tethered("unshare", "KILL");
    // Who is not root here becomes root of a world of its own
    command.arg(if rustix::process::geteuid().is_root() { "-m" } else { "-rm" });
    command.args([
        "--",
        "sh",
        "-c",
        r#"mount -t tmpfs -o size=48m tmpfs "$1" && exec "$2" "$3" --exact --ignored --nocapture"#,
    ]);
    command.arg("sh").arg(folder.path()).arg(env::current_exe().unwrap()).arg("inside_a_small_disk");
    let output = command.env(SMALL_DISK, folder.path()).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a small disk of its own: a_full_disk runs it there"]
async fn inside_a_small_disk() {
    let disk = PathBuf::from(env::var_os(SMALL_DISK).expect("run a_full_disk"));
    let mut stack = Stack::embedded_in(&disk.join("data")).await;
    let load = Load::start(stack.client(), 121, 3);
    load.more(40).await;
    let filler = fill(&disk);
    let client = stack.client().clone();
    let mut refused = 0;
    for number in 0.. {
        match bulk(&client, number).await {
            // A file may have room inside for some more
            Ok(_) => assert!(number < 300, "only {refused} changes were refused"),
            Err(failure) if failure.is("UNAVAILABLE") => refused += 1,
            Err(failure) => panic!("{failure}"),
        }
        if refused == 30 {
            break;
        }
        // What was freed meanwhile is used up, too
        fill(&disk);
    }
    for service in SERVICES {
        assert!(stack.replica(service).running().is_running(), "{service} has ended");
    }
    client.data("leads", "{ leads(limit: 3) { email } }", json!({})).await;
    sleep(Duration::from_secs(3)).await;

    std::fs::remove_file(filler).unwrap();
    let so = || async { client.try_create_lead("Room").await.is_ok() };
    eventually("there is room again", SOON, so).await;
    load.more(40).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

/// Fifty leads at once, with long names.
async fn bulk(client: &Client, number: u32) -> Result<Value, Failure> {
    let create = "mutation($input: [CreateLeadInput!]!) { createLeads(input: $input) { lead { id } } }";
    let long = "x".repeat(100);
    let lead = |index| {
        let email = format!("full-{number}-{index}@example.com");
        json!({ "firstName": long, "lastName": long, "email": email })
    };
    let input: Vec<_> = (0..50).map(lead).collect();
    client.ask("leads", create, json!({ "input": input })).await
}

/// Uses up all room there is; the file that does.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = File::options().create(true).append(true).open(&path).unwrap();
    for block in [vec![0; 1 << 20], vec![0; 4_096], vec![0; 1]] {
        while file.write_all(&block).is_ok() {}
    }
    path
}
