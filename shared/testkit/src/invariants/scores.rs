//! Views of interactions equal what the owner has, and every score is the one of its lead's interactions.

use std::collections::BTreeMap;

use super::facts::{Facts, Interaction, Lead};

/// As the usual model counts: microseconds in which points halve.
const HALF_LIFE: f64 = 14.0 * 86_400_000_000.0;

pub(super) fn broken(facts: &Facts) -> Vec<String> {
    let mut broken = views(facts);
    broken.extend(sums(facts));
    broken.extend(fits(facts));
    broken
}

/// Each score says how well its lead fits as it is now.
fn fits(facts: &Facts) -> Vec<String> {
    let known = facts.scores.values().filter_map(|score| Some((score, facts.leads.get(&score.lead_id)?)));
    let wrong = known.filter(|(score, lead)| (score.fit, score.closed) != (fit(lead), is_closed(lead)));
    wrong
        .map(|(score, lead)| {
            format!("the score of {lead:?} says fit {} and closed {}", score.fit, score.closed)
        })
        .collect()
}

fn fit(lead: &Lead) -> i32 {
    let status = match lead.status.as_deref() {
        Some("NEW") => 10,
        Some("CONTACTED") => 20,
        Some("QUALIFIED" | "WON") => 40,
        _ => 0,
    };
    let budget = match lead.budget_cents.unwrap_or_default() {
        ..=0 => 0,
        1..=1_000_000 => 10,
        1_000_001..=5_000_000 => 20,
        _ => 30,
    };
    let given = [lead.has_phone == Some(true), lead.location.is_some(), lead.owner_id.is_some()];
    status + budget + 10 * given.map(i32::from).iter().sum::<i32>()
}

fn is_closed(lead: &Lead) -> bool {
    matches!(lead.status.as_deref(), Some("WON" | "LOST"))
}

fn views(facts: &Facts) -> Vec<String> {
    let (owned, mut broken) = (&facts.interactions["interactions"], Vec::new());
    for (service, seen) in facts.interactions.iter().filter(|(service, _)| **service != "interactions") {
        for (id, interaction) in owned {
            if seen.get(id) != Some(interaction) {
                let known = seen.get(id);
                broken.push(format!("{service} knows the interaction {id} as {known:?}: {interaction:?}"));
            }
        }
        let gone = seen.keys().filter(|id| !owned.contains_key(id));
        broken.extend(gone.map(|id| format!("{service} knows an interaction {id} that is gone")));
    }
    broken
}

/// The sum of each lead's points, made anew, is the one that is stored; a lead without interactions has none.
fn sums(facts: &Facts) -> Vec<String> {
    let mut of_lead: BTreeMap<i32, Vec<&Interaction>> = BTreeMap::new();
    for interaction in facts.interactions["interactions"].values() {
        of_lead.entry(interaction.lead_id).or_default().push(interaction);
    }
    let mut broken = Vec::new();
    for (lead, score) in &facts.scores {
        let interactions = of_lead.remove(lead).unwrap_or_default();
        let sum: f64 = interactions.iter().map(|it| points(&it.kind) * left(it.at, score.as_of)).sum();
        if (sum - score.decayed_sum).abs() > 1e-6 * sum.max(1.0)
            || interactions.is_empty() && score.decayed_sum != 0.0
        {
            broken.push(format!(
                "the score of the lead {lead} is made of {} instead of {sum}",
                score.decayed_sum
            ));
        }
    }
    broken.extend(of_lead.keys().map(|lead| format!("the lead {lead} has interactions and no score")));
    broken
}

fn points(kind: &str) -> f64 {
    match kind {
        "MEETING" => 20.0,
        "CALL" => 10.0,
        _ => 5.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a few hundred years are exact")]
fn left(from: i64, to: i64) -> f64 {
    ((from - to) as f64 / HALF_LIFE).exp2()
}
