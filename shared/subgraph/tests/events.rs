//! Events from one service to another: each once, in order, whatever happens in between.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tokens count from now"
)]

mod bells;

use bells::{Tower, Trouble, parked, rows};
use events::inbox;
use sea_orm::ConnectionTrait;
use std::time::Duration;
use testkit::TestDatabase;

const BOTH: [fn() -> TestDatabase; 2] = [TestDatabase::sqlite, TestDatabase::postgres];

async fn running(new: fn() -> TestDatabase) -> Tower {
    let mut tower = Tower::build(new);
    tower.start_bells().await;
    tower.start_ears().await;
    tower
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still not: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_applied_once_and_in_order() {
    for new in BOTH {
        let tower = running(new).await;
        for bell in 0..30 {
            tower.ring(0, bell, 1).await;
        }
        tower.ring(0, 30, 300).await;
        let heard = tower.wait_until_heard(330).await;
        assert_eq!(heard[..30], (0..30).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(rows(&tower.ears_db().await, "inbox").await, 330);
        assert_eq!(tower.heard().await.len(), 330);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_hears_it_afterwards() {
    for new in BOTH {
        let mut tower = Tower::build(new);
        tower.start_bells().await;
        tower.ring(0, 0, 5).await;
        tower.start_ears().await;
        tower.wait_until_heard(5).await;
        tower.stop_ears().await;
        tower.ring(0, 5, 5).await;
        tower.stop_bells().await;
        tower.start_ears().await;
        tower.wait_until_heard(10).await;
        assert_eq!(rows(&tower.ears_db().await, "inbox").await, 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_work_and_nothing_is_done_twice() {
    let mut tower = running(TestDatabase::postgres).await;
    tower.start_bells().await;
    tower.start_ears().await;
    for bell in 0..40 {
        tower.ring(usize::try_from(bell).unwrap() % 2, bell * 10, 10).await;
    }
    tower.wait_until_heard(400).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut heard = tower.heard().await;
    heard.sort_unstable();
    assert_eq!(heard, (0..400).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_work_now_works_later_and_in_order() {
    for new in BOTH {
        let tower = running(new).await;
        tower.trouble(2, Trouble::Unavailable, 3);
        for bell in 0..5 {
            tower.ring(0, bell, 1).await;
        }
        assert_eq!(tower.wait_until_heard(5).await, [0, 1, 2, 3, 4]);
        assert!(parked(&tower.ears_db().await).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_works_is_parked_in_nobodys_way_and_can_be_replayed() {
    for new in BOTH {
        for trouble in [Trouble::Refused, Trouble::Panics] {
            let tower = running(new).await;
            tower.trouble(1, trouble, 6);
            tower.ring(0, 0, 3).await;
            let mut heard = tower.wait_until_heard(2).await;
            heard.sort_unstable();
            assert_eq!(heard, [0, 2]);
            let db = tower.ears_db().await;
            let event = parked(&db).await.unwrap();
            assert_eq!((&*event.kind, &*event.subject, event.attempts), ("bell.rung", "bell/1", 5));
            // The sixth time it fails, the seventh it does not
            assert_eq!(
                inbox::parked::ask_replay(&db, Some(event.event_id), chrono::Utc::now()).await.unwrap(),
                1
            );
            wait_until("tried again", async || parked(&db).await.is_some_and(|event| event.attempts == 6))
                .await;
            assert_eq!(inbox::parked::ask_replay(&db, None, chrono::Utc::now()).await.unwrap(), 1);
            wait_until("applied after all", async || parked(&db).await.is_none()).await;
            assert_eq!(tower.wait_until_heard(3).await.len(), 3);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_parked_once() {
    let mut tower = running(TestDatabase::sqlite).await;
    let log = sea_orm::Database::connect(format!("sqlite://{}/events.sqlite", tower.folder.path().display()));
    let log = log.await.unwrap();
    let add = "INSERT INTO log (id, envelope) VALUES (x'00', 'rubbish')";
    log.execute_unprepared(add).await.unwrap();
    let db = tower.ears_db().await;
    wait_until("parked", async || parked(&db).await.is_some()).await;
    assert!(parked(&db).await.unwrap().reason.contains("no CloudEvent"));
    tower.stop_ears().await;
    tower.start_ears().await;
    tower.ring(0, 0, 1).await;
    tower.wait_until_heard(1).await;
    assert_eq!(rows(&db, "parked_event").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_is_published_again_and_applied_no_second_time() {
    for new in BOTH {
        let mut tower = running(new).await;
        tower.ring(0, 0, 20).await;
        tower.wait_until_heard(20).await;
        tower.stop_bells().await;
        tower.stop_ears().await;
        for file in ["events.sqlite", "events.sqlite-wal", "events.sqlite-shm"] {
            let _ = std::fs::remove_file(tower.folder.path().join(file));
        }
        // Ears that lost what they knew get it all from the outbox
        let db = tower.ears_db().await;
        db.execute_unprepared("DELETE FROM inbox WHERE event_id IN (SELECT event_id FROM inbox LIMIT 5)")
            .await
            .unwrap();
        tower.start_bells().await;
        tower.start_ears().await;
        tower.ring(0, 20, 1).await;
        tower.wait_until_heard(26).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(rows(&db, "inbox").await, 21);
        assert_eq!(tower.heard().await.len(), 26);
    }
}
