//! The view of scores: the last one of each lead that the scoring service told of.

use chrono::{DateTime, Utc};
use events::contract::{LeadRemoved, ScoreUpdated};
use sea_orm::{
    ActiveModelTrait, ExprTrait, IntoActiveModel,
    entity::prelude::*,
    sea_query::{Alias, Expr, OnConflict},
};
use subgraph::{Change, Consumer, Received, Result};

/// The last score of one lead.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "score_view")]
pub struct Model {
    /// The lead.
    #[sea_orm(primary_key, auto_increment = false)]
    pub lead_id: i32,
    /// Grows with each change of this lead's score.
    pub version: i32,
    /// 0 to 100; null when there is none any more.
    pub score: Option<i32>,
    /// Such as `A1`: how well the lead fits, and how much is going on.
    pub band: Option<String>,
    /// As of when, in microseconds since 1970.
    pub at: i64,
}

/// No relations: the lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// As of when.
    pub fn time(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.at).unwrap_or_default()
    }
}

impl From<&ScoreUpdated> for Model {
    fn from(told: &ScoreUpdated) -> Self {
        Self {
            lead_id: told.lead_id,
            version: told.version,
            score: told.score,
            band: told.band.clone(),
            at: told.calculated_at.timestamp_micros(),
        }
    }
}

/// Keeps the view. The newest version stays, whatever the order in which it learns of them.
pub(crate) struct ScoreView;

impl Consumer<ScoreUpdated> for ScoreView {
    async fn apply(change: &mut Change, received: &Received<ScoreUpdated>) -> Result<()> {
        let told = &received.event;
        let lead = leadview::Entity::find_by_id(told.lead_id).one(change.tx()).await?;
        if lead.is_some_and(|lead| lead.is_removed()) {
            return Ok(());
        }
        put(change, told.into()).await
    }
}

impl Consumer<LeadRemoved> for ScoreView {
    async fn apply(change: &mut Change, received: &Received<LeadRemoved>) -> Result<()> {
        Entity::delete_by_id(received.event.id).exec(change.tx()).await?;
        Ok(())
    }
}

/// Puts `row` where there is none, or in the place of an older one.
async fn put(change: &Change, row: Model) -> Result<()> {
    let newer = Expr::col((Entity, Column::Version)).lt(Expr::col((Alias::new("excluded"), Column::Version)));
    let mut instead = OnConflict::column(Column::LeadId);
    instead
        .update_columns([Column::Version, Column::Score, Column::Band, Column::At])
        .action_and_where(newer);
    let row = Entity::insert(row.into_active_model().reset_all()).on_conflict(instead);
    row.exec_without_returning(change.tx()).await?;
    Ok(())
}
