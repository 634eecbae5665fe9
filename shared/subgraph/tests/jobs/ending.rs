//! Processes that stop or die in the middle of a job.

use crate::{
    BOTH, thing, wait,
    workshop::{Make, Trouble, Workshop, ask, hanging, job, let_go, made, until},
};
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use subgraph::jobs::Status;
use testkit::TestDatabase;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_gives_back_and_the_next_start_goes_on_at_once() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let ship = thing("ship", &workshop.database);
        let (office, _folder) = workshop.office().await;
        let shift = workshop.open().await;
        let asked = ask(&shift.service, &Make::new(&ship, 3).with(Trouble::Hangs)).await;
        let other = ask(&shift.service, &Make::new("oar", 1)).await;
        until("it is at work", async || hanging(&ship).len() == 1).await;
        shift.end().await;
        let given = job(&office, asked.id).await;
        assert_eq!((given.status, given.attempts, given.worker), (Status::Queued, 0, None));
        assert_eq!((given.lease_until, given.position.as_deref()), (None, Some("1")));
        let start = Instant::now();
        let shift = workshop.open().await;
        until("it is at work again", async || hanging(&ship).len() == 2).await;
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let_go(&ship);
        assert_eq!(wait(&office, &asked).await.status, Status::Succeeded);
        assert_eq!(wait(&office, &other).await.status, Status::Succeeded);
        assert_eq!(made(&office, &ship).await, [1, 2, 3]);
        shift.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_at_any_moment_loses_nothing_and_repeats_nothing() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let (office, _folder) = workshop.office().await;
        let asked = ask(&office, &Make::new("wall", 400)).await;
        let mut stops = 0;
        while !job(&office, asked.id).await.status.is_final() {
            let shift = workshop.open().await;
            sleep(Duration::from_millis(20 + 7 * stops)).await;
            shift.end().await;
            stops += 1;
        }
        assert!(stops > 2, "it must have been stopped in between");
        assert_eq!(made(&office, "wall").await, (1..=400).collect::<Vec<_>>());
        assert_eq!(job(&office, asked.id).await.status, Status::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_process_dies_another_goes_on_after_the_lease() {
    join_all(BOTH.map(die)).await;
}

async fn die(new: fn() -> TestDatabase) {
    let workshop = Workshop::build(new);
    let house = thing("house", &workshop.database);
    let (office, _folder) = workshop.office().await;
    let asked = ask(&office, &Make::new(&house, 3).with(Trouble::Hangs)).await;
    let workshop = std::sync::Arc::new(workshop);
    let (dying, place) = (tokio::runtime::Runtime::new().unwrap(), workshop.clone());
    let shift = dying.spawn(async move { place.open().await }).await.unwrap();
    until("it is at work", async || hanging(&house).len() == 1).await;
    shift.die(dying);
    let died = Instant::now();
    let shift = workshop.open().await;
    until("another is at work", async || hanging(&house).len() == 2).await;
    let taken = died.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(15)).contains(&taken), "{taken:?}");
    let again = job(&office, asked.id).await;
    assert_eq!((again.position.as_deref(), again.attempts), (Some("2"), 0));
    let_go(&house);
    assert_eq!(wait(&office, &asked).await.status, Status::Succeeded);
    assert_eq!(made(&office, &house).await, [1, 2, 3]);
    shift.end().await;
}
