//! Several people ask at the same moment.

use crate::{
    model::answer,
    stage::{Stage, ids},
};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use testkit::{
    TestDatabase,
    provider::{Provider, Reply},
};

const ASK: &str = "mutation { generateTaskRecommendations(leadId: 1) { id } }";

async fn all_get_the_same(stage: &Stage, many: usize) {
    let asking: Vec<_> = (0..many).map(|_| tokio::spawn(stage.ask(ASK))).collect();
    let mut answers = Vec::new();
    for answer in asking {
        answers.push(answer.await.unwrap());
    }
    let tasks = |answer: &Value| answer["data"]["generateTaskRecommendations"].as_array().cloned();
    let first = tasks(&answers[0]).unwrap();
    assert!(!first.is_empty());
    assert!(answers.iter().all(|it| tasks(it).as_ref() == Some(&first)), "{answers:?}");
    let saved = stage.data("{ tasks { id } }").await;
    assert_eq!(saved["tasks"].as_array().unwrap().len(), ids(&first).len(), "{saved}");
    let told = stage.number("SELECT count(*) FROM outbox WHERE kind = 'task.created'").await;
    assert_eq!(usize::try_from(told).unwrap(), first.len());
}

#[tokio::test]
async fn the_rules_suggest_once() {
    for database in TestDatabase::both() {
        let stage = Stage::set(database, &[]).await;
        stage.lead(1, "John").await;
        all_get_the_same(&stage, 20).await;
        stage.strike().await;
    }
}

#[tokio::test]
async fn a_provider_is_asked_once() {
    for database in TestDatabase::both() {
        let provider = Provider::always(Reply::answer(&answer(&["PROPOSE", "NEXT_STEP"]))).await;
        let stage = Stage::set(database, &provider.flags()).await;
        stage.lead(1, "John").await;
        all_get_the_same(&stage, 20).await;
        assert_eq!(provider.count(), 1);
        stage.strike().await;
    }
}

#[tokio::test]
async fn two_replicas_whose_models_differ_agree_on_the_first() {
    for database in TestDatabase::both() {
        let [one, other] = [&["PROPOSE"], &["NEXT_STEP"]].map(|kinds| Reply::answer(&answer(kinds)));
        let providers = (Provider::always(one).await, Provider::always(other).await);
        let stage = Stage::set(database, &providers.0.flags()).await;
        stage.lead(1, "John").await;
        let replica = stage.replica(&providers.1.flags()).await;
        let (one, other) = tokio::join!(stage.ask(ASK), stage.ask_at(replica.addr, ASK));
        assert_eq!(one, other);
        let saved = stage.data("{ tasks { id } }").await;
        assert_eq!(saved["tasks"].as_array().unwrap().len(), 1, "{saved}");
        replica.stop().await.unwrap();
        stage.strike().await;
    }
}

#[tokio::test]
async fn an_older_suggestion_that_is_opened_again_meanwhile_is_the_answer() {
    let stage = Stage::set(TestDatabase::postgres(), &[]).await;
    stage.lead(1, "John").await;
    let older = stage.recommended(1).await.remove(0);
    stage.complete(&older).await;
    // On its way, but not committed yet
    let opening = stage.begin().await;
    opening
        .execute_unprepared("UPDATE task SET completed = false, completed_at = NULL, source = 'AI_SUGGESTED'")
        .await
        .unwrap();
    let asking = tokio::spawn(stage.ask(ASK));
    Stage::until_waiting(&opening).await;
    opening.commit().await.unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(answer["data"]["generateTaskRecommendations"][0]["id"], older["id"], "{answer}");
    assert_eq!(stage.number("SELECT count(*) FROM task").await, 1);
    stage.strike().await;
}
