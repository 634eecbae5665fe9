//! A provider that answers badly: the built-in rules recommend, nothing else is saved, and no mutation fails.

use crate::{
    model::{answer, recommendation},
    stage::{Stage, is_by_rules},
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{
    TestDatabase,
    provider::{Provider, Reply},
};

/// Enough for any answer that comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plays an answer for a lead, and what comes of it. Each has a service of its own: one that has seen several bad ones
/// would not ask any more.
async fn play(reply: Reply, patience: Duration) -> Vec<Value> {
    let provider = Provider::always(reply).await;
    let patience = format!("--llm-timeout-ms={}", patience.as_millis());
    let flags = [&provider.flags()[..], &[patience]].concat();
    let stage = Stage::set(TestDatabase::sqlite(), &flags).await;
    stage.lead(1, "John").await;
    let tasks = stage.recommended(1).await;
    assert!(provider.count() > 0, "it was asked");
    let all = stage.data("{ tasks { id } }").await;
    assert_eq!(all["tasks"].as_array().unwrap().len(), tasks.len(), "{tasks:?}");
    stage.strike().await;
    tasks
}

/// What fails at once does so within any time; what is tried again or hangs need not take long.
async fn falls_back(named: &str, reply: Reply) {
    let tasks = play(reply, Duration::from_millis(700)).await;
    assert!(tasks.len() == 1 && is_by_rules(&tasks[0]), "{named}: {tasks:?}");
}

/// A good answer with another value in one field of its only recommendation.
fn with(field: &str, value: &Value) -> Reply {
    let mut bad = answer(&["INTRODUCE"]);
    bad["recommendations"][0][field] = value.clone();
    Reply::answer(&bad)
}

#[tokio::test]
async fn values_that_no_person_could_send() {
    for (field, value) in [
        ("dueInDays", json!("87%")),
        ("dueInDays", json!(-5)),
        ("dueInDays", json!(1e308)),
        ("dueInDays", json!(null)),
        ("priority", json!("URGENT")),
        ("priority", json!([])),
        ("kind", json!("DELETE_LEAD")),
        ("title", json!("")),
        ("title", json!("a\u{0}b")),
        ("title", json!("é".repeat(256))),
        ("title", json!({ "text": "Call" })),
        ("description", json!("a\u{1b}[31m")),
        ("reasoning", json!(" ")),
    ] {
        falls_back(&format!("{field}: {value}"), with(field, &value)).await;
    }
    let nan = answer(&["INTRODUCE"]).to_string().replace(":4", ":NaN");
    falls_back("NaN", Reply::text(&nan)).await;
}

#[tokio::test]
async fn texts_that_are_no_answer() {
    let good = answer(&["INTRODUCE"]).to_string();
    for text in [
        "",
        "I cannot help with that.",
        "[]",
        "{}",
        "null",
        r#"{"recommendations": []}"#,
        r#"{"recommendations": {}}"#,
        r#"{"recommendations": "call"}"#,
        &good[..good.len() - 5],
        &"[".repeat(100_000),
    ] {
        falls_back(&text.chars().take(50).collect::<String>(), Reply::text(text)).await;
    }
}

#[tokio::test]
async fn texts_around_an_answer_do_no_harm() {
    let good = answer(&["PROPOSE"]).to_string();
    for text in [
        format!("Here you are:\n```json\n{good}\n```\nGood luck!"),
        format!("Sure! {good} Anything else?"),
        good.replace('}', ",}"),
    ] {
        let tasks = play(Reply::text(&text), PATIENCE).await;
        assert_eq!(tasks[0]["title"], "Please PROPOSE", "{text}");
    }
    let mixed = json!({ "recommendations": [{ "kind": 7 }, recommendation("PROPOSE", "LOW"), "x"] });
    let tasks = play(Reply::answer(&mixed), PATIENCE).await;
    assert_eq!((tasks.len(), &tasks[0]["title"]), (1, &json!("Please PROPOSE")));
}

#[tokio::test]
async fn an_answer_that_is_cut_at_any_byte() {
    // One service for all: an answer that is cut is the model's fault, and does not shut it off
    let good = answer(&["PROPOSE"]).to_string();
    let length = i32::try_from(good.len()).unwrap();
    let provider = Provider::start(move |asked| {
        let name = asked.data["lead"]["name"].as_str().unwrap_or_default();
        let cut = name.trim_start_matches("Cut").trim_end_matches(" Doe").parse().unwrap_or(0);
        Reply::text(&good[..cut])
    })
    .await;
    let stage = Stage::set(TestDatabase::sqlite(), &provider.flags()).await;
    for cut in 1..length {
        stage.lead(cut, &format!("Cut{cut}")).await;
        let tasks = stage.recommended(cut).await;
        assert_eq!(tasks.len(), 1, "{cut}: {tasks:?}");
        assert!(is_by_rules(&tasks[0]) || tasks[0]["title"] == "Please PROPOSE", "{cut}: {tasks:?}");
    }
    assert_eq!(i32::try_from(provider.count()).unwrap(), length - 1, "each was asked for");
    stage.strike().await;
}

#[tokio::test]
async fn statuses_and_bodies_that_are_no_completion() {
    for status in [400, 401, 402, 404, 408, 429, 500, 502, 503] {
        falls_back(&status.to_string(), Reply::status(status)).await;
    }
    for after in ["1", "Thu, 15 Jan 2026 12:00:00 GMT", "soon"] {
        falls_back(after, Reply::status(429).header("retry-after", after)).await;
    }
    falls_back("an error with status 200", Reply::json(200, &json!({ "error": { "message": "no" } }))).await;
    falls_back("no choices", Reply::json(200, &json!({ "choices": [] }))).await;
    falls_back("10 MB", Reply::body(200, &vec![b' '; 10_000_000])).await;
    falls_back("invalid UTF-8", Reply::body(200, b"{\"choices\": \"\xff\"}")).await;
    falls_back("NUL", Reply::body(200, b"\0")).await;
    falls_back("no HTTP", Reply::raw("no")).await;
}

#[tokio::test]
async fn connections_that_lead_nowhere() {
    let good = || Reply::answer(&answer(&["PROPOSE"]));
    falls_back("silence", Reply::silence()).await;
    falls_back("one byte at a time", good().dribble(Duration::from_secs(10))).await;
    let half = good().len() / 2;
    falls_back("it stops", good().stop(half)).await;
    for reset in [0, 1, 20, half, good().len() - 1] {
        falls_back(&format!("reset at {reset}"), good().reset(reset)).await;
    }
}
