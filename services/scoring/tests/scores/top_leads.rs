//! The order of `topLeads` is that of the scores at any time.

use crate::{
    chance::Chance,
    stage::{Stage, beginning},
    stored::{Truth, fill},
};
use chrono::TimeDelta;
use scoring::model::ScoreModel;
use serde_json::Value;
use testkit::TestDatabase;

const LEADS: i32 = 4_000;

/// Leads by their score now and then by id, as somebody finds them who calculates all of them.
fn by_hand(truth: &Truth, closed: &[i32], limit: usize) -> Vec<(f64, i32)> {
    let time = truth.now.timestamp_micros();
    let open = truth.leads().filter(|lead| !closed.contains(lead));
    let mut all: Vec<_> = open.map(|lead| (truth.sum(lead).at(&truth.model, time), lead)).collect();
    all.sort_by(|(one, a), (other, b)| other.total_cmp(one).then(a.cmp(b)));
    all.truncate(limit);
    all
}

async fn top(stage: &Stage, arguments: &str) -> Vec<(i32, i64)> {
    let query = format!("{{ topLeads({arguments}) {{ id score {{ current }} }} }}");
    let answer = stage.data(&query).await;
    let place = |lead: &Value| {
        (lead["id"].as_str().unwrap().parse().unwrap(), lead["score"]["current"].as_i64().unwrap())
    };
    answer["topLeads"].as_array().unwrap().iter().map(place).collect()
}

#[tokio::test]
async fn the_order_is_that_of_the_scores_at_any_time() {
    for database in TestDatabase::both() {
        let stage = Stage::set(database).await;
        let mut chance = Chance::new(8);
        let leads: Vec<_> = (1..=LEADS).map(|id| chance.lead(id, beginning())).collect();
        let happened: Vec<_> =
            (1..=3 * LEADS).map(|id| chance.interaction(id, 1 + id % LEADS, beginning())).collect();
        fill(&stage, &leads, &happened).await;
        stage.recalculate().await;
        let is_closed = |lead: &&leadview::Model| matches!(lead.status.as_deref(), Some("WON" | "LOST"));
        let closed: Vec<i32> = leads.iter().filter(is_closed).map(|lead| lead.id).collect();
        for days in [0, 17, 200] {
            stage.clock.advance(TimeDelta::days(days));
            let truth = Truth::read(&stage, ScoreModel::default()).await;
            for (arguments, closed) in
                [("limit: 200", closed.as_slice()), ("limit: 200, includeClosed: true", &[])]
            {
                let (found, expected) = (top(&stage, arguments).await, by_hand(&truth, closed, 200));
                let ids: Vec<_> = found.iter().map(|(id, _)| *id).collect();
                assert_eq!(ids, expected.iter().map(|(_, id)| *id).collect::<Vec<_>>(), "after {days} days");
                assert!(found.is_sorted_by(|(_, one), (_, other)| one >= other), "{found:?}");
            }
        }
        stage.strike().await;
    }
}
