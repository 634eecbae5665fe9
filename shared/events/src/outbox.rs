//! The outbox: events that a service has to publish, written in the transaction of the change they tell of.
//!
//! Rows are published in the order of their positions. That is the order in which they happened for all rows of
//! one subject, because a change holds the lock on its subject when it takes the position; rows of different
//! subjects may become visible in another order, so no position is ever skipped for good: what counts is whether
//! a row was published, not how far publishing has come.

use crate::{cursor, envelope::Envelope};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    Condition, ConnectionTrait, DbErr, ExprTrait, FromQueryResult, QueryOrder, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::Expr,
};

/// How long events stay after they were published first.
pub const KEPT: TimeDelta = TimeDelta::days(7);
/// Rows of one insert, far below the databases' limits on parameters.
const CHUNK: usize = 500;
/// Rows changed at once where there may be millions: far below what a statement's time allows.
const PIECE: i64 = 5_000;

/// One event to publish.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Where it stands in the order of publishing.
    #[sea_orm(primary_key)]
    pub position: i64,
    /// The event's id.
    #[sea_orm(unique)]
    pub id: Uuid,
    /// The event's type.
    pub kind: String,
    /// The event as JSON.
    pub envelope: String,
    /// When the change was made.
    pub created_at: DateTimeUtc,
    /// When the bus had it; nothing before, and again when the bus lost it.
    pub published_at: Option<DateTimeUtc>,
    /// Until when it is kept, from the first publishing on.
    pub keep_until: Option<DateTimeUtc>,
}

/// No relations: an event outlives what it speaks of.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Adds events to the outbox, in this order.
///
/// # Errors
/// When the database refuses.
pub async fn add(tx: &impl ConnectionTrait, events: &[Envelope]) -> Result<(), DbErr> {
    for chunk in events.chunks(CHUNK) {
        let rows = chunk.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

fn row(event: &Envelope) -> Result<ActiveModel, DbErr> {
    let envelope = serde_json::to_string(event).map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(ActiveModel {
        position: NotSet,
        id: Set(event.id),
        kind: Set(event.kind.clone()),
        envelope: Set(envelope),
        created_at: Set(event.time),
        published_at: Set(None),
        keep_until: Set(None),
    })
}

/// What has to be published now. What was published before and is older than it is kept is not published again.
fn due(now: DateTime<Utc>) -> Condition {
    let kept = Column::KeepUntil.is_null().or(Column::KeepUntil.gt(now));
    Condition::all().add(Column::PublishedAt.is_null()).add(kept)
}

/// The next events to publish, in order.
///
/// # Errors
/// When the database does not answer.
pub async fn unpublished(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(due(now)).order_by_asc(Column::Position).limit(limit).all(db).await
}

/// Notes that this log has these events, if it is still the one to publish to.
///
/// # Errors
/// When the database refuses.
pub async fn mark_published(
    db: &impl ConnectionTrait,
    log: &str,
    rows: &[Model],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let positions = rows.iter().map(|row| row.position);
    let keep_until = Expr::col(Column::KeepUntil).if_null(now + KEPT);
    let update = Entity::update_many().filter(Column::Position.is_in(positions));
    let update = update.col_expr(Column::PublishedAt, Expr::val(now)).col_expr(Column::KeepUntil, keep_until);
    // Another replica may have found out meanwhile that this log is gone
    let known = cursor::Entity::find_by_id(cursor::PUBLISHED_TO).filter(cursor::Column::Log.eq(log));
    update.filter(Expr::exists(known.into_query())).exec(db).await?;
    Ok(())
}

/// Makes every kept event unpublished that was published before now, for a bus that has none of them; piece by piece,
/// so that nobody waits for long.
///
/// # Errors
/// When the database refuses.
pub async fn publish_again(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<u64, DbErr> {
    let last = last_position(db).await?;
    let first = Entity::find().order_by_asc(Column::Position).limit(1).one(db).await?;
    let (mut from, mut again) = (first.map_or(last, |row| row.position), 0);
    while from <= last {
        let update = Entity::update_many().filter(Column::Position.between(from, from + PIECE - 1));
        let update = update.filter(Column::PublishedAt.lt(now)).filter(Column::KeepUntil.gt(now));
        let update = update.col_expr(Column::PublishedAt, Expr::value(Option::<DateTime<Utc>>::None));
        again += update.exec(db).await?.rows_affected;
        from += PIECE;
    }
    Ok(again)
}

/// Removes what was published and is kept no longer, piece by piece.
///
/// # Errors
/// When the database refuses.
pub async fn clean(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<u64, DbErr> {
    let mut removed = 0;
    loop {
        let old = Entity::find().select_only().column(Column::Position).filter(Column::KeepUntil.lte(now));
        let old = old.limit(PIECE.unsigned_abs()).into_query();
        let piece =
            Entity::delete_many().filter(Column::Position.in_subquery(old)).exec(db).await?.rows_affected;
        removed += piece;
        if piece == 0 {
            return Ok(removed);
        }
    }
}

/// How much waits to be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub struct Backlog {
    /// How many events.
    pub depth: i64,
    /// Since when the oldest one waits.
    pub oldest: Option<DateTimeUtc>,
}

/// How much waits to be published.
///
/// # Errors
/// When the database does not answer.
pub async fn backlog(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Backlog, DbErr> {
    let count = Entity::find().select_only().column_as(Column::Position.count(), "depth");
    let count = count.column_as(Column::CreatedAt.min(), "oldest").filter(due(now));
    Ok(count.into_model::<Backlog>().one(db).await?.unwrap_or_default())
}

/// The events of some types after a position, in order.
///
/// # Errors
/// When the database does not answer.
pub async fn after(
    db: &impl ConnectionTrait,
    position: i64,
    kinds: &[&str],
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Position.gt(position))
        .filter(Column::Kind.is_in(kinds.iter().copied()));
    rows.order_by_asc(Column::Position).limit(limit).all(db).await
}

/// The last position, 0 when there is none.
///
/// # Errors
/// When the database does not answer.
pub async fn last_position(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let last = Entity::find().order_by_desc(Column::Position).limit(1).one(db).await?;
    Ok(last.map_or(0, |row| row.position))
}
