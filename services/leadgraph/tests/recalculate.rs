//! `leadgraph recalculate` beside the service and without it.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

#[expect(dead_code, reason = "each test of the command line uses some of it")]
mod stand;

use std::process::Command;

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use stand::{Stand, rows};
use testkit::TestDatabase;

/// So many that the service has to work for a while.
const LEADS: i32 = 30_000;
const SCORES: &str = "SELECT lead_id, activity_score, fit, model_version FROM lead_score ORDER BY lead_id";
const JOBS: &str = "SELECT actor, status, done, failed FROM job ORDER BY created_at, id";

/// Leads of which scoring was told, without interactions: by their number, some fit better than others.
async fn fill(stand: &Stand) {
    let db = stand.database("scoring").await;
    let sql = format!(
        "INSERT INTO lead_view (id, version, first_name, last_name, status, has_phone) \
         WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {LEADS}) \
         SELECT n, 1, 'Jo', 'Doe', 'NEW', n % 2 = 0 FROM g"
    );
    db.execute_unprepared(&sql).await.unwrap();
}

async fn recalculated(database: Option<TestDatabase>) {
    let mut stand = Stand::start(&["scoring"], database, &[]).await;
    fill(&stand).await;
    let db = stand.database("scoring").await;
    let said = format!("{LEADS} scores saved, 0 failed\n");
    let done = json!({ "actor": "system", "status": "SUCCEEDED", "done": LEADS, "failed": 0 });

    // Beside the service: either of them does it, and it is done once
    assert_eq!(stand.says(&["recalculate"]), said);
    assert_eq!(rows(&db, JOBS).await, std::slice::from_ref(&done));
    let scores = rows(&db, SCORES).await;
    assert_eq!(scores.len(), 30_000);
    for (score, fit) in scores.iter().zip([10, 20]) {
        assert_eq!((&score["fit"], &score["activity_score"]), (&fit.into(), &0.into()));
    }
    // Without it, by itself
    stand.kill("scoring");
    db.execute_unprepared("DELETE FROM lead_score").await.unwrap();
    assert_eq!(stand.says(&["recalculate"]), said);
    assert_eq!(rows(&db, SCORES).await, scores);
    assert_eq!(rows(&db, JOBS).await, [done.clone(), done]);
    let told = "SELECT kind FROM outbox WHERE kind = 'scores.recalculated'";
    assert_eq!(rows(&db, told).await.len(), 2);
    // One that failed is counted, and is no failure of the command
    let broken = match db.get_database_backend() {
        sea_orm::DbBackend::Postgres => {
            "ALTER TABLE lead_score ADD CHECK (lead_id <> 7 OR fit = 99) NOT VALID"
        }
        _ => {
            "CREATE TRIGGER seven BEFORE UPDATE ON lead_score WHEN NEW.lead_id = 7 \
             BEGIN SELECT RAISE(ABORT, 'not the seventh'); END"
        }
    };
    db.execute_unprepared(broken).await.unwrap();
    assert_eq!(stand.says(&["recalculate"]), format!("{} scores saved, 1 failed\n", LEADS - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_recalculates_beside_the_service_and_without_it_on_sqlite() {
    recalculated(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_recalculates_beside_the_service_and_without_it_on_postgres() {
    recalculated(Some(TestDatabase::postgres())).await;
}

/// What the program says when it fails.
fn fails(data_dir: &std::path::Path, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadgraph"));
    command.arg("recalculate").arg("--data-dir").arg(data_dir);
    let output = command.env_clear().envs(environment.iter().copied()).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_wrong_is_said_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let said = fails(&data, &[]);
    assert_eq!(
        said,
        "leadgraph: cannot recalculate the scores: scoring has no database yet: start it first\n"
    );
    let said = fails(&data, &[("SCORE_MODEL", "visit=3")]);
    assert_eq!(
        said,
        "leadgraph: cannot recalculate the scores: SCORE_MODEL is wrong: there is no parameter visit\n"
    );
    assert!(!data.exists());
    let address = format!("postgres://postgres@127.0.0.1:{}/postgres", testkit::free_port());
    let said = fails(&data, &[("DATABASE_URL", &address)]);
    assert!(
        said.starts_with("leadgraph: cannot recalculate the scores: cannot open the database of scoring"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_calculates_other_scores() {
    let stand = Stand::start(&["scoring"], None, &[("SCORE_MODEL", "meeting=99")]).await;
    fill(&stand).await;
    stand.says(&["recalculate"]);
    let versions = "SELECT DISTINCT model_version FROM lead_score";
    let [row] = rows(&stand.database("scoring").await, versions).await.try_into().unwrap();
    let version = row["model_version"].as_str().unwrap().to_owned();
    assert!(version.starts_with("1-") && version.len() == 10, "{row:?}");
}
