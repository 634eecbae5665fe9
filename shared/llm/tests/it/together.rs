//! Many who ask at once.

use crate::asker::{Asker, BOUND, Grade, Trust, asking, good, grade, hasty};
use llm::{Answer, Failure, Limits, Question};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::{
    eventually,
    provider::{Provider, Reply},
};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_hundred_who_ask_the_same_are_one_request() {
    let (provider, asker) = asking(Reply::answer(&good()).after(Duration::from_millis(50))).await;
    let mut askers = JoinSet::new();
    for _ in 0..100 {
        let asker = asker.clone();
        askers.spawn(async move { asker.ask("grade:1").await });
    }
    for asked in askers.join_all().await {
        assert_eq!(asked.unwrap().answer, grade());
    }
    assert_eq!(provider.count(), 1);
    assert_eq!((asker.ended("answered"), asker.ended("shared")), (1.0, 99.0));
}

#[tokio::test]
async fn a_hundred_who_ask_the_same_share_the_failure_and_the_next_one_asks_anew() {
    let script = |asked: &testkit::provider::Request| {
        let reply = if asked.number == 0 { Reply::status(401) } else { Reply::answer(&good()) };
        reply.after(Duration::from_millis(50))
    };
    let provider = Provider::start(script).await;
    let asker = Asker::new(&provider, hasty());
    let mut askers = JoinSet::new();
    for _ in 0..100 {
        let asker = asker.clone();
        askers.spawn(async move { asker.fail("grade:1").await });
    }
    for failure in askers.join_all().await {
        assert!(matches!(failure, Failure::Status { status: 401, .. }), "{failure:?}");
    }
    assert_eq!(provider.count(), 1);
    assert_eq!(asker.ask("grade:1").await.unwrap().answer, grade());
}

#[tokio::test]
async fn who_goes_away_takes_nothing_from_the_others() {
    let (provider, asker) = asking(Reply::answer(&good()).after(Duration::from_millis(80))).await;
    let first = tokio::spawn({
        let asker = asker.clone();
        async move { asker.ask("grade:1").await }
    });
    eventually("the first question arrives", BOUND, async || provider.count() == 1).await;
    let second = tokio::spawn({
        let asker = asker.clone();
        async move { asker.ask("grade:1").await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    first.abort();
    assert_eq!(second.await.unwrap().unwrap().answer, grade());
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn an_answer_to_who_went_away_is_there_for_who_asks_again() {
    let (provider, asker) = asking(Reply::answer(&good()).after(Duration::from_millis(50))).await;
    let gone = tokio::time::timeout(Duration::from_millis(10), asker.ask("grade:1")).await;
    assert!(gone.is_err());
    eventually("the answer arrives", BOUND, async || asker.ended("answered") > 0.0).await;
    asker.ask("grade:1").await.unwrap();
    assert_eq!(provider.count(), 1);
}

/// What is asked for.
// Another type, which asks for the same in the same words
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Other {
    /// From 0 to 100.
    score: f64,
    /// How sure that is.
    trust: Trust,
    /// In a few words.
    reason: Option<String>,
}

impl Answer for Other {
    const NAME: &'static str = Grade::NAME;

    fn check(self) -> Result<Self, String> {
        Ok(self)
    }
}

#[tokio::test]
async fn only_the_same_question_has_a_kept_answer() {
    let (provider, asker) = asking(Reply::answer(&good())).await;
    let same = Question { subject: "a", instructions: "b", data: json!({ "c": 1 }) };
    let others = [
        same.clone(),
        Question { subject: "x", ..same.clone() },
        Question { instructions: "x", ..same.clone() },
        Question { data: json!({ "c": 2 }), ..same.clone() },
        Question { subject: "ab", instructions: "", ..same.clone() },
    ];
    for _ in 0..2 {
        for question in &others {
            asker.client.ask::<Grade>(question).await.unwrap();
        }
        let Grade { score, trust, reason } = grade();
        assert_eq!(asker.client.ask::<Other>(&same).await.unwrap().answer, Other { score, trust, reason });
    }
    assert_eq!(provider.count(), others.len() + 1);
}

#[tokio::test]
async fn a_kept_answer_grows_old_and_a_bad_one_is_not_kept() {
    let provider = Provider::always(Reply::answer(&good())).await;
    let asker = Asker::new(&provider, Limits { kept: Duration::from_millis(50), ..hasty() });
    asker.ask("grade:1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    asker.ask("grade:1").await.unwrap();
    assert_eq!(provider.count(), 2);
    let (provider, asker) = asking(Reply::text("I cannot")).await;
    for _ in 0..2 {
        asker.fail("grade:1").await;
    }
    assert_eq!(provider.count(), 2);
}

#[tokio::test]
async fn a_hanging_provider_gets_four_questions_at_a_time_and_holds_nobody_up_for_long() {
    let provider = Provider::always(Reply::silence()).await;
    let total = Duration::from_millis(400);
    let asker = Asker::new(&provider, Limits { idle: Duration::from_mins(1), total, ..hasty() });
    let start = Instant::now();
    let mut askers = JoinSet::new();
    for number in 0..40 {
        let asker = asker.clone();
        askers.spawn(async move { asker.fail(&format!("grade:{number}")).await });
    }
    let failures = askers.join_all().await;
    assert!(start.elapsed() < 5 * total, "{:?}", start.elapsed());
    let turns = failures.iter().filter(|failure| **failure == Failure::TimedOut).count();
    let busy = failures.iter().filter(|failure| **failure == Failure::Busy).count();
    assert_eq!((busy + turns, provider.count(), provider.most_at_once()), (40, turns, 4));
    // On a busy machine somebody may begin when the first four are done
    assert!(busy >= 30, "{busy}");
}

/// An answer whose check is broken.
#[derive(Debug, Deserialize, JsonSchema)]
struct Faulty {}

impl Answer for Faulty {
    const NAME: &'static str = "faulty";

    fn check(self) -> Result<Self, String> {
        panic!("a fault in the check")
    }
}

#[tokio::test]
async fn a_panic_in_a_check_is_no_panic_of_who_asks() {
    let (provider, asker) = asking(Reply::answer(&json!({}))).await;
    let question = Question { subject: "a", instructions: "b", data: json!({}) };
    for _ in 0..6 {
        let failure = asker.client.ask::<Faulty>(&question).await.unwrap_err();
        assert!(matches!(failure, Failure::Unfit(_)), "{failure:?}");
    }
    assert_eq!(provider.count(), 6);
}

#[tokio::test]
async fn who_waits_gets_a_turn() {
    let (provider, asker) = asking(Reply::answer(&good()).after(Duration::from_millis(20))).await;
    let mut askers = JoinSet::new();
    for number in 0..20 {
        let asker = asker.clone();
        askers.spawn(async move { asker.ask(&format!("grade:{number}")).await });
    }
    assert!(askers.join_all().await.iter().all(Result::is_ok));
    assert_eq!((provider.count(), provider.most_at_once()), (20, 4));
}
