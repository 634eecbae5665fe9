//! A lead that is removed takes its tasks with it.

use crate::task::{Column, Entity};
use events::contract::LeadRemoved;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use subgraph::{Change, Consumer, Received, Result};

/// Removes the tasks about a removed lead. The view of leads, which comes first, lets no new ones in.
pub(crate) struct Cascade;

impl Consumer<LeadRemoved> for Cascade {
    async fn apply(change: &mut Change, received: &Received<LeadRemoved>) -> Result<()> {
        let lead = received.event.id;
        let removal = Entity::delete_many().filter(Column::LeadId.eq(lead));
        let removed = removal.exec(change.tx()).await?.rows_affected;
        if removed > 0 {
            change.record("task.removed_with_lead", lead, &json!({ "count": removed }))?;
        }
        Ok(())
    }
}
