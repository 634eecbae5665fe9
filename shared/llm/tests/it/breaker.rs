//! A provider that fails in a row is left alone.

use crate::asker::{Asker, good, grade, hasty};
use llm::{Failure, Limits};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use testkit::provider::{Provider, Reply};

const REST: Duration = Duration::from_millis(300);
const STATE: &str = "leadgraph_llm_breaker_state{subgraph=\"test\"}";

fn limits() -> Limits {
    Limits { failures: 5, rest: REST, retries: 0, idle: Duration::from_millis(200), ..hasty() }
}

/// Fails once for each of these numbers.
async fn fail(asker: &Asker, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_ne!(asker.fail(&format!("grade:{number}")).await, Failure::Resting);
    }
}

#[tokio::test]
async fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
    let works = Arc::new(AtomicBool::new(false));
    let script = works.clone();
    let provider = Provider::start(move |_| {
        let reply = if script.load(Ordering::SeqCst) { Reply::answer(&good()) } else { Reply::status(500) };
        reply.after(Duration::from_millis(20))
    })
    .await;
    let asker = Asker::new(&provider, limits());
    fail(&asker, 0..5).await;
    assert_eq!((asker.fail("grade:5").await, provider.count()), (Failure::Resting, 5));
    assert!((asker.counter(STATE) - 2.0).abs() < 1e-9 && asker.ended("resting") > 0.0);
    // The probe fails, and the next one succeeds; whoever asks meanwhile is refused at once
    for (number, succeeds) in [(6, false), (7, true)] {
        tokio::time::sleep(REST + Duration::from_millis(20)).await;
        works.store(succeeds, Ordering::SeqCst);
        let subject = format!("grade:{number}");
        let (probe, other) = tokio::join!(asker.ask(&subject), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            asker.fail("grade:other").await
        });
        assert_eq!((probe.is_ok(), other, provider.count()), (succeeds, Failure::Resting, number));
        assert!(succeeds || asker.fail("grade:after").await == Failure::Resting);
    }
    assert!(asker.counter(STATE).abs() < 1e-9);
    assert_eq!(asker.ask("grade:8").await.unwrap().answer, grade());
}

#[tokio::test]
async fn an_answer_between_failures_keeps_it_closed() {
    let provider =
        Provider::start(
            |asked| {
                if asked.number % 5 == 4 { Reply::answer(&good()) } else { Reply::status(503) }
            },
        )
        .await;
    let asker = Asker::new(&provider, limits());
    for number in 0..20 {
        let outcome = asker.ask(&format!("grade:{number}")).await;
        assert_eq!(outcome.is_ok(), number % 5 == 4, "{number}: {outcome:?}");
    }
}

#[tokio::test]
async fn what_depends_on_the_content_does_not_open_it() {
    let replies =
        [Reply::text("no"), Reply::status(422), Reply::status(413), Reply::answer(&serde_json::json!({}))];
    for reply in replies {
        let provider = Provider::always(reply).await;
        fail(&Asker::new(&provider, limits()), 0..12).await;
        assert_eq!(provider.count(), 12);
    }
}

#[tokio::test]
async fn every_fault_of_the_provider_opens_it() {
    let replies = [
        Reply::status(401),
        Reply::status(429),
        Reply::silence(),
        Reply::raw(""),
        Reply::answer(&good()).reset(100),
        Reply::body(200, b"<html>"),
        Reply::body(200, &vec![b' '; 1_100_000]),
    ];
    for reply in replies {
        let shown = format!("{reply:.60?}");
        let provider = Provider::always(reply).await;
        let limits = Limits { rest: Duration::from_mins(1), total: Duration::from_millis(500), ..limits() };
        let asker = Asker::new(&provider, limits);
        fail(&asker, 0..5).await;
        assert_eq!(asker.fail("grade:5").await, Failure::Resting, "{shown}");
    }
}
