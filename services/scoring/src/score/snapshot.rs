//! What scores there are, for the services that keep a view of them.

use super::{Column, Entity, Model};
use crate::model::ScoreModel;
use events::contract::ScoreUpdated;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use subgraph::{Error, Result, Service};

/// The scores of the leads after an id, each with its own.
pub(crate) async fn snapshot(
    service: Service,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<(String, ScoreUpdated)>> {
    let after: i32 = after.map_or(Ok(0), |id| id.parse()).map_err(Error::internal)?;
    let page = Entity::find().filter(Column::LeadId.gt(after)).order_by_asc(Column::LeadId).limit(limit);
    let row = |row: Model| (row.lead_id.to_string(), row.told(service.state()));
    Ok(page.all(service.db.read()).await?.into_iter().map(row).collect())
}

impl Model {
    /// This score as of when it was calculated, as others are told; not where it came from.
    pub(crate) fn told(&self, model: &ScoreModel) -> ScoreUpdated {
        ScoreUpdated {
            lead_id: self.lead_id,
            lead_name: None,
            version: self.version,
            previous_score: self.previous_score,
            score: Some(self.activity_score),
            previous_band: None,
            band: Some(self.band(model, self.score_calculated_at)),
            calculated_at: self.score_calculated_at,
        }
    }
}
