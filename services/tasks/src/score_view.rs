//! The view of scores: the last one of each lead that the scoring service told of.

use chrono::{DateTime, Utc};
use events::contract::{LeadRemoved, ScoreUpdated};
use sea_orm::{
    ActiveModelTrait, ExprTrait, IntoActiveModel,
    entity::prelude::*,
    sea_query::{Alias, Expr, OnConflict},
};
use subgraph::{Change, Consumer, Received, Result, View};

/// The last score of one lead.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "score_view")]
pub struct Model {
    /// The lead.
    #[sea_orm(primary_key, auto_increment = false)]
    pub lead_id: i32,
    /// Grows with each change of this lead's score, and begins anew where the score was made anew.
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

/// Keeps the view, whatever the order in which it learns of scores.
pub(crate) struct ScoreView;

impl Consumer<ScoreUpdated> for ScoreView {
    async fn apply(change: &mut Change, received: &Received<ScoreUpdated>) -> Result<()> {
        note(change, &received.event).await.map(drop)
    }
}

/// What the scoring service does not have any more goes with its lead.
impl View<ScoreUpdated> for ScoreView {
    async fn refill(change: &mut Change, row: &ScoreUpdated) -> Result<bool> {
        note(change, row).await
    }
}

impl Consumer<LeadRemoved> for ScoreView {
    async fn apply(change: &mut Change, received: &Received<LeadRemoved>) -> Result<()> {
        Entity::delete_by_id(received.event.id).exec(change.tx()).await?;
        Ok(())
    }
}

/// Notes a score unless its lead was removed, or one is known that is not older. Says whether that changed anything.
///
/// It is newer by its version, or by its time: a score that was made anew begins with the first version, one that was
/// calculated anew without anything that happened has the same, and the clocks of two replicas may differ.
async fn note(change: &Change, told: &ScoreUpdated) -> Result<bool> {
    if leadview::is_gone(change, told.lead_id).await? {
        return Ok(false);
    }
    let newer = |column| Expr::col((Entity, column)).lt(Expr::col((Alias::new("excluded"), column)));
    let newer = newer(Column::Version).or(newer(Column::At));
    let mut instead = OnConflict::column(Column::LeadId);
    instead
        .update_columns([Column::Version, Column::Score, Column::Band, Column::At])
        .action_and_where(newer);
    let row = Entity::insert(Model::from(told).into_active_model().reset_all()).on_conflict(instead);
    Ok(row.exec_without_returning(change.tx()).await? > 0)
}
