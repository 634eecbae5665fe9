//! Leads as they could be.

use super::*;
use crate::recommendation::{draft::tests::draft, kind::Kind};
use events::contract::Lead;

/// When all of it is.
fn now() -> DateTime<Utc> {
    Lead::example().created_at
}

/// A new lead, of whom nothing is known.
pub fn lead() -> Context {
    Context {
        at: now(),
        lead: (&Lead { status: "NEW".into(), ..Lead::example() }).into(),
        interactions: Vec::new(),
        open: Vec::new(),
        standing: Standing::default(),
        score: None,
    }
}

/// A lead with whom these kinds of things happened so long ago, newest first.
pub fn with(interactions: &[(&str, TimeDelta)]) -> Context {
    let row = |(kind, ago): &(&str, TimeDelta)| interactions::Model {
        id: 1,
        version: 1,
        lead_id: Some(42),
        kind: (*kind).into(),
        at: (now() - *ago).timestamp_micros(),
        notes: None,
    };
    Context { interactions: interactions.iter().map(row).collect(), ..lead() }
}

/// Something to do that is due so far from now.
pub fn task(due: TimeDelta) -> task::Model {
    let task = draft(Kind::NextStep).into_task(42, now());
    task::Model {
        title: "Send the {lead} offer".into(),
        due_date: Some(now() + due),
        source: task::TaskSource::Manual,
        suggestion_kind: None,
        ..task
    }
}

/// A score of so long ago.
pub fn score(band: &str, ago: TimeDelta) -> score_view::Model {
    let at = (now() - ago).timestamp_micros();
    score_view::Model { lead_id: 42, version: 1, score: Some(70), band: Some(band.into()), at }
}

#[test]
fn the_facts_are_others_as_soon_as_something_is_known_that_was_not_whenever_it_happened() {
    let call = || with(&[("CALL", TimeDelta::hours(1))]);
    let mut others =
        vec![lead(), call(), with(&[("CALL", TimeDelta::hours(1)), ("EMAIL", TimeDelta::days(90))])];
    others.extend([call(), call(), call()]);
    others[3].lead.version += 1;
    others[4].interactions[0].version += 1;
    others[5].interactions[0].id += 1;
    for (number, one) in others.iter().enumerate() {
        assert_eq!(one.basis(), one.clone().basis());
        assert!(others[..number].iter().all(|other| other.basis() != one.basis()), "{number}");
    }
}
