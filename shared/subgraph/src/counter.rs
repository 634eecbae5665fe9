//! Numbers that grow by one, without gaps, in the order in which the transactions that take them commit.

use crate::error::Result;
use sea_orm::{
    ConnectionTrait, ExprTrait, IntoActiveModel,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "counter")]
pub struct Model {
    /// What it counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The last number that was taken.
    pub value: i64,
}

/// No relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Takes the next number, from 1 on. Until the transaction ends nobody else takes one: so who has a smaller number
/// committed before, and a transaction that fails gives its number back.
pub async fn next(tx: &impl ConnectionTrait, name: &str) -> Result<i64> {
    let first = Model { name: name.into(), value: 1 }.into_active_model().reset_all();
    let mut more = OnConflict::column(Column::Name);
    more.value(Column::Value, Expr::col((Entity, Column::Value)).add(1));
    Ok(Entity::insert(first).on_conflict(more).exec_with_returning(tx).await?.value)
}
