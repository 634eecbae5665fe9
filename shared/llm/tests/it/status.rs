//! Refusals: which are tried again, when, and how often.

use crate::asker::{Asker, asking, good, grade, hasty};
use llm::{Failure, Limits};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime};
use testkit::provider::{Provider, Reply};

fn status(failure: &Failure) -> Option<u16> {
    if let Failure::Status { status, .. } = failure { Some(*status) } else { None }
}

#[tokio::test]
async fn what_may_pass_is_tried_three_times_and_no_more() {
    for code in [408, 429, 500, 502, 503, 504] {
        let (provider, asker) = asking(Reply::status(code)).await;
        assert_eq!((status(&asker.fail("grade:1").await), provider.count()), (Some(code), 3));
        let in_body = Reply::json(200, &json!({ "error": { "code": code, "message": "x" } }));
        let (provider, asker) = asking(in_body).await;
        assert_eq!((status(&asker.fail("grade:1").await), provider.count()), (Some(code), 3));
    }
    let provider =
        Provider::start(|asked| if asked.number < 2 { Reply::status(503) } else { Reply::answer(&good()) })
            .await;
    let asker = Asker::new(&provider, hasty());
    assert_eq!(asker.ask("grade:1").await.unwrap().answer, grade());
}

#[tokio::test]
async fn what_will_not_pass_is_tried_once_and_says_what_to_do() {
    for (code, names) in [
        (401, "OPENROUTER_API_KEY"),
        (402, "credit"),
        (403, "LLM_MODEL"),
        (404, "LLM_BASE_URL"),
        (413, "413"),
        (301, "LLM_BASE_URL"),
        (501, "501"),
    ] {
        let elsewhere = Provider::always(Reply::answer(&good())).await;
        let (provider, asker) = asking(Reply::status(code).header("location", &elsewhere.url())).await;
        let failure = asker.fail("grade:1").await;
        assert!(failure.to_string().contains(names), "{failure}");
        assert_eq!((status(&failure), provider.count(), elsewhere.count()), (Some(code), 1, 0));
    }
}

/// A provider that wants to be left alone in these words, then answers; and how long that took.
async fn after(retry_after: &str, limits: Limits) -> (Result<(), Failure>, Duration, usize) {
    let first = Reply::status(429).header("Retry-After", retry_after);
    let script = move |asked: &testkit::provider::Request| {
        if asked.number == 0 { first.clone() } else { Reply::answer(&good()) }
    };
    let provider = Provider::start(script).await;
    let asker = Asker::new(&provider, limits);
    let start = Instant::now();
    let outcome = asker.ask("grade:1").await;
    (outcome.map(|_| ()), start.elapsed(), provider.count())
}

fn in_seconds(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}

#[tokio::test]
async fn retry_after_is_kept_in_both_its_forms() {
    // A date has whole seconds: two from now is more than one
    for (words, least) in [(in_seconds(2), 1_000), ("1".to_owned(), 1_000), ("0".into(), 0)] {
        let (asked, took, count) = after(&words, hasty()).await;
        assert_eq!((asked, count), (Ok(()), 2));
        assert!(took >= Duration::from_millis(least), "{words}: {took:?}");
    }
    for past in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "soon",
        "-1",
    ] {
        let (asked, took, count) = after(past, hasty()).await;
        assert_eq!((asked, count), (Ok(()), 2));
        assert!(took < Duration::from_secs(1), "{past}: {took:?}");
    }
}

#[tokio::test]
async fn who_is_to_wait_longer_than_there_is_time_hears_so_at_once() {
    for words in ["60".to_owned(), u64::MAX.to_string(), in_seconds(60)] {
        let (asked, took, count) = after(&words, hasty()).await;
        let failure = asked.unwrap_err();
        assert_eq!((status(&failure), count), (Some(429), 1));
        assert!(took < Duration::from_secs(1), "{words}: {took:?}");
    }
}
