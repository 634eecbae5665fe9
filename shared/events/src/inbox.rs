//! The inbox: which events a service has applied. Its row is written in the transaction of the effect, so that
//! each event has its effect exactly once, however often it is delivered.

use crate::envelope::Envelope;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DbErr, IntoActiveModel, QuerySelect, QueryTrait, TryInsertResult, entity::prelude::*,
    sea_query::OnConflict,
};

pub mod parked;

/// How long applied events are remembered: well over the time for which one may be delivered again.
const KEPT: TimeDelta = TimeDelta::days(30);
/// Rows removed at once: far below what a statement's time allows.
const PIECE: u64 = 5_000;

/// One applied event.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inbox")]
pub struct Model {
    /// The event's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Uuid,
    /// The event's type.
    pub kind: String,
    /// When it was applied.
    pub applied_at: DateTimeUtc,
}

/// No relations: an event is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Takes an event to apply it in this transaction; false when it was applied, or parked, before. While another
/// transaction has taken it, this waits for how that ends.
///
/// # Errors
/// When the database refuses.
pub async fn claim(tx: &impl ConnectionTrait, event: &Envelope, now: DateTime<Utc>) -> Result<bool, DbErr> {
    claim_id(tx, event.id, &event.kind, now).await
}

/// As [`claim`], of something that is perhaps no event.
///
/// # Errors
/// When the database refuses.
pub async fn claim_id(
    tx: &impl ConnectionTrait,
    id: Uuid,
    kind: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = Model { event_id: id, kind: kind.into(), applied_at: now };
    let once = OnConflict::column(Column::EventId).do_nothing().to_owned();
    let inserted = Entity::insert(row.into_active_model().reset_all()).on_conflict(once).try_insert();
    match inserted.exec_without_returning(tx).await? {
        TryInsertResult::Inserted(rows) => Ok(rows > 0),
        TryInsertResult::Conflicted | TryInsertResult::Empty => Ok(false),
    }
}

/// Forgets what cannot be delivered any more, piece by piece.
///
/// # Errors
/// When the database refuses.
pub async fn clean(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<u64, DbErr> {
    let mut removed = 0;
    loop {
        let old =
            Entity::find().select_only().column(Column::EventId).filter(Column::AppliedAt.lt(now - KEPT));
        let old = old.limit(PIECE).into_query();
        let piece =
            Entity::delete_many().filter(Column::EventId.in_subquery(old)).exec(db).await?.rows_affected;
        removed += piece;
        if piece == 0 {
            return Ok(removed);
        }
    }
}
