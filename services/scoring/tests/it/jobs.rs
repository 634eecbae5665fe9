//! Summaries of many leads, in the background.

use crate::{
    model::answer,
    stage::{Stage, is_by_rules},
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{
    TestDatabase,
    provider::{Provider, Reply},
};

const FIELDS: &str = "{ id status done failed total error createdAt finishedAt }";

async fn job(stage: &Stage, id: &Value) -> Value {
    stage.data(&format!("{{ summaryJob(id: {id}) {FIELDS} }}")).await["summaryJob"].clone()
}

/// The job once it has come to this.
async fn until(stage: &Stage, id: &Value, status: &str) -> Value {
    let is_so = async || job(stage, id).await["status"] == status;
    testkit::eventually(status, Duration::from_secs(30), is_so).await;
    job(stage, id).await
}

async fn request(stage: &Stage, filter: &str) -> Value {
    let query = format!("mutation {{ regenerateSummaries(filter: {{ {filter} }}) {FIELDS} }}");
    stage.data(&query).await["regenerateSummaries"].clone()
}

/// Asks for summaries and waits for them; says how many were written, how many were not, and of how many.
async fn regenerated(stage: &Stage, filter: &str) -> [i64; 3] {
    let done = until(stage, &request(stage, filter).await["id"], "SUCCEEDED").await;
    ["done", "failed", "total"].map(|field| done[field].as_i64().unwrap())
}

#[tokio::test]
async fn summaries_are_written_of_those_leads_that_are_asked_for() {
    for database in TestDatabase::both() {
        let stage = Stage::set(database, &[]).await;
        for id in 1..=9 {
            stage.lead(id).await;
        }
        assert_eq!(regenerated(&stage, "").await, [0, 0, 0], "no summary is stale where there is none");
        assert_eq!(regenerated(&stage, "leadIds: [3, 1, 3]").await, [2, 0, 2]);
        assert_eq!(regenerated(&stage, "leadIds: [3, 1, 2]").await, [1, 0, 1], "two are up to date");
        assert_eq!(regenerated(&stage, "leadIds: [3, 1], staleOnly: false").await, [2, 0, 2]);
        assert!(stage.shown(4).await["summary"].is_null());
        stage.call(1, 1, "Called back").await;
        stage.call(4, 4, "Never summarised").await;
        assert_eq!(stage.shown(1).await["summaryStale"], true);
        assert_eq!(
            regenerated(&stage, "leadIds: null").await,
            [1, 0, 1],
            "one of those that have one is stale"
        );
        assert_eq!(stage.shown(1).await["summaryStale"], false);
        assert_eq!(regenerated(&stage, "staleOnly: false").await, [9, 0, 9]);
        assert_eq!(stage.number("SELECT count(*) FROM lead_summary").await, 9);
        let by = "SELECT count(*) FROM audit_log WHERE action = 'summary.written' AND actor = 'user:2'";
        assert_eq!(stage.number(by).await, 15, "whoever asked is who did it");
        stage.strike().await;
    }
}

#[tokio::test]
async fn summaries_of_leads_that_are_not_there_fail_alone() {
    for database in TestDatabase::both() {
        let provider = Provider::start(|asked| match asked.number % 2 {
            0 => answer("One."),
            _ => Reply::status(404),
        })
        .await;
        let stage = Stage::set(database, &provider.flags()).await;
        for id in [1, 2, 3, 4, 6] {
            stage.lead(id).await;
        }
        stage
            .execute(
                "UPDATE lead_view SET budget_cents = NULL, first_name = NULL, last_name = NULL, \
                       removed_at = updated_at WHERE id = 2",
            )
            .await;
        let asked = request(&stage, "leadIds: [1, 2, 3, 4, 5, 6, 2147483647], staleOnly: false").await;
        assert_eq!(
            (&asked["done"], &asked["total"], &asked["finishedAt"]),
            (&json!(0), &json!(0), &Value::Null)
        );
        let done = until(&stage, &asked["id"], "SUCCEEDED").await;
        let expected = json!({
            "id": asked["id"], "status": "SUCCEEDED", "done": 4, "failed": 3, "total": 7, "error": null,
            "createdAt": "2026-01-15T12:00:00+00:00", "finishedAt": "2026-01-15T12:00:00+00:00",
        });
        assert_eq!(done, expected);
        let mut by_rules = 0;
        for id in [1, 3, 4, 6] {
            by_rules += i32::from(is_by_rules(&stage.shown(id).await));
        }
        assert_eq!(by_rules, 2, "a provider that fails is no failure");
        assert!(stage.shown(2).await["summary"].is_null());
        stage.strike().await;
    }
}

#[tokio::test]
async fn summaries_of_all_leads_are_written_by_one_job_at_a_time() {
    let provider = Provider::always(answer("One.").after(Duration::from_secs(1))).await;
    let stage = Stage::set(TestDatabase::sqlite(), &provider.flags()).await;
    stage.lead(1).await;
    let all = request(&stage, "staleOnly: false").await;
    testkit::eventually("it is asked", Duration::from_secs(5), async || provider.count() == 1).await;
    assert_eq!(job(&stage, &all["id"]).await["total"], 1);
    assert_eq!(request(&stage, "staleOnly: false").await["id"], all["id"]);
    assert_ne!(request(&stage, "").await["id"], all["id"], "other leads");
    let [one, other] = [request(&stage, "leadIds: [1]").await, request(&stage, "leadIds: [1]").await];
    assert_ne!(one["id"], other["id"], "something may have happened since");
    until(&stage, &other["id"], "SUCCEEDED").await;
    assert_ne!(request(&stage, "staleOnly: false").await["id"], all["id"], "the first one is over");
    stage.strike().await;
}

#[tokio::test]
async fn summaries_are_asked_for_four_at_a_time_over_many_pages() {
    for database in TestDatabase::both() {
        let provider = Provider::start(|_| answer("One.").after(Duration::from_millis(5))).await;
        let stage = Stage::set(database, &provider.flags()).await;
        for id in 1..=230 {
            stage.lead(id * 3).await;
        }
        assert_eq!(regenerated(&stage, "staleOnly: false").await, [230, 0, 230]);
        assert_eq!((provider.count(), provider.most_at_once()), (230, 4));
        assert_eq!(stage.number("SELECT count(*) FROM lead_summary WHERE summary = 'One.'").await, 230);
        stage.strike().await;
    }
}

#[tokio::test]
async fn summaries_in_the_background_wait_for_a_provider_that_is_busy() {
    let provider = Provider::always(answer("One.").after(Duration::from_millis(3_500))).await;
    let flags = [&provider.flags()[..], &["--llm-timeout-ms=4000".into()]].concat();
    let stage = Stage::set(TestDatabase::sqlite(), &flags).await;
    for id in 1..=5 {
        stage.lead(id).await;
    }
    let query = |id| format!("mutation {{ generateSummary(leadId: {id}) {{ summary }} }}");
    let others: Vec<_> = (1..=4).map(|id| tokio::spawn(stage.ask(&query(id)))).collect();
    testkit::eventually("they are asked for", Duration::from_secs(5), async || provider.count() == 4).await;
    // Half of the time for a question passes before it has a turn
    assert_eq!(regenerated(&stage, "leadIds: [5]").await, [1, 0, 1]);
    assert_eq!(stage.shown(5).await["summary"], "One.");
    for other in others {
        assert_eq!(other.await.unwrap()["data"]["generateSummary"]["summary"], "One.");
    }
    stage.strike().await;
}

#[tokio::test]
async fn summaries_go_on_after_a_restart_where_they_were() {
    for database in TestDatabase::both() {
        // The first eight leads get an answer
        let first =
            Provider::start(|asked| if asked.number < 8 { answer("First.") } else { Reply::silence() }).await;
        let mut stage = Stage::set(database, &first.flags()).await;
        for id in 1..=12 {
            stage.lead(id).await;
        }
        let asked = request(&stage, "staleOnly: false").await;
        testkit::eventually("it hangs", Duration::from_secs(10), async || first.count() == 12).await;
        let halfway = job(&stage, &asked["id"]).await;
        assert_eq!(
            (&halfway["status"], &halfway["done"], &halfway["total"]),
            (&json!("RUNNING"), &json!(8), &json!(12))
        );
        // It would be counted anew if the job began anew
        stage.lead(13).await;
        let second = Provider::always(answer("Second.")).await;
        stage.restart(&second.flags()).await;
        let done = until(&stage, &asked["id"], "SUCCEEDED").await;
        assert_eq!((&done["done"], &done["failed"], &done["total"]), (&json!(13), &json!(0), &json!(12)));
        assert_eq!(second.count(), 5);
        assert_eq!(stage.number("SELECT count(*) FROM lead_summary WHERE summary = 'First.'").await, 8);
        stage.strike().await;
    }
}
