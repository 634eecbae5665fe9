//! Filling the view again from what the leads service has.

use crate::{
    row::{Column, Entity},
    view::LeadView,
};
use events::{
    Event,
    contract::{LeadRemoved, LeadUpdated},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;
use subgraph::{Change, Missing, Result, View};

/// Rows read at once.
const PAGE: u64 = 1_000;

impl View<LeadUpdated> for LeadView {
    async fn refill(change: &mut Change, row: &LeadUpdated) -> Result<bool> {
        Self::note(change, &row.lead).await
    }

    /// As if it had been told that they were removed: what belongs to them goes too.
    async fn forget(missing: &Missing<'_>) -> anyhow::Result<u64> {
        let suspects = suspects(missing).await?;
        let gone = missing.confirm("Lead", &suspects.keys().copied().collect::<Vec<_>>()).await?;
        for id in &gone {
            missing.tell(&LeadRemoved { id: *id, version: suspects[id] + 1 }).await?;
        }
        Ok(gone.len() as u64)
    }
}

/// The leads that the view has and the snapshot had not, with their versions.
async fn suspects(missing: &Missing<'_>) -> anyhow::Result<HashMap<i32, i32>> {
    let (mut suspects, mut after) = (HashMap::new(), 0);
    loop {
        let page = Entity::find().select_only().column(Column::Id).column(Column::Version);
        let page = page.filter(Column::RemovedAt.is_null()).filter(Column::Id.gt(after));
        let page = page.order_by_asc(Column::Id).limit(PAGE).into_tuple::<(i32, i32)>();
        let page = page.all(missing.service().db.read()).await?;
        let Some((last, _)) = page.last() else { return Ok(suspects) };
        after = *last;
        suspects.extend(page.into_iter().filter(|(id, _)| !missing.is_present(&subject(*id))));
    }
}

/// As events name it.
fn subject(id: i32) -> String {
    LeadRemoved { id, version: 0 }.subject()
}
