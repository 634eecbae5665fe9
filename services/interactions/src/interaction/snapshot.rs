//! What interactions there are, for the services that keep a view of them.

use super::{Column, Entity, Model, event};
use events::contract::InteractionUpdated;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use subgraph::{Error, Result, Service};

/// The interactions after an id, each with its own.
pub(crate) async fn snapshot(
    service: Service,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<(String, InteractionUpdated)>> {
    let after: i32 = after.map_or(Ok(0), |id| id.parse()).map_err(Error::internal)?;
    let page = Entity::find().filter(Column::Id.gt(after)).order_by_asc(Column::Id).limit(limit);
    let row = |row: Model| {
        let told = InteractionUpdated { interaction: event::told(&row, None), changed: Vec::new() };
        (row.id.to_string(), told)
    };
    Ok(page.all(service.db.read()).await?.into_iter().map(row).collect())
}
