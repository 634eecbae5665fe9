//! A provider that answers badly: the built-in rules write, nothing of the answer is stored, and no mutation fails.

use crate::stage::{Stage, is_by_rules};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{
    TestDatabase,
    provider::{Provider, Reply},
};

/// What no built-in rule says.
const MARK: &str = "Zanzibar";

/// Plays an answer for a lead, and what comes of it. Each has a service of its own: one that has seen several bad ones
/// would not ask any more.
async fn play(reply: Reply) -> (Value, String) {
    let provider = Provider::always(reply).await;
    let flags = [&provider.flags()[..], &["--llm-timeout-ms=400".into()]].concat();
    let stage = Stage::set(TestDatabase::sqlite(), &flags).await;
    stage.lead(1).await;
    stage.call(1, 1, "Wants a demo").await;
    let lead = stage.summary(1).await;
    assert!(provider.count() > 0, "it was asked");
    assert_eq!((&lead["activityScore"], &lead["summaryStale"]), (&json!(21), &json!(false)), "{lead}");
    let stored = stage.all_text().await;
    stage.strike().await;
    (lead, stored)
}

async fn falls_back(named: &str, reply: Reply) {
    let (lead, stored) = play(reply).await;
    assert!(is_by_rules(&lead), "{named}: {lead}");
    assert!(!stored.contains(MARK), "{named}: {stored}");
}

fn good() -> Value {
    json!({ "summary": format!("He wants a demo in {MARK}.") })
}

#[tokio::test]
async fn a_summary_is_not_made_of_values_that_are_no_text() {
    for (named, summary) in [
        ("a number", json!(87)),
        ("a score", json!({ "text": MARK, "score": "87%" })),
        ("a list", json!([MARK])),
        ("null", json!(null)),
        ("1e308", json!(1e308)),
        ("-5", json!(-5)),
        ("empty", json!("")),
        ("blank", json!(" \n\u{2003}")),
        ("NUL", json!(format!("{MARK}\u{0}"))),
        ("an escape", json!(format!("{MARK} \u{1b}[31m"))),
        ("a tab", json!(format!("{MARK}\tx"))),
        ("too long", json!(format!("{MARK} {}", "é".repeat(2_000)))),
        ("far too long", json!(format!("{MARK} {}", "é".repeat(100_000)))),
    ] {
        falls_back(named, Reply::answer(&json!({ "summary": summary }))).await;
    }
    falls_back("another field", Reply::answer(&json!({ "text": MARK, "score": 100 }))).await;
    falls_back("NaN", Reply::text(&format!("{{\"summary\": NaN, \"x\": \"{MARK}\"}}"))).await;
}

#[tokio::test]
async fn a_summary_is_not_made_of_texts_that_are_no_answer() {
    let good = good().to_string();
    for text in [
        "",
        &format!("I cannot help with {MARK}."),
        "[]",
        "{}",
        "null",
        &format!("\"{MARK}\""),
        &format!("[\"{MARK}\"]"),
        &format!("[{good}, {good}]"),
        &good[..good.len() - 2],
        &"[".repeat(100_000),
    ] {
        falls_back(&text.chars().take(50).collect::<String>(), Reply::text(text)).await;
    }
}

#[tokio::test]
async fn texts_around_a_summary_do_no_harm() {
    let good = good().to_string();
    for text in [
        format!("Here you are:\n```json\n{good}\n```\nGood luck!"),
        format!("Sure! {good} Anything else?"),
        good.replace('}', ",}"),
        format!("[{good}]"),
    ] {
        let (lead, _) = play(Reply::text(&text)).await;
        assert_eq!(lead["summary"], "He wants a demo in Zanzibar.", "{text}");
        assert_eq!(lead["summaryWrittenBy"], "test/model-1", "{text}");
    }
}

#[tokio::test]
async fn a_summary_that_is_cut_at_any_byte() {
    // One service for all: an answer that is cut is the model's fault, and does not shut it off
    let good = good().to_string();
    let length = i32::try_from(good.len()).unwrap();
    let provider = Provider::start(move |asked| {
        let notes = asked.data["interactions"]["newest"][0]["notes"].as_str().unwrap_or_default();
        Reply::text(&good[..notes.parse().unwrap_or(0)])
    })
    .await;
    let stage = Stage::set(TestDatabase::sqlite(), &provider.flags()).await;
    for cut in 1..length {
        stage.lead(cut).await;
        stage.call(cut, cut, &cut.to_string()).await;
        assert!(is_by_rules(&stage.summary(cut).await), "{cut}");
    }
    assert_eq!(i32::try_from(provider.count()).unwrap(), length - 1, "each was asked for");
    assert!(!stage.all_text().await.contains("demo"));
    stage.strike().await;
}

#[tokio::test]
async fn a_summary_is_not_made_of_statuses_and_bodies_that_are_no_completion() {
    for status in [400, 401, 402, 404, 408, 429, 500, 502, 503] {
        let body = json!({ "error": { "code": status, "message": MARK } });
        falls_back(&status.to_string(), Reply::json(status, &body)).await;
    }
    for after in ["1", "Thu, 15 Jan 2026 12:00:00 GMT", "soon"] {
        falls_back(after, Reply::status(429).header("retry-after", after)).await;
    }
    falls_back("an error with status 200", Reply::json(200, &json!({ "error": { "message": MARK } }))).await;
    falls_back("no choices", Reply::json(200, &json!({ "choices": [], "summary": MARK }))).await;
    falls_back("10 MB", Reply::body(200, &vec![b' '; 10_000_000])).await;
    falls_back("invalid UTF-8", Reply::body(200, b"{\"choices\": \"\xff\"}")).await;
    falls_back("NUL", Reply::body(200, b"\0")).await;
    falls_back("no HTTP", Reply::raw(MARK)).await;
}

#[tokio::test]
async fn a_summary_does_not_wait_for_connections_that_lead_nowhere() {
    let good = || Reply::answer(&good());
    falls_back("silence", Reply::silence()).await;
    falls_back("one byte at a time", good().dribble(Duration::from_secs(10))).await;
    let half = good().len() / 2;
    falls_back("it stops", good().stop(half)).await;
    for reset in [0, 1, 20, half, good().len() - 1] {
        falls_back(&format!("reset at {reset}"), good().reset(reset)).await;
    }
}
