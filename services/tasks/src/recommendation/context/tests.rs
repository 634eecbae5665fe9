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
fn what_was_suggested_counts_as_new_until_something_happens_or_a_day_passes() {
    let long_ago = |at| Context { lead: leadview::Model { updated_at: Some(at), ..lead().lead }, ..lead() };
    assert_eq!(long_ago(DateTime::UNIX_EPOCH).fresh(), now() - FRESH);
    assert_eq!(long_ago(now() - TimeDelta::hours(2)).fresh(), now() - TimeDelta::hours(2));
    let called = |ago| Context { lead: long_ago(DateTime::UNIX_EPOCH).lead, ..with(&[("CALL", ago)]) };
    assert_eq!(called(TimeDelta::hours(1)).fresh(), now() - TimeDelta::hours(1));
    assert_eq!(called(TimeDelta::minutes(-3)).fresh(), now());
}
