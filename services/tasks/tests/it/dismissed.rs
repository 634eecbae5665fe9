//! What was dismissed for a lead is not suggested again, by nobody.

use crate::{
    model::{answer, recommendation},
    stage::{Stage, is_by_rules},
};
use chrono::TimeDelta;
use serde_json::json;
use testkit::{
    TestDatabase,
    provider::{Provider, Reply},
};

#[tokio::test]
async fn a_dismissed_kind_stays_away_through_restarts_and_providers() {
    for database in TestDatabase::both() {
        // A model that suggests what it must not, and another one
        let provider = Provider::always(Reply::answer(&answer(&["INTRODUCE", "NEXT_STEP"]))).await;
        let mut stage = Stage::set(database, &[]).await;
        stage.lead(1, "John").await;
        stage.lead(2, "Jane").await;
        let tasks = stage.recommended(1).await;
        assert_eq!(tasks[0]["title"], "Introduce yourself to John Doe");
        stage.decide(&tasks[0], "DISMISSED").await;
        assert!(stage.recommended(1).await.is_empty());
        stage.restart(&[]).await;
        stage.clock.advance(TimeDelta::days(100));
        assert!(stage.recommended(1).await.is_empty(), "after a restart");
        stage.restart(&provider.flags()).await;
        let tasks = stage.recommended(1).await;
        assert_eq!((tasks.len(), &tasks[0]["title"]), (1, &json!("Please NEXT_STEP")));
        let asked = provider.requests().remove(0).data;
        assert!(!asked["allowedKinds"].as_array().unwrap().contains(&json!("INTRODUCE")), "{asked}");
        assert_eq!(asked["earlierSuggestions"][0]["outcome"], "DISMISSED");
        assert_eq!(stage.recommended(2).await.len(), 2, "it was dismissed for one lead only");
        stage.strike().await;
    }
}

#[tokio::test]
async fn a_dismissed_title_stays_away_under_another_kind() {
    let provider = Provider::start(|asked| {
        let mut again = recommendation(if asked.number == 0 { "PROPOSE" } else { "NEXT_STEP" }, "LOW");
        again["title"] = json!(if asked.number == 0 { "Send an offer" } else { "SEND  an Offer" });
        Reply::answer(&json!({ "recommendations": [again] }))
    })
    .await;
    let stage = Stage::set(TestDatabase::sqlite(), &provider.flags()).await;
    stage.lead(1, "John").await;
    stage.decide(&stage.recommended(1).await[0], "DISMISSED").await;
    let tasks = stage.recommended(1).await;
    assert_eq!(provider.count(), 2);
    assert!(tasks.len() == 1 && is_by_rules(&tasks[0]), "the rules have another idea: {tasks:?}");
    stage.strike().await;
}
