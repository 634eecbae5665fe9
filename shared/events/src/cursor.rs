//! Which bus a service knows, and how far it has read it.

use sea_orm::{
    ConnectionTrait, DbErr, ExprTrait, IntoActiveModel,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};

/// The row of the log that the service publishes to; its position says whether all that another log had is to be
/// published again by now.
pub const PUBLISHED_TO: &str = "published-to";
/// The row of the log that the service reads.
pub const READ_FROM: &str = "read-from";

/// A place in a log.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bus_cursor")]
pub struct Model {
    /// [`PUBLISHED_TO`] or [`READ_FROM`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Which log. One that lost its content is another log.
    pub log: String,
    /// The last position that was dealt with.
    pub position: i64,
}

/// No relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The place, where there is one.
///
/// # Errors
/// When the database does not answer.
pub async fn get(db: &impl ConnectionTrait, name: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(name).one(db).await
}

/// How far a service has read this log: to its beginning, when what it has read is another one.
///
/// # Errors
/// When the database does not answer.
pub async fn read_to(db: &impl ConnectionTrait, log: &str) -> Result<i64, DbErr> {
    let known = get(db, READ_FROM).await?.filter(|known| known.log == log);
    Ok(known.map_or(0, |known| known.position))
}

/// Moves to a place in this log: forward only, unless it is another log than before. Says whether it moved.
///
/// # Errors
/// When the database refuses.
pub async fn advance(tx: &impl ConnectionTrait, name: &str, log: &str, position: i64) -> Result<bool, DbErr> {
    let row = Model { name: name.into(), log: log.into(), position };
    let other =
        Expr::col((Entity, Column::Log)).ne(log).or(Expr::col((Entity, Column::Position)).lt(position));
    let mut moved = OnConflict::column(Column::Name);
    moved.update_columns([Column::Log, Column::Position]).action_and_where(other);
    let insert = Entity::insert(row.into_active_model().reset_all()).on_conflict(moved);
    Ok(insert.exec_without_returning(tx).await? > 0)
}
