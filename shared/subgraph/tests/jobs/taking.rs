//! Who does a job, and who goes on with it.

use crate::{
    BOTH, thing, wait,
    workshop::{Make, Trouble, Workshop, ask, hanging, job, let_go, made, progress, sql, until},
};
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};
use std::time::Duration;
use subgraph::{
    Clock, Service,
    jobs::{Model, Status},
};
use testkit::TestDatabase;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn services_share_the_work_and_each_job_is_done_once() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let (office, _folder) = workshop.office().await;
        let mut asked = Vec::new();
        for n in 0..60 {
            asked.push(ask(&office, &Make::new(&format!("box{n}"), 2)).await);
        }
        let shifts = join_all((0..4).map(|_| workshop.open())).await;
        for (n, asked) in asked.iter().enumerate() {
            let done = wait(&office, asked).await;
            assert_eq!(
                (done.status, done.done, done.total, done.error),
                (Status::Succeeded, 2, Some(2), None)
            );
            assert!(done.started_at.is_some() && done.finished_at.is_some() && done.worker.is_none());
            assert_eq!(made(&office, &format!("box{n}")).await, [1, 2]);
        }
        let mut outcomes = [0, 0];
        for shift in shifts {
            let metrics = shift.service.metrics.text().unwrap();
            assert!(metrics.contains("leadgraph_jobs_waiting"), "{metrics}");
            for (count, outcome) in outcomes.iter_mut().zip(["succeeded", "lost"]) {
                *count += ended(&metrics, outcome);
            }
            shift.end().await;
        }
        assert_eq!(outcomes, [60, 0], "none was taken from anybody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_job_at_the_same_moment_takes_another_one() {
    let workshop = Workshop::build(TestDatabase::postgres);
    let (office, _folder) = workshop.office().await;
    let [first, second] =
        [ask(&office, &Make::new("nut", 1)).await, ask(&office, &Make::new("bolt", 1)).await];
    let taking = office.db.begin().await.unwrap();
    let mut taken = first.clone().into_active_model();
    taken.status = Set(Status::Running);
    taken.worker = Set(Some(first.id));
    taken.lease_until = Set(Some(Utc::now() + TimeDelta::minutes(1)));
    taken.update(&taking).await.unwrap();
    let shift = workshop.open().await;
    assert_eq!(wait(&office, &second).await.status, Status::Succeeded);
    taking.commit().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(job(&office, first.id).await.worker, Some(first.id));
    assert!(made(&office, "nut").await.is_empty());
    shift.end().await;
}

/// How many jobs ended so, as the metrics say.
fn ended(metrics: &str, outcome: &str) -> u64 {
    let outcome = format!(r#"outcome="{outcome}""#);
    let mut lines = metrics.lines().filter(|line| line.starts_with("leadgraph_jobs_total"));
    let line = lines.find(|line| line.contains(&outcome));
    line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// Ends the lease, as often as it is renewed, until another run has the job.
async fn take_away(service: &Service, from: &Model) {
    let expired = async || {
        let past = "UPDATE job SET lease_until = created_at WHERE status = 'RUNNING'";
        if job(service, from.id).await.worker == from.worker {
            sql(service.db.write(), past).await;
        }
        job(service, from.id).await.worker != from.worker
    };
    until("somebody else has the job", expired).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_lease_commits_nothing_and_another_goes_on() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let boat = thing("boat", &workshop.database);
        let first = workshop.open().await;
        let asked = ask(&first.service, &Make::new(&boat, 5).with(Trouble::Hangs)).await;
        until("the first has it", async || hanging(&boat).len() == 1).await;
        let second = workshop.open().await;
        let before = job(&first.service, asked.id).await;
        assert_eq!((before.status, before.position.as_deref()), (Status::Running, Some("1")));
        take_away(&first.service, &before).await;
        until("the second has it", async || hanging(&boat).len() == 2).await;
        let [old, new] = hanging(&boat).try_into().ok().unwrap();
        assert_eq!(new.at_start().position.as_deref(), Some("1"));
        // As if the first one had not noticed
        let mut change = old.change().await.unwrap();
        change.record("piece.made", format!("{boat}/9"), &()).unwrap();
        assert_eq!(old.commit(change, progress(9, 5)).await.unwrap_err().code(), "UNAVAILABLE");
        until("the first one noticed", async || {
            first.service.metrics.text().unwrap().contains(r#"outcome="lost""#)
        })
        .await;
        let_go(&boat);
        let done = wait(&first.service, &asked).await;
        assert_eq!((done.status, done.done), (Status::Succeeded, 5));
        assert_eq!(made(&first.service, &boat).await, [1, 2, 3, 4, 5]);
        first.end().await;
        second.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_stands_still_or_jumps_takes_no_job_away() {
    for new in BOTH {
        let clock = Clock::fixed(Utc::now());
        let workshop = Workshop { clock: clock.clone(), ..Workshop::build(new) };
        let tower = thing("tower", &workshop.database);
        let shift = workshop.open().await;
        let asked = ask(&shift.service, &Make::new(&tower, 3).with(Trouble::Hangs)).await;
        until("it is at work", async || hanging(&tower).len() == 1).await;
        clock.advance(TimeDelta::days(1));
        let renewed = async || job(&shift.service, asked.id).await.lease_until > Some(clock.now());
        until("the lease is renewed", renewed).await;
        let_go(&tower);
        assert_eq!(wait(&shift.service, &asked).await.status, Status::Succeeded);
        assert_eq!(made(&shift.service, &tower).await, [1, 2, 3]);
        assert_eq!(hanging(&tower).len(), 3, "one after each piece, of one run");
        shift.end().await;
    }
}
