use super::*;
use leadview::interactions;

/// A lead of whom nothing is known but the name.
pub fn bare() -> Facts {
    let at = DateTime::parse_from_rfc3339("2026-01-15T12:00:00Z").unwrap().to_utc();
    let lead = leadview::Model {
        id: 42,
        version: 1,
        first_name: Some("John".into()),
        last_name: Some("Doe".into()),
        status: Some("NEW".into()),
        budget_cents: None,
        has_phone: false,
        location: None,
        owner_id: None,
        created_at: Some(at),
        updated_at: Some(at),
        removed_at: None,
    };
    Facts { at, touched: 0, lead, counts: [0; 3], newest: vec![], score: 0, fit: 10, band: "C3".into() }
}

/// With whom something of this kind happened last, on 12 January.
pub fn with(counts: [i64; 3], last: &str) -> Facts {
    let last = interactions::Model {
        id: 7,
        version: 1,
        lead_id: Some(42),
        kind: last.into(),
        at: bare().at.timestamp_micros() - 3 * 86_400_000_000,
        notes: Some("Asked for a proposal".into()),
    };
    Facts { counts, newest: vec![last], ..bare() }
}

fn profile(status: &str, budget_cents: Option<i64>, location: Option<&str>, owner_id: Option<i32>) -> Facts {
    let lead = leadview::Model {
        status: Some(status.into()),
        budget_cents,
        location: location.map(Into::into),
        owner_id,
        ..bare().lead
    };
    Facts { lead, ..bare() }
}

#[test]
fn of_a_lead_with_whom_nothing_happened_it_says_so() {
    assert_eq!(
        summary(&bare()),
        "John Doe has no interactions on record yet. The lead is new and waits for a first contact; its profile has \
         no budget, no location and no owner. On 15 January 2026 it was cold: its score was 0 of 100 and its band C3. \
         Written by built-in rules."
    );
}

#[test]
fn of_a_lead_with_whom_much_happened_it_says_what_and_when_last() {
    let known = profile("QUALIFIED", Some(1_250_050), Some("Austin, TX"), Some(1));
    let facts =
        Facts { lead: known.lead, score: 81, fit: 80, band: "A1".into(), ..with([2, 1, 1_234], "EMAIL") };
    assert_eq!(
        summary(&facts),
        "John Doe has 2 meetings, 1 call and 1,234 e-mails on record, the last of them an e-mail on 12 January 2026. \
         The lead is qualified and waits for a decision; its profile has a budget of 12,500.50, a location (Austin, TX) \
         and an owner. On 15 January 2026 it was hot: its score was 81 of 100 and its band A1. Written by built-in \
         rules."
    );
}

#[test]
fn one_and_many_are_told_apart() {
    for (counts, last, said) in [
        ([1, 0, 0], "MEETING", "has 1 meeting on record, from 12 January 2026."),
        ([0, 1, 0], "CALL", "has 1 call on record, from 12 January 2026."),
        ([0, 0, 1], "EMAIL", "has 1 e-mail on record, from 12 January 2026."),
        ([0, 2, 0], "CALL", "has 2 calls on record, the last of them a call on 12 January 2026."),
        (
            [1, 0, 1],
            "MEETING",
            "has 1 meeting and 1 e-mail on record, the last of them a meeting on 12 January 2026.",
        ),
        ([3, 1, 21], "CALL", "has 3 meetings, 1 call and 21 e-mails on record, the last of them a call on"),
    ] {
        let text = history(&with(counts, last));
        assert!(text.starts_with(&format!("John Doe {said}")), "{text}");
    }
}

#[test]
fn each_stage_says_what_it_waits_for() {
    for (status, said) in [
        ("NEW", "The lead is new and waits for a first contact"),
        ("CONTACTED", "The lead was contacted and waits to be qualified"),
        ("QUALIFIED", "The lead is qualified and waits for a decision"),
        ("WON", "The lead was won and is closed"),
        ("LOST", "The lead was lost and is closed"),
        ("ASLEEP", "It is not known where the lead stands in the pipeline"),
    ] {
        assert_eq!(stage(&profile(status, None, None, None)), said);
    }
    let said = "The lead is still marked as new and waits to be marked as contacted";
    assert_eq!(stage(&with([0, 1, 0], "CALL")), said);
}

#[test]
fn the_profile_says_what_is_there_and_what_is_not() {
    for (budget, location, owner, said) in [
        (Some(100), None, None, "a budget of 1, but no location and no owner"),
        (
            Some(123_456_789),
            Some("Oslo"),
            None,
            "a budget of 1,234,567.89 and a location (Oslo), but no owner",
        ),
        (Some(0), None, Some(1), "a budget of 0 and an owner, but no location"),
        (None, Some("Oslo"), None, "a location (Oslo), but no budget and no owner"),
        (Some(10_000_005), None, None, "a budget of 100,000.05, but no location and no owner"),
    ] {
        let facts = profile("NEW", budget, location, owner);
        assert_eq!(super::profile(&facts), format!("its profile has {said}"));
    }
}

#[test]
fn a_lead_is_as_warm_as_its_band() {
    for (band, said) in [("C1", "hot"), ("A2", "warm"), ("B3", "cold")] {
        let facts = Facts { band: band.into(), score: 42, ..bare() };
        let said = format!("On 15 January 2026 it was {said}: its score was 42 of 100 and its band {band}.");
        assert_eq!(warmth(&facts), said);
    }
}
