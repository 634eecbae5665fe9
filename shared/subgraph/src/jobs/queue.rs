//! The statements on the table of jobs. Each is right by itself, whoever else works on the table at the same moment.

use super::{
    row::{ActiveModel, Column, Entity, Model, Status},
    run::{Progress, Run},
};
use crate::error::{Error, Result};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    Condition, ConnectionTrait, DatabaseTransaction, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait,
    TryInsertResult, UpdateMany,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict, SubQueryStatement},
};

/// How long a run holds a job without renewing its lease: who is killed keeps others from going on for so long.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(10);
/// How often a job is begun without getting any further.
pub(super) const ATTEMPTS: i32 = 5;
/// How long jobs stay after they have ended.
const KEPT: TimeDelta = TimeDelta::days(30);
/// Rows removed at once: far below what a statement's time allows.
const PIECE: u64 = 5_000;

/// Adds a job unless one of its kind and key waits or runs; that one then. Says which of the two, for the audit log.
pub(super) async fn add(tx: &DatabaseTransaction, asked: Model) -> Result<(Model, &'static str)> {
    // The one in the way may end while it is looked for
    for _ in 0..ATTEMPTS {
        let row = Entity::insert(asked.clone().into_active_model().reset_all());
        let unless_there = OnConflict::new().do_nothing().to_owned();
        let inserted = row.on_conflict(unless_there).try_insert().exec_without_returning(tx).await?;
        if matches!(inserted, TryInsertResult::Inserted(1..)) {
            return Ok((asked, "job.requested"));
        }
        let same =
            Entity::find().filter(Column::Kind.eq(&*asked.kind)).filter(Column::Key.eq(asked.key.clone()));
        if let Some(same) = same.filter(active()).one(tx).await? {
            return Ok((same, "job.joined"));
        }
    }
    Err(Error::Unavailable("Jobs of this kind end faster than they can be joined; try again".into()))
}

fn active() -> Condition {
    Condition::all().add(Column::Status.is_in([Status::Queued, Status::Running]))
}

/// Nobody holds it.
fn free(now: DateTime<Utc>) -> Condition {
    let lapsed = Column::LeaseUntil.is_null().or(Column::LeaseUntil.lte(now));
    Condition::all().add(active()).add(lapsed)
}

/// Gives the job that was asked for first of those that nobody holds, or the one with this id, to `worker`.
pub(super) async fn claim(
    db: &DatabaseConnection,
    kind: &str,
    id: Option<Uuid>,
    worker: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Model>> {
    let mut first = Entity::find().select_only().column(Column::Id).filter(Column::Kind.eq(kind));
    if let Some(id) = id {
        first = first.filter(Column::Id.eq(id));
    }
    let first = first.filter(free(now)).order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).limit(1);
    let first = first.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked).into_query();
    // Compared with one value: as a set, Postgres might look it up again and take another one too
    let first = Expr::SubQuery(None, Box::new(SubQueryStatement::SelectStatement(first)));
    let taken = ActiveModel {
        status: Set(Status::Running),
        worker: Set(Some(worker)),
        lease_until: Set(Some(now + LEASE)),
        ..Default::default()
    };
    let update =
        Entity::update_many().set(taken).col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1));
    let update = update.col_expr(Column::StartedAt, Expr::col(Column::StartedAt).if_null(now));
    Ok(update.filter(Expr::col(Column::Id).eq(first)).exec_with_returning(db).await?.pop())
}

/// The job, as long as this run does it.
fn held(run: &Run) -> UpdateMany<Entity> {
    let held = Entity::update_many().filter(Column::Id.eq(run.id())).filter(Column::Worker.eq(run.worker));
    held.filter(Column::Status.eq(Status::Running))
}

fn lease(run: &Run) -> DateTime<Utc> {
    run.service.clock.now() + LEASE
}

/// Holds the job for a while longer. Says whether this run still does it.
pub(super) async fn renew(db: &DatabaseConnection, run: &Run) -> Result<bool> {
    let update = held(run).col_expr(Column::LeaseUntil, Expr::val(lease(run)));
    Ok(update.exec(db).await?.rows_affected > 0)
}

/// Notes how far the job has come. Says whether this run still does it.
pub(super) async fn advance(tx: &impl ConnectionTrait, run: &Run, progress: Progress) -> Result<bool> {
    let further = ActiveModel {
        position: Set(progress.position),
        done: Set(progress.done),
        failed: Set(progress.failed),
        total: Set(progress.total),
        attempts: Set(0),
        lease_until: Set(Some(lease(run))),
        ..Default::default()
    };
    Ok(held(run).set(further).exec(tx).await?.rows_affected > 0)
}

/// Begins another attempt of the same run: with the job as it is now, or none when another run does it.
pub(super) async fn attempt(db: &DatabaseConnection, run: &Run) -> Result<Option<Model>> {
    let update = held(run).col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1));
    let update = update.col_expr(Column::LeaseUntil, Expr::val(lease(run)));
    Ok(update.exec_with_returning(db).await?.pop())
}

/// Ends the job: with an error it has failed. Says whether this run still did it.
pub(super) async fn end(db: &DatabaseConnection, run: &Run, error: Option<String>) -> Result<bool> {
    let ended = ActiveModel {
        status: Set(if error.is_some() { Status::Failed } else { Status::Succeeded }),
        // Postgres takes no NUL in text
        error: Set(error.map(|error| error.replace('\0', "\u{fffd}"))),
        finished_at: Set(Some(run.service.clock.now())),
        worker: Set(None),
        lease_until: Set(None),
        ..Default::default()
    };
    Ok(held(run).set(ended).exec(db).await?.rows_affected > 0)
}

/// Gives the job back, as if this attempt had not been begun.
pub(super) async fn give_back(db: &DatabaseConnection, run: &Run) -> Result<bool> {
    let waiting = ActiveModel {
        status: Set(Status::Queued),
        worker: Set(None),
        lease_until: Set(None),
        ..Default::default()
    };
    // It is zero after progress: then this attempt does not count already
    let fewer = Expr::case(Column::Attempts.gt(0), Expr::col(Column::Attempts).sub(1)).finally(0);
    let update = held(run).set(waiting).col_expr(Column::Attempts, fewer.into());
    Ok(update.exec(db).await?.rows_affected > 0)
}

/// How many jobs wait, of kinds that this version does not know too.
pub(super) async fn waiting(db: &DatabaseConnection) -> Result<u64> {
    Ok(Entity::find().filter(Column::Status.eq(Status::Queued)).count(db).await?)
}

/// Removes the jobs that ended long ago, piece by piece.
pub(super) async fn clean(db: &DatabaseConnection, now: DateTime<Utc>) -> Result<u64> {
    let mut removed = 0;
    loop {
        let old = Entity::find().select_only().column(Column::Id).filter(Column::FinishedAt.lt(now - KEPT));
        let old = old.limit(PIECE).into_query();
        let piece = Entity::delete_many().filter(Column::Id.in_subquery(old)).exec(db).await?.rows_affected;
        removed += piece;
        if piece == 0 {
            return Ok(removed);
        }
    }
}
