//! The outbox: events that a service has to publish, written in the transaction of the change they tell of.
//!
//! Rows are published in the order of their positions. That is the order in which they happened for all rows of
//! one subject, because a change holds the lock on its subject when it takes the position; rows of different
//! subjects may become visible in another order, so no position is ever skipped for good: what counts is whether
//! a row was published, not how far publishing has come.

use crate::envelope::Envelope;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    Condition, ConnectionTrait, DbErr, ExprTrait, FromQueryResult, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::Expr,
};

/// How long events stay after they were published first.
pub const KEPT: TimeDelta = TimeDelta::days(7);
/// Rows of one insert, far below the databases' limits on parameters.
const CHUNK: usize = 500;

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

/// Notes that the bus has these events.
///
/// # Errors
/// When the database refuses.
pub async fn mark_published(
    db: &impl ConnectionTrait,
    rows: &[Model],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let positions = rows.iter().map(|row| row.position);
    let keep_until = Expr::col(Column::KeepUntil).if_null(now + KEPT);
    let update = Entity::update_many().filter(Column::Position.is_in(positions));
    let update = update.col_expr(Column::PublishedAt, Expr::val(now)).col_expr(Column::KeepUntil, keep_until);
    update.exec(db).await?;
    Ok(())
}

/// Makes every kept event unpublished, for a bus that has none of them.
///
/// # Errors
/// When the database refuses.
pub async fn publish_again(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<u64, DbErr> {
    let update = Entity::update_many().filter(Column::PublishedAt.is_not_null());
    let update = update.filter(Column::KeepUntil.gt(now));
    let update = update.col_expr(Column::PublishedAt, Expr::value(Option::<DateTime<Utc>>::None));
    Ok(update.exec(db).await?.rows_affected)
}

/// Removes what was published and is kept no longer.
///
/// # Errors
/// When the database refuses.
pub async fn clean(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::KeepUntil.lte(now)).exec(db).await?.rows_affected)
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
