//! Summaries by built-in rules: a few plain sentences that say what is stored about a lead and nothing else.
//!
//! They are read for as long as nothing happens, so they name dates and never say how long ago something was.

use super::facts::Facts;
use chrono::{DateTime, Utc};

/// What a summary says at its end, so that nobody takes it for more than it is.
const SIGNATURE: &str = "Written by built-in rules.";

/// The kinds of interactions in words: with an article, and many of them; in the order of the counts.
const NOUNS: [(&str, &str, &str); 3] =
    [("MEETING", "a meeting", "meetings"), ("CALL", "a call", "calls"), ("EMAIL", "an e-mail", "e-mails")];

/// What is known about a lead, in four sentences.
pub(super) fn summary(facts: &Facts) -> String {
    let (stage, profile) = (stage(facts), profile(facts));
    format!("{} {stage}; {profile}. {} {SIGNATURE}", history(facts), warmth(facts))
}

/// What happened, and when last.
fn history(facts: &Facts) -> String {
    let name = facts.lead.name().unwrap_or_else(|| "The lead".into());
    let Some(last) = facts.newest.first().filter(|_| facts.total() > 0) else {
        return format!("{name} has no interactions on record yet.");
    };
    let (all, date) = (join(&counted(facts.counts)), date(last.time()));
    if facts.total() == 1 {
        return format!("{name} has {all} on record, from {date}.");
    }
    let one = NOUNS.iter().find(|(kind, ..)| *kind == last.kind).map_or("one", |(_, one, _)| one);
    format!("{name} has {all} on record, the last of them {one} on {date}.")
}

/// `2 meetings` and so on, of those that there are.
fn counted(counts: [i64; 3]) -> Vec<String> {
    let nouns = counts.into_iter().zip(NOUNS).filter(|(count, _)| *count > 0);
    nouns.map(|(count, (_, _, many))| format!("{} {}", grouped(count), noun(many, count))).collect()
}

fn noun(many: &str, count: i64) -> &str {
    if count == 1 { many.trim_end_matches('s') } else { many }
}

/// Where it stands in the pipeline, and what it waits for there.
fn stage(facts: &Facts) -> &'static str {
    match facts.lead.status.as_deref() {
        Some("NEW") if facts.total() == 0 => "The lead is new and waits for a first contact",
        Some("NEW") => "The lead is still marked as new and waits to be marked as contacted",
        Some("CONTACTED") => "The lead was contacted and waits to be qualified",
        Some("QUALIFIED") => "The lead is qualified and waits for a decision",
        Some("WON") => "The lead was won and is closed",
        Some("LOST") => "The lead was lost and is closed",
        _ => "It is not known where the lead stands in the pipeline",
    }
}

/// What the profile says, and what it does not.
fn profile(facts: &Facts) -> String {
    let lead = &facts.lead;
    let parts = [
        ("budget", lead.budget_cents.map(|cents| format!("a budget of {}", amount(cents)))),
        ("location", lead.location.as_ref().map(|location| format!("a location ({location})"))),
        ("owner", lead.owner_id.map(|_| "an owner".to_owned())),
    ];
    let missing = parts.iter().filter(|(_, value)| value.is_none());
    let missing: Vec<_> = missing.map(|(what, _)| format!("no {what}")).collect();
    let there: Vec<_> = parts.into_iter().filter_map(|(_, value)| value).collect();
    let but = if there.is_empty() || missing.is_empty() { "" } else { ", but " };
    format!("its profile has {}{but}{}", join(&there), join(&missing))
}

/// How warm it was.
fn warmth(facts: &Facts) -> String {
    let warmth = match facts.band.as_bytes() {
        [.., b'1'] => "hot",
        [.., b'2'] => "warm",
        _ => "cold",
    };
    let (date, score, band) = (date(facts.at), facts.score, &facts.band);
    format!("On {date} it was {warmth}: its score was {score} of 100 and its band {band}.")
}

/// `1 January 2026`.
fn date(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y").to_string()
}

/// `1,234.50`, without cents when there are none.
fn amount(cents: i64) -> String {
    let whole = grouped(cents / 100);
    if cents % 100 == 0 { whole } else { format!("{whole}.{:02}", cents % 100) }
}

/// `1,234`.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let comma = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    let parts = digits.char_indices().map(|(place, c)| if comma(place) { format!(",{c}") } else { c.into() });
    parts.collect()
}

/// `a`, `a and b`, `a, b and c`.
fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
pub(super) mod tests;
