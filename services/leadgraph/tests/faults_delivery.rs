//! Events that come a hundred times, in the wrong order, slowly, or in a form that nobody can read: each has its
//! effect once, and none is in the way of others.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::collections::BTreeSet;
use std::time::Duration;

use events::contract::{Lead, LeadUpdated};
use events::inbox::parked;
use events::{Envelope, Event, outbox};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::json;
use subgraph::{Clock, Random};
use testkit::invariants::Allowed;
use testkit::stack::delivery;
use testkit::supergraph::SERVICES;
use testkit::{Load, Stack, eventually};

const CONSUMERS: [&str; 4] = ["interactions", "tasks", "scoring", "notifications"];
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn each_event_a_hundred_times() {
    let mut stack = Stack::networked().await;
    let load = Load::start(stack.client(), 91, 2);
    load.more(40).await;
    let ledger = load.finish().await;
    let session = stack.client().login().await.unwrap();
    stack.client().ask_as(Some(&session), "accounts", "mutation { logout }", json!({})).await.unwrap();
    stack.verify().await;
    let counts = row_counts(&stack).await;
    let events: Vec<_> =
        all_events(&stack).await.iter().map(|it| (it.envelope.clone(), it.kind.clone())).collect();
    for _ in 0..99 {
        let again: Vec<_> = events.iter().map(|(envelope, kind)| delivery(envelope, kind)).collect();
        stack.bus().await.append(&again).await.unwrap();
    }
    stack.settle(Duration::from_mins(2)).await.unwrap();
    stack.verify().await;
    ledger.verify(stack.databases()).await;
    assert_eq!(row_counts(&stack).await, counts, "nothing was done again");

    // And in another life: everybody has forgotten where they were
    for service in SERVICES {
        stack.kill(service);
        stack.databases().execute(service, "DELETE FROM bus_cursor").await;
        stack.restart(service).await;
    }
    stack.settle(Duration::from_mins(2)).await.unwrap();
    stack.verify().await;
    assert_eq!(row_counts(&stack).await, counts, "nothing was done again");
}

/// Nobody has heard of the leads yet when the newest event of each comes first.
#[tokio::test(flavor = "multi_thread")]
async fn out_of_order() {
    let mut stack = Stack::networked().await;
    stack.verify().await;
    let last = outbox::last_position(stack.databases().of("leads")).await.unwrap();
    for service in CONSUMERS {
        stack.kill(service);
    }
    stack.nats().pause();
    let client = stack.client().clone();
    let (kept, removed) = (client.create_lead("Kept").await, client.create_lead("Removed").await);
    for place in ["Here", "There", "Elsewhere"] {
        client.move_lead(kept, place).await;
        client.move_lead(removed, place).await;
    }
    client.remove_lead(removed).await;
    stack.kill("leads");
    stack.nats().resume();

    let rows = outbox::Entity::find().order_by_desc(outbox::Column::Position);
    let rows = rows.all(stack.databases().of("leads")).await.unwrap();
    let newest_first =
        rows.iter().filter(|row| row.position > last).map(|row| delivery(&row.envelope, &row.kind));
    let newest_first: Vec<_> = newest_first.collect();
    assert_eq!(newest_first.len(), 9);
    let append = || async { stack.bus().await.append(&newest_first).await.is_ok() };
    eventually("the bus takes them", SOON, append).await;
    for service in CONSUMERS {
        stack.restart(service).await;
    }
    let databases = stack.databases().clone();
    for service in CONSUMERS {
        let seen = format!("lead_view WHERE id = {kept} AND version = 4 AND location = 'Elsewhere'");
        let so = || async { databases.count(service, &seen).await == 1 };
        eventually("the newest one counts", SOON, so).await;
        let tombstone = format!("lead_view WHERE id = {removed} AND removed_at IS NOT NULL");
        assert_eq!(databases.count(service, &tombstone).await, 1, "{service}");
    }
    stack.restart("leads").await;
    stack.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer() {
    let stack = Stack::networked().await;
    stack.verify().await;
    let databases = stack.databases().clone();
    let slow = "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.15); RETURN NEW; END $$;
        CREATE TRIGGER slowly BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION slowly()";
    databases.execute("scoring", slow).await;
    let load = Load::start(stack.client(), 101, 3);
    load.more(150).await;
    let ledger = load.finish().await;
    let quick = stack.client().create_lead("Quick").await;
    let seen = format!("lead_view WHERE id = {quick}");
    for service in ["interactions", "tasks", "notifications"] {
        let so = || async { databases.count(service, &seen).await == 1 };
        eventually("the others do not wait", Duration::from_secs(3), so).await;
    }
    assert_eq!(databases.count("scoring", &seen).await, 0, "it is slow");
    let lag = stack.metric("scoring", "leadgraph_consumer_lag").await.unwrap();
    assert!(lag > 10.0, "{lag}");

    stack.verify().await;
    ledger.verify(&databases).await;
    databases.execute("scoring", "DROP TRIGGER slowly ON inbox; DROP FUNCTION slowly").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_put_aside_and_replayed() {
    let stack = Stack::networked().await;
    stack.verify().await;
    let (client, databases) = (stack.client(), stack.databases().clone());
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'nobody knows why'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON lead_view FOR EACH ROW WHEN (NEW.first_name = 'Poison')
        EXECUTE FUNCTION refuse()";
    databases.execute("tasks", refuse).await;
    let future = from_the_future();
    let foreign = [delivery(&future, LeadUpdated::TYPE), delivery("no event \u{1}", LeadUpdated::TYPE)];
    stack.bus().await.append(&foreign).await.unwrap();
    let poison = client.create_lead("Poison").await;
    let lead = client.create_lead("Healthy").await;

    let seen = format!("lead_view WHERE id = {lead}");
    for service in CONSUMERS {
        let so = || async { databases.count(service, &seen).await == 1 };
        eventually("it is in nobody's way", SOON, so).await;
        shows_parked(&stack, service, if service == "tasks" { 3 } else { 2 }).await;
    }
    let tasks = parked::list(databases.of("tasks")).await.unwrap();
    let real = tasks.iter().find(|it| it.subject == format!("lead/{poison}")).expect("the poison is parked");
    assert_eq!(real.attempts, 5, "{real:?}");
    let allowed = Allowed { parked: all_parked(&stack).await, foreign: BTreeSet::new() };
    assert!(testkit::invariants::check(&databases, &allowed).await.is_err(), "tasks does not know the lead");

    databases.execute("tasks", "DROP TRIGGER refuse ON lead_view; DROP FUNCTION refuse").await;
    for service in CONSUMERS {
        assert!(parked::ask_replay(databases.of(service), None, Clock::System.now()).await.unwrap() > 0);
    }
    let so = || async { databases.count("tasks", &format!("lead_view WHERE id = {poison}")).await == 1 };
    eventually("it is applied after all", SOON, so).await;
    // What nobody can read stays, with one attempt more
    let so = || async {
        databases.count("tasks", "parked_event WHERE replay_at IS NULL AND attempts = 2").await == 2
    };
    eventually("what cannot be read is parked again", SOON, so).await;
    stack.verify_but(&Allowed { parked: all_parked(&stack).await, foreign: BTreeSet::new() }).await;
}

/// What is parked is in the table, in health and in the metrics.
async fn shows_parked(stack: &Stack, service: &str, expected: i32) {
    let parked = parked::list(stack.databases().of(service)).await.unwrap();
    assert_eq!(i32::try_from(parked.len()), Ok(expected), "{service}: {parked:#?}");
    assert!(parked.iter().any(|it| it.reason.contains("too old")), "{service}: {parked:#?}");
    let health = stack.health(service).await.unwrap();
    assert_eq!(health["status"], "degraded", "{health}");
    let said = health["checks"]["events"].as_str().unwrap();
    assert!(said.starts_with(&format!("{expected} parked")), "{health}");
    let counted = Some(f64::from(expected));
    let metrics = || async { stack.metric(service, "leadgraph_events_parked").await == counted };
    eventually("the metrics say so", SOON, metrics).await;
}

/// A notification of bulk work that is deleted before all of the work has come is not made again.
#[tokio::test(flavor = "multi_thread")]
async fn bulk_work_comes_while_people_delete() {
    let mut stack = Stack::networked().await;
    stack.verify().await;
    let (client, databases) = (stack.client().clone(), stack.databases().clone());
    stack.kill("notifications");
    let slow = "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
        CREATE TRIGGER slowly BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION slowly()";
    databases.execute("notifications", slow).await;
    let create = "mutation($input: [CreateLeadInput!]!) { createLeads(input: $input) { lead { id } } }";
    let lead = |name| json!({ "firstName": name, "lastName": "Doe", "email": format!("{name}@example.com") });
    let input: Vec<_> = ["one", "two", "three"].map(lead).into();
    client.data("leads", create, json!({ "input": input })).await;
    stack.restart("notifications").await;

    let told = "notification WHERE message = '3 leads added to pipeline'";
    let so = || async { databases.count("notifications", told).await == 1 };
    eventually("it is told", SOON, so).await;
    let newest = client.data("notifications", "{ getNotifications(limit: 1) { id } }", json!({})).await;
    let delete = "mutation($id: String!) { deleteNotification(id: $id) }";
    client.data("notifications", delete, json!({ "id": newest["getNotifications"][0]["id"] })).await;
    stack.verify().await;
    assert_eq!(databases.count("notifications", told).await, 0, "it is told once");
}

/// An event of a version that only a newer program knows.
fn from_the_future() -> String {
    let now = Clock::System.now();
    let event = LeadUpdated { lead: Lead::example(), changed: vec![] };
    let envelope = Envelope::new(&event, Random::System.uuid(now), now, "system".into(), None).unwrap();
    let envelope = Envelope { dataschema: "urn:leadgraph:lead.updated:99".into(), ..envelope };
    serde_json::to_string(&envelope).unwrap()
}

async fn all_parked(stack: &Stack) -> BTreeSet<uuid::Uuid> {
    let mut ids = BTreeSet::new();
    for service in SERVICES {
        ids.extend(parked::list(stack.databases().of(service)).await.unwrap().iter().map(|it| it.event_id));
    }
    ids
}

async fn all_events(stack: &Stack) -> Vec<outbox::Model> {
    let mut events = Vec::new();
    for service in SERVICES {
        let rows = outbox::Entity::find().order_by_asc(outbox::Column::Position);
        events.extend(rows.all(stack.databases().of(service)).await.unwrap());
    }
    events
}

async fn row_counts(stack: &Stack) -> Vec<(&'static str, &'static str, i64)> {
    let tables =
        |service| ["audit_log", "outbox", "inbox", "revoked_session"].map(move |table| (service, table));
    let tables = SERVICES.into_iter().flat_map(tables).chain([("notifications", "notification")]);
    let mut counts = Vec::new();
    for (service, table) in tables {
        counts.push((service, table, stack.databases().count(service, table).await));
    }
    counts
}
