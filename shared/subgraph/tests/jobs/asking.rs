//! Who asks for jobs, and who waits for them.

use crate::{
    BOTH, thing, wait,
    workshop::{Make, Trouble, Workshop, ask, hanging, job, let_go, recorded, sql, until},
};
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, PaginatorTrait};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use subgraph::{
    Caller, Change, Service,
    jobs::{self, Model, Status},
};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_exists_when_its_change_was_committed() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let (office, _folder) = workshop.office().await;
        let mut change = Change::begin(&office, &Caller::system()).await.unwrap();
        change.enqueue(&Make::new("chair", 1)).await.unwrap();
        drop(change);
        assert_eq!(jobs::Entity::find().count(office.db.read()).await.unwrap(), 0);
        assert!(jobs::latest::<Make>(office.db.read()).await.unwrap().is_none());
        let asked = ask(&office, &Make::new("table", 1)).await;
        assert_eq!((asked.status, asked.attempts, asked.done), (Status::Queued, 0, 0));
        assert_eq!(jobs::latest::<Make>(office.db.read()).await.unwrap().unwrap(), asked);
        assert_eq!(recorded(&office, "job.requested").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_joins() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let offices = [workshop.office().await, workshop.office().await];
        let make = Make::new("joined", 1).keyed("one");
        let asking = (0..20).map(|n| {
            let (office, make) = (offices[n % 2].0.clone(), make.clone());
            tokio::spawn(async move { ask(&office, &make).await.id })
        });
        let asked: HashSet<_> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(asked.len(), 1, "{asked:?}");
        let office = &offices[0].0;
        assert_eq!((recorded(office, "job.requested").await, recorded(office, "job.joined").await), (1, 19));
        // Another key, or none, is another job
        ask(office, &make.clone().keyed("two")).await;
        for _ in 0..2 {
            ask(office, &Make::new("joined", 1)).await;
        }
        assert_eq!(jobs::Entity::find().count(office.db.read()).await.unwrap(), 4);
        let shift = workshop.open().await;
        let first = job(office, *asked.iter().next().unwrap()).await;
        assert_eq!(wait(office, &first).await.status, Status::Succeeded);
        assert_ne!(ask(office, &make).await.id, first.id);
        shift.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_wait_are_told() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let lamp = thing("lamp", &workshop.database);
        let (office, _folder) = workshop.office().await;
        let shift = workshop.open().await;
        sleep(Duration::from_millis(200)).await;
        let start = Instant::now();
        let asked = ask(&shift.service, &Make::new(&lamp, 2).with(Trouble::Hangs)).await;
        until("it is at work", async || hanging(&lamp).len() == 1).await;
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        let waiting = |service: &Service| {
            let (service, asked) = (service.clone(), asked.clone());
            tokio::spawn(async move { (wait(&service, &asked).await.status, Instant::now()) })
        };
        let near: Vec<_> = (0..10).map(|_| waiting(&shift.service)).collect();
        let far: Vec<_> = (0..5).map(|_| waiting(&office)).collect();
        sleep(Duration::from_millis(200)).await;
        assert!(near.iter().chain(&far).all(|waiting| !waiting.is_finished()));
        let start = Instant::now();
        let_go(&lamp);
        for (waiting, limit) in near.into_iter().map(|w| (w, 500)).chain(far.into_iter().map(|w| (w, 4_000)))
        {
            let (status, at) = waiting.await.unwrap();
            assert_eq!(status, Status::Succeeded);
            assert!(at - start < Duration::from_millis(limit), "{:?}", at - start);
        }
        shift.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_ended_long_ago_are_removed() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let (office, _folder) = workshop.office().await;
        let row = ask(&office, &Make::new("old", 0)).await;
        sql(office.db.write(), "DELETE FROM job").await;
        let days = |days| Utc::now() - TimeDelta::days(days);
        let old = |n: i64| {
            let (id, finished) = (office.random.uuid(days(31)), days(if n == 0 { 29 } else { 31 }));
            let (status, finished_at) =
                if n == 1 { (Status::Queued, None) } else { (Status::Failed, Some(finished)) };
            let kind = if n == 1 { "unknown".into() } else { row.kind.clone() };
            Model { id, kind, status, finished_at, created_at: days(40), ..row.clone() }
        };
        // More than are removed at once
        for chunk in (0..5_010).map(old).collect::<Vec<_>>().chunks(500) {
            let rows = chunk.iter().cloned().map(|row| row.into_active_model().reset_all());
            jobs::Entity::insert_many(rows).exec_without_returning(office.db.write()).await.unwrap();
        }
        let shift = workshop.open().await;
        until("the old ones are gone", async || {
            jobs::Entity::find().count(office.db.read()).await.unwrap() == 2
        })
        .await;
        shift.end().await;
    }
}
