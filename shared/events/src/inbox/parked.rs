//! Events that could not be applied. They are kept with the reason, in nobody's way, until somebody has them
//! replayed.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DbErr, ExprTrait, IntoActiveModel, PaginatorTrait, QueryOrder, QuerySelect,
    entity::prelude::*, sea_query::Expr,
};

/// One event that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "parked_event")]
pub struct Model {
    /// The event's id; one made from its content where that cannot be read.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Uuid,
    /// The event's type; empty where that cannot be read.
    pub kind: String,
    /// What it happened to; empty where that cannot be read.
    pub subject: String,
    /// The event as it was delivered.
    pub envelope: String,
    /// Why it could not be applied.
    pub reason: String,
    /// How often that was tried.
    pub attempts: i32,
    /// When it was put aside last.
    pub parked_at: DateTimeUtc,
    /// When somebody asked for another try.
    pub replay_at: Option<DateTimeUtc>,
}

/// No relations: an event is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Puts an event aside.
///
/// # Errors
/// When the database refuses, also because it is there already.
pub async fn park(tx: &impl ConnectionTrait, event: Model) -> Result<(), DbErr> {
    Entity::insert(event.into_active_model().reset_all()).exec_without_returning(tx).await?;
    Ok(())
}

/// Notes that a parked event could not be applied again. One that was released meanwhile stays so.
///
/// # Errors
/// When the database refuses.
pub async fn failed_again(
    db: &impl ConnectionTrait,
    id: Uuid,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let nobody: Option<DateTime<Utc>> = None;
    let update = Entity::update_many().filter(Column::EventId.eq(id));
    let update =
        update.col_expr(Column::Reason, Expr::val(reason)).col_expr(Column::ParkedAt, Expr::val(now));
    let update = update.col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1));
    update.col_expr(Column::ReplayAt, Expr::value(nobody)).exec(db).await?;
    Ok(())
}

/// Those that are parked, the oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by_asc(Column::ParkedAt).order_by_asc(Column::EventId).all(db).await
}

/// How many are parked.
///
/// # Errors
/// When the database does not answer.
pub async fn count(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    Entity::find().count(db).await
}

/// Asks for another try of one parked event, or of all; says of how many.
///
/// # Errors
/// When the database refuses.
pub async fn ask_replay(
    db: &impl ConnectionTrait,
    id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let ask = Entity::update_many().col_expr(Column::ReplayAt, Expr::val(now));
    let ask = if let Some(id) = id { ask.filter(Column::EventId.eq(id)) } else { ask };
    Ok(ask.exec(db).await?.rows_affected)
}

/// The next event that somebody wants tried again.
///
/// # Errors
/// When the database does not answer.
pub async fn next_to_replay(db: &impl ConnectionTrait) -> Result<Option<Model>, DbErr> {
    let asked = Entity::find().filter(Column::ReplayAt.is_not_null());
    asked.order_by_asc(Column::ReplayAt).order_by_asc(Column::EventId).limit(1).one(db).await
}

/// Locks a parked event, to apply it in this transaction; nothing when it is parked no longer.
///
/// # Errors
/// When the database refuses.
pub async fn locked(tx: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await
}

/// Takes an event out that was applied after all.
///
/// # Errors
/// When the database refuses.
pub async fn release(tx: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(tx).await?;
    Ok(())
}
