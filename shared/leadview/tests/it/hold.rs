//! Adding something to a lead: what is known, who is asked, and what happens when it is removed meanwhile.

use crate::follower::{Follower, Leads, apply, begin, finish, remove, seen};
use events::contract::{Lead, LeadCreated, LeadUpdated};
use leadview::{LeadView, known};
use subgraph::{Service, View};
use testkit::TestDatabase;

async fn code(service: &Service, id: i32) -> Option<&'static str> {
    known(service, id).await.err().map(|error| error.code())
}

#[tokio::test]
async fn only_a_lead_that_the_view_does_not_have_needs_the_leads_service() {
    for database in TestDatabase::both() {
        let follower = Follower::new(&database, None);
        let endpoint = follower.prepare().await;
        let service = endpoint.service();
        assert_eq!(code(service, 42).await, Some("UNAVAILABLE"));
        apply(service, LeadCreated { lead: Lead::example() }).await;
        assert_eq!(seen(service, 42).await, Some((&Lead::example()).into()));
        let change = begin(service).await;
        let lead = known(service, 42).await.unwrap().hold(&change).await.unwrap();
        drop(change);
        assert_eq!((lead.name().as_deref(), lead.version), (Some("John Doe"), 1));
        assert_eq!(leadview::name(service.db.read(), 42).await.unwrap().as_deref(), Some("John Doe"));
        remove(service, 42).await;
        assert_eq!(code(service, 42).await, Some("NOT_FOUND"));
        assert_eq!(leadview::name(service.db.read(), 42).await.unwrap(), None);
        service.db.close().await;
    }
}

#[tokio::test]
async fn what_the_leads_service_answers_is_kept() {
    let mut leads = Leads::start().await;
    for database in TestDatabase::both() {
        let follower = Follower::new(&database, Some(&leads));
        let endpoint = follower.prepare().await;
        let service = endpoint.service();
        assert_eq!(code(service, 99).await, Some("NOT_FOUND"));
        let answered = known(service, 3).await.unwrap();
        let change = begin(service).await;
        let held = answered.hold(&change).await.unwrap();
        finish(change).await;
        assert_eq!(seen(service, 3).await, Some(held.clone()));
        assert!(held.first_name.is_some() && held.created_at.is_some() && !held.is_removed(), "{held:?}");
        service.db.close().await;
    }
    let database = TestDatabase::sqlite();
    let follower = Follower::new(&database, Some(&leads));
    let endpoint = follower.prepare().await;
    leads.kill();
    assert_eq!(code(endpoint.service(), 3).await, Some("UNAVAILABLE"));
}

#[tokio::test]
async fn what_an_event_told_meanwhile_counts_more_than_an_answer() {
    let leads = Leads::start().await;
    for database in TestDatabase::both() {
        let follower = Follower::new(&database, Some(&leads));
        let endpoint = follower.prepare().await;
        let service = endpoint.service();
        let (changed, removed) = (known(service, 1).await.unwrap(), known(service, 2).await.unwrap());
        let lead = Lead { id: 1, version: 5, ..Lead::example() };
        apply(service, LeadUpdated { lead, changed: vec!["firstName".into()] }).await;
        remove(service, 2).await;
        let change = begin(service).await;
        assert_eq!(changed.hold(&change).await.unwrap().version, 5);
        let gone = removed.hold(&change).await.unwrap_err();
        assert_eq!((gone.code(), &*gone.message()), ("NOT_FOUND", "Lead with ID 2 not found"));
        drop(change);
        service.db.close().await;
    }
}

#[tokio::test]
async fn a_snapshot_fills_in_what_is_missing_and_brings_nobody_back() {
    for database in TestDatabase::both() {
        let follower = Follower::new(&database, None);
        let endpoint = follower.prepare().await;
        let service = endpoint.service();
        let [new, newer, gone] = [1, 2, 3].map(|id| Lead { id, version: 4, ..Lead::example() });
        apply(service, LeadCreated { lead: Lead { version: 7, ..newer.clone() } }).await;
        remove(service, 3).await;
        let mut change = begin(service).await;
        for (lead, changes) in [(new, true), (newer, false), (Lead { version: 40, ..gone }, false)] {
            let row = LeadUpdated { lead, changed: Vec::new() };
            assert_eq!(<LeadView as View<_>>::refill(&mut change, &row).await.unwrap(), changes);
        }
        finish(change).await;
        assert_eq!(seen(service, 1).await.unwrap().version, 4);
        assert_eq!(seen(service, 2).await.unwrap().version, 7);
        let tombstone = seen(service, 3).await.unwrap();
        assert!(tombstone.is_removed() && tombstone.name().is_none(), "{tombstone:?}");
        service.db.close().await;
    }
}
