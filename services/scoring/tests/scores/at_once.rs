//! Several who ask for a recalculation at the same time get one.

use crate::{
    chance::Chance,
    stage::{Stage, beginning},
    stored::fill,
};
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DbBackend};
use std::sync::Mutex;
use testkit::TestDatabase;

/// So many that a run on SQLite takes several transactions.
const LEADS: i32 = 25_000;
const RUNS: &str = "SELECT count(*) FROM job WHERE kind = 'recalculation'";
const TOLD: &str = "SELECT count(*) FROM outbox WHERE kind = 'scores.recalculated'";

async fn filled(database: TestDatabase) -> Stage {
    let stage = Stage::set(database).await;
    let mut chance = Chance::new(1);
    let leads: Vec<_> = (1..=LEADS).map(|id| chance.lead(id, beginning())).collect();
    let happened: Vec<_> = (1..=LEADS).map(|id| chance.interaction(id, id, beginning())).collect();
    fill(&stage, &leads, &happened).await;
    stage
}

#[tokio::test]
async fn those_who_call_at_once_get_the_same_run() {
    for database in TestDatabase::both() {
        let stage = filled(database).await;
        // So that there are rows, one of which somebody holds; on SQLite the calls are faster than the run
        stage.recalculate().await;
        let beside = stage.begin().await;
        if stage.backend() == DbBackend::Postgres {
            beside.execute_unprepared("SELECT 1 FROM lead_score WHERE lead_id = 5 FOR UPDATE").await.unwrap();
        }
        let calls = tokio::spawn(join_all((0..5).map(|_| stage.recalculate())));
        if stage.backend() == DbBackend::Postgres {
            stage.until_waiting().await;
        }
        beside.rollback().await.unwrap();
        assert_eq!(calls.await.unwrap(), [(i64::from(LEADS), 0); 5]);
        assert_eq!((stage.number(RUNS).await, stage.number(TOLD).await), (2, 2));
        stage.strike().await;
    }
}

#[tokio::test]
async fn a_call_joins_the_run_of_the_command_line() {
    let stage = filled(TestDatabase::postgres()).await;
    stage.recalculate().await;
    let shown = Mutex::new(Vec::new());
    let show = |done: i64, total: i64| shown.lock().unwrap().push((done, total));
    let (service, config) = (scoring::subgraph(), stage.config(&[]));
    let beside = stage.begin().await;
    beside.execute_unprepared("SELECT 1 FROM lead_score WHERE lead_id = 5 FOR UPDATE").await.unwrap();
    let command = scoring::recalculate(&service, config, &show);
    let call = async {
        stage.until_waiting().await;
        let called = tokio::spawn(stage.recalculate());
        stage.until("SELECT count(*) FROM audit_log WHERE action = 'job.joined'", 1).await;
        beside.rollback().await.unwrap();
        called.await.unwrap()
    };
    let (command, called) = tokio::join!(command, call);
    assert_eq!((command.unwrap(), called), ((i64::from(LEADS), 0), (i64::from(LEADS), 0)));
    assert_eq!((stage.number(RUNS).await, stage.number(TOLD).await), (2, 2));
    let shown = shown.into_inner().unwrap();
    assert!(shown.is_sorted() && shown.last() == Some(&(i64::from(LEADS), i64::from(LEADS))), "{shown:?}");
    stage.strike().await;
}
