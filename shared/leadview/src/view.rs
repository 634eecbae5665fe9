//! Keeping the view up to date: by events, and from what the leads service has.

use crate::row::{Column, Entity, Model};
use events::contract::{Lead, LeadCreated, LeadRemoved, LeadUpdated};
use sea_orm::{
    ActiveModelTrait, EntityTrait, ExprTrait, IntoActiveModel, Iterable,
    sea_query::{Alias, Expr, OnConflict, SimpleExpr},
};
use subgraph::{Change, Consumer, Received, Result};

/// Keeps the view. Whatever the order in which it learns of a lead, the newest version stays, and a removal for good.
#[derive(Debug)]
pub struct LeadView;

impl Consumer<LeadCreated> for LeadView {
    async fn apply(change: &mut Change, received: &Received<LeadCreated>) -> Result<()> {
        Self::note(change, &received.event.lead).await.map(drop)
    }
}

impl Consumer<LeadUpdated> for LeadView {
    async fn apply(change: &mut Change, received: &Received<LeadUpdated>) -> Result<()> {
        Self::note(change, &received.event.lead).await.map(drop)
    }
}

impl Consumer<LeadRemoved> for LeadView {
    async fn apply(change: &mut Change, received: &Received<LeadRemoved>) -> Result<()> {
        let LeadRemoved { id, version } = received.event;
        // Also of a lead nobody told of: its creation may still arrive
        put(change, Model::tombstone(id, version, received.at), there()).await.map(drop)
    }
}

impl LeadView {
    /// Notes a lead as the leads service has it, unless the view has this version or a newer one, or
    /// knows that it was removed. Says whether that changed anything.
    pub async fn note(change: &Change, lead: &Lead) -> Result<bool> {
        let newer =
            Expr::col((Entity, Column::Version)).lt(Expr::col((Alias::new("excluded"), Column::Version)));
        put(change, lead.into(), there().and(newer)).await
    }
}

/// The row that is in the way is no tombstone.
fn there() -> SimpleExpr {
    Expr::col((Entity, Column::RemovedAt)).is_null()
}

/// Puts `row` where there is none with its id, or in the place of one for which the condition holds.
async fn put(change: &Change, row: Model, replace: SimpleExpr) -> Result<bool> {
    let mut instead = OnConflict::column(Column::Id);
    instead
        .update_columns(Column::iter().filter(|column| !matches!(column, Column::Id)))
        .action_and_where(replace);
    let row = Entity::insert(row.into_active_model().reset_all());
    Ok(row.on_conflict(instead).exec_without_returning(change.tx()).await? > 0)
}
