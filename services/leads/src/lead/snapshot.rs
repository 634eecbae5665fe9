//! What leads there are, for the services that keep a view of them.

use super::{Column, Entity, Model};
use events::contract::LeadUpdated;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use subgraph::{Error, Result, Service};

/// The leads after an id, each with its own.
pub(crate) async fn snapshot(
    service: Service,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<(String, LeadUpdated)>> {
    let after: i32 = after.map_or(Ok(0), |id| id.parse()).map_err(Error::internal)?;
    let page = Entity::find().filter(Column::Id.gt(after)).order_by_asc(Column::Id).limit(limit);
    let row = |lead: Model| (lead.id.to_string(), LeadUpdated { lead: (&lead).into(), changed: Vec::new() });
    Ok(page.all(service.db.read()).await?.into_iter().map(row).collect())
}
