//! Jobs that fail.

use crate::{
    BOTH, wait,
    workshop::{Make, Trouble, Workshop, ask, made, until},
};
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use std::time::{Duration, Instant};
use subgraph::jobs::{self, Status};
use testkit::TestDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_why_and_holds_up_nothing() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let shift = workshop.open().await;
        let refused = ask(&shift.service, &Make::new("refused", 3).with(Trouble::Refused)).await;
        let panics = ask(&shift.service, &Make::new("panics", 3).with(Trouble::Panics)).await;
        let good = ask(&shift.service, &Make::new("good", 3)).await;
        let refused = wait(&shift.service, &refused).await;
        assert_eq!((refused.status, refused.done), (Status::Failed, 1));
        assert_eq!(refused.error.as_deref(), Some("there is no wood"));
        let panics = wait(&shift.service, &panics).await;
        assert_eq!(panics.status, Status::Failed);
        let error = panics.error.unwrap();
        assert!(error.starts_with("Internal error, reference ") && !error.contains("secret"), "{error}");
        assert_eq!(wait(&shift.service, &good).await.status, Status::Succeeded);
        let metrics = shift.service.metrics.text().unwrap();
        let failed = r#"leadgraph_jobs_total{kind="make",outcome="failed",subgraph="workshop"} 2"#;
        assert!(metrics.contains(failed), "{metrics}");
        shift.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_work_now_is_tried_again_as_long_as_it_gets_further() {
    join_all(BOTH.map(keep_trying)).await;
}

async fn keep_trying(new: fn() -> TestDatabase) {
    let workshop = Workshop::build(new);
    let shifts = [workshop.open().await, workshop.open().await];
    let service = &shifts[0].service;
    let late = ask(service, &Make::new("late", 2).with(Trouble::Until(3))).await;
    let tiring = ask(service, &Make::new("tiring", 8).with(Trouble::AfterEachPiece)).await;
    assert_eq!(wait(service, &late).await.status, Status::Succeeded);
    assert_eq!(wait(service, &tiring).await.status, Status::Succeeded);
    assert_eq!(made(service, "tiring").await, (1..=8).collect::<Vec<_>>());
    let start = Instant::now();
    let never = ask(service, &Make::new("never", 2).with(Trouble::Until(100))).await;
    let never = wait(service, &never).await;
    assert_eq!(never.error.as_deref(), Some("gave up after 5 attempts: not now"));
    assert!(start.elapsed() > Duration::from_secs(14), "{:?}", start.elapsed());
    for shift in shifts {
        shift.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_every_process_that_does_it_is_given_up() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let (office, _folder) = workshop.office().await;
        for (n, attempts) in [4, 5].into_iter().enumerate() {
            let mut fatal = ask(&office, &Make::new("fatal", 1)).await.into_active_model();
            fatal.status = Set(Status::Running);
            fatal.attempts = Set(attempts);
            fatal.lease_until = Set(Some(Utc::now() - TimeDelta::seconds(1)));
            let fatal = fatal.update(office.db.write()).await.unwrap();
            let shift = workshop.open().await;
            let ended = wait(&office, &fatal).await;
            let expected = [(Status::Succeeded, None), (Status::Failed, Some("gave up after 5 attempts"))];
            assert_eq!((ended.status, ended.error.as_deref()), expected[n]);
            shift.end().await;
        }
        assert_eq!(made(&office, "fatal").await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_fails_and_what_is_not_known_waits() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let (office, _folder) = workshop.office().await;
        let poisoned = ask(&office, &Make::new("poisoned", 1)).await;
        let unknown = ask(&office, &Make::new("unknown", 1)).await;
        let good = ask(&office, &Make::new("good", 1)).await;
        let mut row = poisoned.clone().into_active_model();
        row.payload = Set(r#"{"thing": 7}"#.into());
        row.update(office.db.write()).await.unwrap();
        let mut row = unknown.clone().into_active_model();
        row.kind = Set("dance".into());
        row.update(office.db.write()).await.unwrap();
        let shift = workshop.open().await;
        assert_eq!(wait(&office, &good).await.status, Status::Succeeded);
        let poisoned = wait(&office, &poisoned).await;
        let expected = (Status::Failed, Some("This version cannot read what was asked for"));
        assert_eq!((poisoned.status, poisoned.error.as_deref()), expected);
        let row = jobs::Entity::find_by_id(unknown.id).one(office.db.read()).await.unwrap().unwrap();
        assert_eq!((row.status, row.attempts), (Status::Queued, 0));
        assert!(jobs::find::<Make>(office.db.read(), unknown.id).await.unwrap().is_none());
        let nobody = jobs::wait::<Make>(&office, unknown.id).await;
        assert_eq!(nobody.unwrap_err().code(), "NOT_FOUND");
        until("it is counted", async || {
            shift.service.metrics.text().unwrap().contains("leadgraph_jobs_waiting{subgraph=\"workshop\"} 1")
        })
        .await;
        shift.end().await;
    }
}
