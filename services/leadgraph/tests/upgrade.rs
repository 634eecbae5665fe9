//! A database of the version before scores: what happened until then counts as soon as the new one runs.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

#[expect(dead_code, reason = "each test of the command line uses some of it")]
mod stand;

use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::Value;
use stand::{Stand, rows, until};
use testkit::TestDatabase;

/// By what leads are ordered, which no time changes.
const SCORES: &str = "SELECT lead_id, rank FROM lead_score WHERE rank > 0 ORDER BY lead_id";
const VIEW: &str = "SELECT id, lead_id, kind, at, notes FROM interaction_view ORDER BY id";

/// Takes the tables of scores, and what is known of interactions, from the service as if it had never had them.
async fn downgrade(stand: &Stand, url: Option<&str>) {
    let scoring = scoring::subgraph();
    let folder = format!("--data-dir={}", stand.data_dir().display());
    let url = url.map(|url| format!("--database-url={url}"));
    let config = scoring.config_from([folder].into_iter().chain(url)).unwrap();
    let reverted = scoring.migrations().down("scoring", &config, 5).await.unwrap();
    assert_eq!(reverted.last().unwrap(), "0020_interaction_view");
    // That version recorded nothing there
    let removed = stand.database("scoring").await.execute_unprepared("DELETE FROM audit_log").await;
    removed.unwrap();
}

async fn ranks(db: &DatabaseConnection) -> Vec<f64> {
    rows(db, SCORES).await.iter().map(|row| row["rank"].as_f64().unwrap()).collect()
}

async fn what_happened_before_counts(database: Option<TestDatabase>) {
    let url = database.as_ref().map(|database| database.url().to_owned());
    let mut stand = Stand::start(&["accounts", "leads", "interactions", "scoring"], database, &[]).await;
    let db = stand.database("scoring").await;
    let all_have_one = async || rows(&db, SCORES).await.len() == 15;
    until("the demo's interactions count", all_have_one).await;
    let owned = rows(&stand.database("interactions").await, "SELECT id FROM interaction").await.len();
    until("all of them", async || rows(&db, VIEW).await.len() == owned).await;
    let (scores, view) = (ranks(&db).await, rows(&db, VIEW).await);
    stand.kill("scoring");
    downgrade(&stand, url.as_deref()).await;
    // Nobody answers yet: it goes on asking
    stand.kill("interactions");
    stand.run("scoring").await;
    assert_eq!(rows(&db, VIEW).await, Vec::<Value>::new());
    stand.run("interactions").await;
    until("the view is filled", async || rows(&db, VIEW).await.len() == owned).await;
    assert_eq!(rows(&db, VIEW).await, view);
    until("the scores are made anew", async || ranks(&db).await.len() == 15).await;
    let apart = ranks(&db).await.into_iter().zip(scores).map(|(one, other)| (one - other).abs());
    assert!(apart.fold(0.0, f64::max) < 1e-6);
    let noted = "SELECT name FROM counter WHERE name LIKE 'fill %'";
    until("no note is left", async || rows(&db, noted).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_before_counts_on_sqlite() {
    what_happened_before_counts(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_before_counts_on_postgres() {
    what_happened_before_counts(Some(TestDatabase::postgres())).await;
}
