//! An event of a version that this program does not know.

use crate::follower::{Follower, seen, subgraph};
use chrono::DateTime;
use events::{Bus, Envelope, Event, LocalBus, contract::LeadCreated, inbox::parked, outbox};
use std::time::Duration;
use subgraph::{Clock, Random};
use testkit::TestDatabase;
use tokio::time::{Instant, sleep};

/// As it stands in an outbox.
fn row(envelope: &Envelope) -> outbox::Model {
    outbox::Model {
        position: 0,
        id: envelope.id,
        kind: envelope.kind.clone(),
        envelope: serde_json::to_string(envelope).unwrap(),
        created_at: envelope.time,
        published_at: None,
        keep_until: None,
    }
}

#[tokio::test]
async fn a_lead_in_an_unknown_form_is_put_aside_and_in_nobodys_way() {
    let database = TestDatabase::postgres();
    let follower = Follower::new(&database, None);
    let endpoint = follower.prepare().await;
    let running =
        subgraph().start_with(follower.config.clone(), Clock::System, Random::System).await.unwrap();
    let bus = LocalBus::open(&follower.folder.path().join("events.sqlite")).await.unwrap();
    let ids = [0, 1].map(|_| Random::System.uuid(DateTime::UNIX_EPOCH));
    let [strange, usual] = ids.map(|id| {
        Envelope::new(&LeadCreated::example(), id, DateTime::UNIX_EPOCH, "user:1".into(), None).unwrap()
    });
    let strange = Envelope { dataschema: "urn:leadgraph:lead.created:2".into(), ..strange };
    bus.append(&[row(&strange), row(&usual)]).await.unwrap();

    let (db, begin) = (endpoint.service().db.read(), Instant::now());
    while seen(endpoint.service(), 42).await.is_none() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the event that follows is not applied");
        sleep(Duration::from_millis(20)).await;
    }
    let [put_aside] = parked::list(db).await.unwrap().try_into().unwrap();
    assert_eq!((put_aside.event_id, &*put_aside.kind), (strange.id, LeadCreated::TYPE));
    assert!(put_aside.reason.contains("lead.created:2 is not known"), "{}", put_aside.reason);
    running.stop().await.unwrap();
    endpoint.service().db.close().await;
}
