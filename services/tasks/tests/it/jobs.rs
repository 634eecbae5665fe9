//! Recommendations in the background.

use crate::{
    model::answer,
    stage::{Stage, ids, is_by_rules},
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{
    TestDatabase,
    provider::{Provider, Reply},
};

const REQUEST: &str = "mutation { requestTaskRecommendations(leadId: 1) { id leadId status tasks { id } } }";

/// The job as somebody who looks at it sees it.
async fn job(stage: &Stage, id: &Value) -> Value {
    let query = format!(
        "{{ taskRecommendationJob(id: {id}) {{ id leadId status error createdAt finishedAt \
         tasks {{ id title source aiReasoning leadId }} }} }}"
    );
    stage.data(&query).await["taskRecommendationJob"].clone()
}

/// The job once it has come to this.
async fn until(stage: &Stage, id: &Value, status: &str) -> Value {
    testkit::eventually(status, Duration::from_secs(30), async || job(stage, id).await["status"] == status)
        .await;
    job(stage, id).await
}

async fn request(stage: &Stage) -> Value {
    stage.data(REQUEST).await["requestTaskRecommendations"].clone()
}

#[tokio::test]
async fn a_job_shows_its_tasks_once_it_has_succeeded() {
    for database in TestDatabase::both() {
        let stage = Stage::set(database, &[]).await;
        stage.lead(1, "John").await;
        let asked = request(&stage).await;
        assert_eq!(
            (&asked["leadId"], &asked["status"], &asked["tasks"]),
            (&json!(1), &json!("QUEUED"), &json!([]))
        );
        let done = until(&stage, &asked["id"], "SUCCEEDED").await;
        assert_eq!((&done["error"], &done["finishedAt"]), (&Value::Null, &done["createdAt"]));
        let tasks = done["tasks"].as_array().unwrap();
        assert!(tasks.len() == 1 && is_by_rules(&tasks[0]), "{done}");
        assert_eq!(ids(&stage.recommended(1).await), ids(tasks), "asking again gives the same");
        let actors =
            stage.number("SELECT count(*) FROM audit_log WHERE action = 'task.created' AND actor = 'user:3'");
        assert_eq!(actors.await, 1, "whoever asked is who did it");
        stage.decide(&tasks[0], "DISMISSED").await;
        assert_eq!(job(&stage, &asked["id"]).await["tasks"][0]["source"], "DISMISSED");
        let again = request(&stage).await;
        assert_ne!(again["id"], asked["id"], "the first one is over");
        assert_eq!(until(&stage, &again["id"], "SUCCEEDED").await["tasks"], json!([]));
        stage.strike().await;
    }
}

#[tokio::test]
async fn a_job_for_a_lead_that_is_removed_meanwhile_fails_and_says_so() {
    for database in TestDatabase::both() {
        let provider =
            Provider::always(Reply::answer(&answer(&["PROPOSE"])).after(Duration::from_secs(1))).await;
        let stage = Stage::set(database, &provider.flags()).await;
        stage.lead(1, "John").await;
        let asked = request(&stage).await;
        testkit::eventually("the model is asked", Duration::from_secs(10), async || provider.count() == 1)
            .await;
        let joined = request(&stage).await;
        assert_eq!((&joined["id"], &joined["status"]), (&asked["id"], &json!("RUNNING")), "one at a time");
        stage
            .execute(
                "UPDATE lead_view SET first_name = NULL, last_name = NULL, budget_cents = NULL, \
                 removed_at = updated_at",
            )
            .await;
        let failed = until(&stage, &asked["id"], "FAILED").await;
        assert_eq!((&failed["error"], &failed["tasks"]), (&json!("Lead with ID 1 not found"), &json!([])));
        assert_eq!(stage.number("SELECT count(*) FROM task").await, 0);
        stage.strike().await;
    }
}

#[tokio::test]
async fn a_job_goes_on_after_a_restart() {
    for database in TestDatabase::both() {
        let hanging = Provider::always(Reply::silence()).await;
        let mut stage = Stage::set(database, &hanging.flags()).await;
        stage.lead(1, "John").await;
        let asked = request(&stage).await;
        testkit::eventually("the model is asked", Duration::from_secs(10), async || hanging.count() == 1)
            .await;
        assert_eq!(job(&stage, &asked["id"]).await["status"], "RUNNING");
        let answering = Provider::always(Reply::answer(&answer(&["PROPOSE", "NEXT_STEP"]))).await;
        stage.restart(&answering.flags()).await;
        let done = until(&stage, &asked["id"], "SUCCEEDED").await;
        let titles: Vec<_> = done["tasks"].as_array().unwrap().iter().map(|task| &task["title"]).collect();
        assert_eq!(titles, ["Please PROPOSE", "Please NEXT_STEP"]);
        assert_eq!(answering.count(), 1);
        stage.strike().await;
    }
}

#[tokio::test]
async fn a_job_whose_end_was_not_noted_suggests_nothing_anew() {
    let mut stage = Stage::set(TestDatabase::sqlite(), &[]).await;
    stage.lead(1, "John").await;
    let asked = request(&stage).await;
    let done = until(&stage, &asked["id"], "SUCCEEDED").await;
    stage.decide(&done["tasks"][0], "MANUAL").await;
    stage.complete(&done["tasks"][0]).await;
    // As it is when the process dies after the tasks were saved
    stage.execute("UPDATE job SET status = 'QUEUED', finished_at = NULL").await;
    stage.restart(&[]).await;
    let again = until(&stage, &asked["id"], "SUCCEEDED").await;
    assert_eq!(ids(again["tasks"].as_array().unwrap()), ids(done["tasks"].as_array().unwrap()));
    assert_eq!(stage.number("SELECT count(*) FROM task").await, 1);
    stage.strike().await;
}
