//! Scores that another model made are calculated anew by themselves, once.

use crate::{
    chance::Chance,
    stage::{Stage, beginning},
    stored::{Truth, fill, scores},
};
use scoring::model::ScoreModel;
use testkit::TestDatabase;

const RUNS: &str = "SELECT count(*) FROM job WHERE kind = 'recalculation'";
const DONE: &str = "SELECT count(*) FROM job WHERE kind = 'recalculation' AND status = 'SUCCEEDED'";
const OTHER: &str = "--score-model=meeting=50,half-life-days=7";

async fn filled(database: TestDatabase) -> Stage {
    let (stage, mut chance) = (Stage::set(database).await, Chance::new(5));
    let leads: Vec<_> = (1..=200).map(|id| chance.lead(id, beginning())).collect();
    let happened: Vec<_> = (1..=900).map(|id| chance.interaction(id, 1 + id % 200, beginning())).collect();
    fill(&stage, &leads, &happened).await;
    stage
}

async fn all_right(stage: &Stage, parameters: &str) {
    let truth = Truth::read(stage, ScoreModel::parse(parameters).unwrap()).await;
    let stored = scores(stage).await;
    assert_eq!(stored.len(), 200);
    truth.check_all(&stored);
}

#[tokio::test]
async fn another_model_starts_a_run_by_itself_and_the_same_one_does_not() {
    for database in TestDatabase::both() {
        let mut stage = filled(database).await;
        stage.stop().await;
        stage.start(&[]).await;
        assert_eq!(stage.number(RUNS).await, 0, "there is nothing that another model made");
        stage.stop().await;

        // As an upgrade finds them
        stage
            .execute(
                "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, model_version) \
                 SELECT id, 77, created_at, '0' FROM lead_view WHERE id % 3 = 0",
            )
            .await;
        stage.start(&[]).await;
        stage.until(DONE, 1).await;
        all_right(&stage, "").await;
        let previous = "SELECT count(*) FROM score_change WHERE previous = 77 AND lead_id % 3 = 0";
        assert!(stage.number(previous).await > 60, "the history tells what was there before");

        for (runs, flags, parameters) in [
            (1, [].as_slice(), ""),
            (2, &[OTHER], "meeting=50,half-life-days=7"),
            (2, &[OTHER], "meeting=50,half-life-days=7"),
            (3, &[], ""),
        ] {
            stage.stop().await;
            // Runs are told apart by when they were asked for
            stage.clock.advance(chrono::TimeDelta::seconds(1));
            stage.start(flags).await;
            stage.until(DONE, runs).await;
            assert_eq!(stage.number(RUNS).await, runs);
            all_right(&stage, parameters).await;
        }
        // What is known of runs is kept for a while
        stage.stop().await;
        stage.execute("DELETE FROM job").await;
        stage.start(&[]).await;
        assert_eq!(stage.number(RUNS).await, 0);
        stage.strike().await;
    }
}

#[tokio::test]
async fn a_run_that_another_model_began_ends_with_that_and_the_next_start_makes_all_anew() {
    for database in TestDatabase::both() {
        let mut stage = filled(database).await;
        stage.recalculate().await;
        stage.stop().await;
        // As it is when the process dies on the way
        for sql in [
            "UPDATE job SET status = 'QUEUED', position = '150', done = 150, total = 200, finished_at = NULL, \
             worker = NULL, lease_until = NULL",
            "UPDATE lead_score SET decayed_sum = 3 WHERE lead_id > 150",
        ] {
            stage.execute(sql).await;
        }
        stage.start(&[OTHER]).await;
        stage.until(DONE, 1).await;
        assert_eq!(stage.number("SELECT done FROM job").await, 200);
        all_right(&stage, "").await;
        stage.stop().await;
        stage.start(&[OTHER]).await;
        stage.until(DONE, 2).await;
        all_right(&stage, "meeting=50,half-life-days=7").await;
        stage.strike().await;
    }
}
