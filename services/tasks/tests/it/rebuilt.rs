//! The view of scores after an upgrade: what was told before is asked for.

use crate::stage::Stage;
use sea_orm::{ConnectionTrait, Database};
use std::time::Duration;
use tempfile::TempDir;
use testkit::{Service, TestDatabase, binary, free_port};

/// A real scoring service with a score of lead 1; and where it answers.
async fn scoring(folder: &TempDir) -> (Service, String) {
    let port = free_port();
    let file = format!("sqlite://{}?mode=rwc", folder.path().join("scoring.sqlite").display());
    let flags = vec![
        format!("--port={port}"),
        "--demo=false".into(),
        "--environment=development".into(),
        "--service-key=the service key of the tests, long enough".into(),
        format!("--data-dir={}", folder.path().display()),
        format!("--database-url={file}"),
        format!("--jwks-url=http://127.0.0.1:{}/", free_port()),
    ];
    let mut service = Service::spawn(binary("scoring"), flags, [("", ""); 0]);
    service.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
    let sql = Database::connect(&file).await.unwrap();
    sql.execute_unprepared(
        "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, decayed_sum, as_of, drift, rank, \
         touched, fit, closed, version, model_version) \
         VALUES (1, 71, '2026-01-15T12:00:00+00:00', 53, 1768478400000000, 0, 0, 1, 70, false, 4, 'x')",
    )
    .await
    .unwrap();
    sql.close().await.unwrap();
    (service, format!("http://127.0.0.1:{port}/graphql"))
}

#[tokio::test]
async fn scores_that_were_told_before_are_asked_for() {
    for database in TestDatabase::both() {
        let folder = tempfile::tempdir().unwrap();
        let (_scoring, url) = scoring(&folder).await;
        let mut stage = Stage::set(database, &[]).await;
        let noted = "SELECT count(*) FROM counter WHERE name = 'fill score.updated'";
        assert_eq!(stage.number(noted).await, 0, "a new database has nothing to ask for");
        stage.lead(1, "John").await;
        stage.stop().await;
        stage.downgrade().await;
        stage.resume_with(&[format!("--scoring-url={url}")]).await;
        testkit::eventually("it is filled", Duration::from_secs(20), async || stage.number(noted).await == 0)
            .await;
        let filled = "SELECT count(*) FROM score_view WHERE lead_id = 1 AND score = 71 AND band = 'A1' AND version = 4";
        assert_eq!(stage.number(filled).await, 1);
        assert_eq!(stage.recommended(1).await[0]["title"], "Make John Doe a proposal");
        stage.strike().await;
    }
}
