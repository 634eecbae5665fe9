//! The statements of a recalculation and the model's functions say the same of the same leads.

use crate::{
    chance::Chance,
    stage::{Stage, beginning},
    stored::{Truth, bands, check_band, fill, scores},
};
use chrono::TimeDelta;
use scoring::model::ScoreModel;
use std::collections::HashSet;
use subgraph::Clock;
use testkit::TestDatabase;

const LEADS: i32 = 2_000;
/// Interactions of a lead, at most.
const MOST: usize = 60;

/// Random leads with random interactions, of which nobody calculated anything yet.
async fn filled(database: TestDatabase, parameters: &str) -> Stage {
    let flag = format!("--score-model={parameters}");
    let stage = Stage::with(database, Clock::fixed(beginning()), &[&flag]).await;
    let mut chance = Chance::new(4);
    let (mut leads, mut happened) = (Vec::new(), Vec::new());
    for id in 1..=LEADS {
        leads.push(chance.lead(id, beginning()));
        for _ in 0..chance.below(MOST + 1) {
            let next = i32::try_from(happened.len()).unwrap() + 1;
            happened.push(chance.interaction(next, id, beginning()));
        }
    }
    fill(&stage, &leads, &happened).await;
    stage
}

async fn agree(parameters: &str) {
    let model = ScoreModel::parse(parameters).unwrap();
    for database in TestDatabase::both() {
        let stage = filled(database, parameters).await;
        // What is calculated anew of nothing, and then of what is there
        for round in ["anew", "later"] {
            assert_eq!(stage.recalculate().await, (i64::from(LEADS), 0), "{round}");
            let (truth, stored) = (Truth::read(&stage, model.clone()).await, scores(&stage).await);
            assert_eq!(stored.len(), 2_000);
            truth.check_all(&stored);
            let distinct: HashSet<_> = stored.values().map(|row| row.activity_score).collect();
            assert!(
                distinct.len() > 10 || round == "later",
                "{} different scores say little",
                distinct.len()
            );
            let written = bands(&stage).await;
            assert_eq!(written.len(), 2_000);
            if round == "anew" {
                for row in stored.values() {
                    check_band(row, &written[&row.lead_id]);
                }
            }
            stage.clock.advance(TimeDelta::days(9));
        }
        stage.strike().await;
    }
}

#[tokio::test]
async fn statements_and_functions_agree() {
    agree("").await;
}

#[tokio::test]
async fn statements_and_functions_agree_with_other_parameters() {
    agree("meeting=33.3,call=0.7,email=0,half-life-days=3.5,halfway=12.25").await;
}

#[tokio::test]
async fn statements_and_functions_agree_where_points_last_short_or_long() {
    agree("meeting=1000,email=1000,half-life-days=0.3,halfway=20").await;
    agree("call=1000,half-life-days=3650,halfway=100000").await;
}
