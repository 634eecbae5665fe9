//! Whatever happens and in which order it is told: what is stored is what a full recalculation makes of it.

use crate::{
    chance::{Chance, DAY},
    stage::{Stage, beginning},
    stored::{Row, Truth, scores},
};
use chrono::{DateTime, TimeDelta};
use events::{
    contract::{
        Interaction, InteractionCreated, InteractionRemoved, InteractionUpdated, Lead, LeadCreated,
        LeadRemoved, LeadUpdated,
    },
    outbox,
};
use scoring::model::{DecayedSum, ScoreModel, micros};
use std::collections::HashMap;
use testkit::TestDatabase;

const LEADS: i32 = 30;
const INTERACTIONS: i32 = 240;
/// The first of these leads is removed, the last one's interactions all are.
const REMOVED: i32 = 1;
const EMPTIED: i32 = LEADS;

/// What is told of one interaction, oldest first: noted, corrected some times, and in some cases removed.
fn story(stage: &Stage, chance: &mut Chance, id: i32) -> Vec<outbox::Model> {
    let lead_id = 1 + id % LEADS;
    let mut now = Interaction { id, lead_id, ..Interaction::example() };
    let mut told = Vec::new();
    for version in 1..=i32::try_from(1 + chance.below(3)).unwrap() {
        let kind = chance.kind().into();
        let date = DateTime::from_timestamp_micros(chance.time(beginning())).unwrap();
        now = Interaction { version, kind, date, ..now };
        let interaction = now.clone();
        told.push(match version {
            1 => stage.told(&InteractionCreated { interaction }),
            _ => stage.told(&InteractionUpdated { interaction, changed: vec!["date".into()] }),
        });
    }
    if lead_id == EMPTIED || chance.below(2) == 0 {
        told.push(stage.told(&InteractionRemoved { id, version: now.version + 1, lead_id }));
    }
    told
}

/// What is told of one lead.
fn profile(stage: &Stage, chance: &mut Chance, id: i32) -> Vec<outbox::Model> {
    let mut told = Vec::new();
    for version in 1..=4 {
        let row = chance.lead(id, beginning());
        let lead = Lead {
            id,
            version,
            status: row.status.unwrap_or_else(|| "NEW".into()),
            budget_cents: row.budget_cents,
            phone: row.has_phone.then(|| "+1 555 0100".into()),
            location: row.location,
            owner_id: row.owner_id,
            ..Lead::example()
        };
        told.push(match version {
            1 => stage.told(&LeadCreated { lead }),
            _ => stage.told(&LeadUpdated { lead, changed: vec!["status".into()] }),
        });
    }
    if id == REMOVED {
        told.push(stage.told(&LeadRemoved { id, version: 5 }));
    }
    told
}

/// The stories told together: each mostly in its order, some of it late, and some of it again.
fn mixed(stage: &Stage, chance: &mut Chance, stories: Vec<Vec<outbox::Model>>) -> Vec<outbox::Model> {
    let mut placed = Vec::new();
    for story in stories {
        let mut at = chance.below(1_000);
        for event in story {
            at += chance.below(400);
            let late = if chance.below(6) == 0 { chance.below(900) } else { 0 };
            if chance.below(8) == 0 {
                // Told again under an id of its own, as by somebody who does not know that it was told
                placed.push((at + late + chance.below(600), again(stage, &event)));
            }
            placed.push((at + late, event));
        }
    }
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, event)| event).collect()
}

fn again(stage: &Stage, event: &outbox::Model) -> outbox::Model {
    let id = subgraph::Random::System.uuid(stage.clock.now());
    let envelope = event.envelope.replace(&event.id.to_string(), &id.to_string());
    outbox::Model { id, envelope, ..event.clone() }
}

/// Tells all of it in some pieces, between which time passes.
async fn happen(stage: &Stage, seed: u64) {
    let mut chance = Chance::new(seed);
    let mut stories: Vec<_> = (1..=INTERACTIONS).map(|id| story(stage, &mut chance, id)).collect();
    stories.extend((1..=LEADS).map(|id| profile(stage, &mut chance, id)));
    let all = mixed(stage, &mut chance, stories);
    let mut told = 0;
    for piece in all.chunks(all.len() / 3) {
        stage.tell(piece).await;
        told += piece.len();
        stage.dealt_with(told).await;
        stage.clock.advance(TimeDelta::hours(31));
    }
}

/// The numbers that a recalculation must not move.
fn sums(scores: &HashMap<i32, Row>) -> HashMap<i32, (f64, i64, f64)> {
    // What is left of something that long ago is nothing, whatever number says so
    let told = scores.iter().filter(|(_, row)| row.decayed_sum == 0.0 || row.decayed_sum > 1e-90);
    told.map(|(lead, row)| (*lead, (row.decayed_sum, row.as_of, row.rank))).collect()
}

async fn equals_a_recalculation(database: TestDatabase, seed: u64) {
    let stage = Stage::set(database).await;
    happen(&stage, seed).await;
    let (truth, live) = (Truth::read(&stage, ScoreModel::default()).await, scores(&stage).await);
    assert!(!live.contains_key(&REMOVED), "{:?}", live[&REMOVED]);
    assert_eq!(truth.leads().count(), 29);
    for lead in truth.leads() {
        truth.check(&live[&lead]);
    }
    let emptied = &live[&EMPTIED];
    let nothing = (0.0, 0, DecayedSum::ZERO.rank(&truth.model));
    assert_eq!((emptied.decayed_sum, emptied.activity_score, emptied.rank), nothing, "it is exactly zero");

    assert_eq!(stage.recalculate().await, (29, 0));
    let recalculated = scores(&stage).await;
    assert_eq!(sums(&recalculated), sums(&live));
    let truth = Truth::read(&stage, ScoreModel::default()).await;
    truth.check_all(&recalculated);
    assert!(recalculated.values().all(|row| micros(row.score_calculated_at) > micros(beginning()) + 3 * DAY));
    stage.strike().await;
}

#[tokio::test]
async fn what_is_stored_equals_a_recalculation_on_sqlite() {
    for seed in 0..2 {
        equals_a_recalculation(TestDatabase::sqlite(), seed).await;
    }
}

#[tokio::test]
async fn what_is_stored_equals_a_recalculation_on_postgres() {
    for seed in 2..4 {
        equals_a_recalculation(TestDatabase::postgres(), seed).await;
    }
}

#[tokio::test]
async fn what_counts_nothing_does_no_harm_however_late_it_is() {
    for database in TestDatabase::both() {
        let stage = Stage::set(database).await;
        let mut chance = Chance::new(9);
        stage.tell(&profile(&stage, &mut chance, 2)).await;
        let noted = |id, kind: &str, date| {
            let interaction =
                Interaction { id, lead_id: 2, kind: kind.into(), date, ..Interaction::example() };
            stage.told(&InteractionCreated { interaction })
        };
        stage.tell(&[noted(1, "CALL", DateTime::UNIX_EPOCH), noted(2, "VISIT", beginning())]).await;
        stage.dealt_with(6).await;
        assert_eq!(stage.recalculate().await, (1, 0));
        let truth = Truth::read(&stage, ScoreModel::default()).await;
        truth.check(&scores(&stage).await[&2]);
        stage.strike().await;
    }
}
