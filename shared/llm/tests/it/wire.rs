//! Connections that break, hang or never stop.

use crate::asker::{Asker, asking, good, grade, hasty};
use llm::{Failure, Limits};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::provider::{Provider, Reply};

/// Patience that ends first where nothing comes.
fn hastier() -> Limits {
    Limits { idle: Duration::from_millis(100), total: Duration::from_millis(1_500), ..hasty() }
}

/// How long it takes to give up on this.
async fn given_up(reply: Reply) -> Duration {
    let provider = Provider::always(reply).await;
    let asker = Asker::new(&provider, hastier());
    let start = Instant::now();
    assert_eq!(asker.fail("grade:1").await, Failure::TimedOut);
    assert_eq!(provider.count(), 1);
    start.elapsed()
}

#[tokio::test]
async fn silence_within_an_answer_ends_after_the_idle_time() {
    let whole = Reply::answer(&good());
    for bytes in [60, whole.len() / 2, whole.len() - 1] {
        let took = given_up(whole.clone().stop(bytes)).await;
        assert!(took < hastier().total, "{bytes}: {took:?}");
    }
    // One byte every ten seconds, in the time of these tests
    let took = given_up(Reply::answer(&good()).dribble(Duration::from_millis(300))).await;
    assert!(took < hastier().total, "{took:?}");
}

#[tokio::test]
async fn silence_before_an_answer_ends_with_the_time_for_the_question() {
    for reply in [Reply::silence(), Reply::answer(&good()).stop(5)] {
        let took = given_up(reply).await;
        assert!(took >= hastier().total && took < 3 * hastier().total, "{took:?}");
    }
}

#[tokio::test]
async fn a_server_may_think_for_longer_than_an_answer_may_pause() {
    let provider = Provider::always(Reply::answer(&good()).after(6 * hastier().idle)).await;
    let asker = Asker::new(&provider, hastier());
    assert_eq!(asker.ask("grade:1").await.unwrap().answer, grade());
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn an_answer_that_never_pauses_ends_with_the_time_for_the_question() {
    let took = given_up(Reply::answer(&good()).dribble(Duration::from_millis(20))).await;
    assert!(took >= hastier().total && took < 3 * hastier().total, "{took:?}");
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    for reply in [
        Reply::answer(&good()).after(Duration::from_millis(300)),
        Reply::answer(&good()).dribble(Duration::from_micros(100)),
    ] {
        let (_provider, asker) = asking(reply).await;
        assert_eq!(asker.ask("grade:1").await.unwrap().answer, grade());
    }
}

#[tokio::test]
async fn a_long_answer_is_refused_without_reading_it() {
    let large = vec![b' '; 10_000_000];
    let announced = Reply::body(200, &large);
    let unannounced = Reply::raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), large.clone()].concat());
    let chunk = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n989680\r\n".to_vec(), large].concat();
    for reply in [announced, unannounced, Reply::raw(chunk)] {
        let (_provider, asker) = asking(reply).await;
        assert_eq!(asker.fail("grade:1").await, Failure::TooLong(1_000_000));
    }
}

/// Asks once for each number of bytes of a good answer, of which no more arrive.
async fn sweep(limited: fn(Reply, usize) -> Reply, check: impl Fn(usize, Result<(), Failure>, usize)) {
    let whole = Reply::answer(&good());
    let arriving = Arc::new(AtomicUsize::new(0));
    let (reply, bytes) = (whole.clone(), arriving.clone());
    let provider = Provider::start(move |_| limited(reply.clone(), bytes.load(Ordering::SeqCst))).await;
    let asker = Asker::new(&provider, hasty());
    for bytes in 0..=whole.len() {
        arriving.store(bytes, Ordering::SeqCst);
        let before = provider.count();
        let outcome =
            asker.ask(&format!("grade:{bytes}")).await.map(|reply| assert_eq!(reply.answer, grade()));
        check(whole.len() - bytes, outcome, provider.count() - before);
    }
}

#[tokio::test]
async fn a_connection_that_ends_at_any_byte_gives_a_failure() {
    // As many bytes, but for the digits of the length
    let head = Reply::body(200, b"").len() + 2;
    let body = Reply::answer(&good()).len() - head;
    sweep(Reply::cut, |missing, asked, attempts| match (missing, asked) {
        (0, asked) => assert_eq!((asked, attempts), (Ok(()), 1)),
        (_, Err(Failure::Broken(_))) => assert!(missing <= body && attempts == 1, "{missing}: {attempts}"),
        (_, Err(Failure::Dropped(_))) => assert!(missing > body && attempts == 3, "{missing}: {attempts}"),
        (_, other) => panic!("{missing}: {other:?}"),
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_reset_at_any_byte_gives_a_failure() {
    // A reset may overtake what was sent before it: which of the two is a matter of luck
    sweep(Reply::reset, |missing, asked, attempts| match asked {
        Ok(()) => assert_eq!(missing, 0),
        Err(Failure::Broken(_) | Failure::Dropped(_)) => assert!(attempts <= 3),
        Err(other) => panic!("{missing}: {other:?}"),
    })
    .await;
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(100_000)].concat();
    let odd: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\0\0\0\0",
        b"HTTP/1.1 999 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
        &endless,
    ];
    for bytes in odd {
        let (_provider, asker) = asking(Reply::raw(bytes)).await;
        let failure = asker.fail("grade:1").await;
        let expected =
            matches!(failure, Failure::Dropped(_) | Failure::Broken(_) | Failure::Status { status: 999, .. });
        assert!(expected, "{failure:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_and_given_up() {
    let asker = Asker::at(&format!("http://127.0.0.1:{}/v1", testkit::free_port()), hasty());
    let failure = asker.fail("grade:1").await;
    assert!(
        matches!(failure, Failure::Unreachable(_)) && failure.to_string().contains("refused"),
        "{failure}"
    );
    let asker = Asker::at("http://no-such-host.invalid/v1", hasty());
    assert!(matches!(asker.fail("grade:1").await, Failure::Unreachable(_)));
}
