//! A recalculation beside events, on Postgres, where both write at the same time: what is newer stays.

use crate::{
    chance::Chance,
    stage::{Stage, beginning},
    stored::{Truth, fill, scores},
};
use events::{
    contract::{
        Interaction, InteractionCreated, InteractionRemoved, InteractionUpdated, Lead, LeadRemoved,
        LeadUpdated,
    },
    outbox,
};
use scoring::model::ScoreModel;
use sea_orm::ConnectionTrait;
use subgraph::Clock;
use testkit::TestDatabase;

const LEADS: i32 = 3_000;
/// Interactions of each lead.
const EACH: i32 = 3;
const EVENTS: usize = 120;

async fn filled(clock: Clock) -> Stage {
    let stage = Stage::with(TestDatabase::postgres(), clock, &[]).await;
    let mut chance = Chance::new(11);
    let leads: Vec<_> = (1..=LEADS).map(|id| chance.lead(id, beginning())).collect();
    let happened: Vec<_> =
        (1..=LEADS * EACH).map(|id| chance.interaction(id, lead_of(id), stage.clock.now())).collect();
    fill(&stage, &leads, &happened).await;
    stage
}

fn lead_of(interaction: i32) -> i32 {
    1 + interaction % LEADS
}

/// Something that happens to one of the leads. Versions grow with `number`.
fn event(stage: &Stage, chance: &mut Chance, number: usize) -> outbox::Model {
    let id = i32::try_from(1 + chance.below(9_000)).unwrap();
    let version = i32::try_from(number).unwrap() + 2;
    let lead_id = lead_of(id);
    let date = chrono::DateTime::from_timestamp_micros(chance.time(stage.clock.now())).unwrap();
    let interaction =
        Interaction { id, version, lead_id, kind: chance.kind().into(), date, ..Interaction::example() };
    match chance.below(10) {
        0 => stage.told(&LeadRemoved { id: lead_id, version }),
        1..=3 => {
            let status = chance.of(&["NEW", "QUALIFIED", "WON", "LOST"]).into();
            let lead = Lead { id: lead_id, version, status, ..Lead::example() };
            stage.told(&LeadUpdated { lead, changed: vec!["status".into()] })
        }
        4 | 5 => stage.told(&InteractionRemoved { id, version, lead_id }),
        6 | 7 => stage.told(&InteractionUpdated { interaction, changed: vec!["date".into()] }),
        _ => {
            let id = LEADS * EACH + version;
            stage.told(&InteractionCreated { interaction: Interaction { id, ..interaction } })
        }
    }
}

/// Recalculates again and again while these events are dealt with; how often.
async fn runs_beside(stage: &Stage, events: &[outbox::Model]) -> usize {
    let mut telling = std::pin::pin!(async {
        stage.tell(events).await;
        stage.dealt_with(EVENTS).await;
    });
    let mut runs = 0;
    loop {
        tokio::select! {
            () = &mut telling => return runs,
            (_, failed) = stage.recalculate() => {
                assert_eq!(failed, 0);
                runs += 1;
            }
        }
    }
}

#[tokio::test]
async fn events_and_removals_beside_runs_leave_what_is_right() {
    let stage = filled(Clock::System).await;
    let mut chance = Chance::new(12);
    let events: Vec<_> = (0..EVENTS).map(|number| event(&stage, &mut chance, number)).collect();
    let runs = runs_beside(&stage, &events).await;
    assert!(runs > 2, "{runs} runs were beside the events");
    // The one under way, and then one without events
    stage.recalculate().await;
    let (saved, failed) = stage.recalculate().await;
    let (truth, stored) = (Truth::read(&stage, ScoreModel::default()).await, scores(&stage).await);
    assert!(failed == 0 && saved == i64::try_from(truth.leads().count()).unwrap());
    assert!(stored.len() < 2_995 && stored.len() == truth.leads().count(), "{} rows", stored.len());
    for lead in truth.leads() {
        truth.check(&stored[&lead]);
    }
    for table in ["score_change", "lead_score"] {
        let orphans = format!(
            "SELECT count(*) FROM {table} WHERE lead_id NOT IN (SELECT id FROM lead_view WHERE removed_at IS NULL)"
        );
        assert_eq!(stage.number(&orphans).await, 0, "{table} has rows of removed leads");
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(stage.number(deadlocks).await, 0);
    stage.strike().await;
}

/// Runs a recalculation that comes to a lead which somebody is just changing.
async fn meanwhile(stage: &Stage, lead: i32, statements: &[&str]) {
    let beside = stage.begin().await;
    let hold = format!("SELECT 1 FROM lead_score WHERE lead_id = {lead} FOR UPDATE");
    beside.execute_unprepared(&hold).await.unwrap();
    let run = tokio::spawn(stage.recalculate());
    stage.until_waiting().await;
    for statement in statements {
        beside.execute_unprepared(statement).await.unwrap();
    }
    beside.commit().await.unwrap();
    run.await.unwrap();
}

#[tokio::test]
async fn a_run_leaves_what_was_changed_since_it_looked() {
    let stage = filled(Clock::System).await;
    stage.recalculate().await;
    assert_ne!((scores(&stage).await[&5].fit, scores(&stage).await[&6].decayed_sum), (77, 1234.0));
    let profile = [
        "UPDATE lead_view SET status = 'WON', version = 2 WHERE id = 5",
        "UPDATE lead_score SET fit = 77, closed = true, score_calculated_at = now() WHERE lead_id = 5",
    ];
    meanwhile(&stage, 5, &profile).await;
    let stored = scores(&stage).await;
    assert_eq!((stored[&5].fit, stored[&5].closed), (77, true));
    let happened = [
        "INSERT INTO interaction_view (id, version, lead_id, kind, at) VALUES (99999, 1, 6, 'CALL', 0)",
        "UPDATE lead_score SET decayed_sum = 1234, score_calculated_at = now(), touched = touched + 1 WHERE lead_id = 6",
    ];
    meanwhile(&stage, 6, &happened).await;
    assert_eq!((scores(&stage).await[&6].decayed_sum,), (1234.0,));
    // The next one sees it
    stage.recalculate().await;
    let (truth, stored) = (Truth::read(&stage, ScoreModel::default()).await, scores(&stage).await);
    truth.check_all(&stored);
    stage.strike().await;
}
