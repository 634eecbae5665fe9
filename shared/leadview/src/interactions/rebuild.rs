//! Forgetting the interactions that the interactions service does not have any more.

use super::row::{Column, Entity};
use events::{Event, contract::InteractionRemoved};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;
use subgraph::Missing;

/// Rows read at once.
const PAGE: u64 = 1_000;

/// Tells the service of each, as if it had been told that they were removed.
///
/// # Errors
/// As [`subgraph::View::forget`].
pub async fn forget(missing: &Missing<'_>) -> anyhow::Result<u64> {
    let suspects = suspects(missing).await?;
    let gone = missing.confirm("Interaction", &suspects.keys().copied().collect::<Vec<_>>()).await?;
    for id in &gone {
        let (version, lead_id) = suspects[id];
        missing.tell(&InteractionRemoved { id: *id, version: version + 1, lead_id }).await?;
    }
    Ok(gone.len() as u64)
}

/// The interactions that the view has and the snapshot had not, with their versions and leads.
async fn suspects(missing: &Missing<'_>) -> anyhow::Result<HashMap<i32, (i32, i32)>> {
    let (mut suspects, mut after) = (HashMap::new(), 0);
    loop {
        let page = Entity::find().filter(Column::LeadId.is_not_null()).filter(Column::Id.gt(after));
        let page = page.order_by_asc(Column::Id).limit(PAGE).all(missing.service().db.read()).await?;
        let Some(last) = page.last() else { return Ok(suspects) };
        after = last.id;
        suspects.extend(page.into_iter().filter_map(|row| {
            let removed = InteractionRemoved { id: row.id, version: row.version, lead_id: row.lead_id? };
            (!missing.is_present(&removed.subject())).then_some((row.id, (removed.version, removed.lead_id)))
        }));
    }
}
