//! A lead that is removed takes its score and summary with it.

use crate::lead::Entity;
use events::contract::LeadRemoved;
use sea_orm::EntityTrait;
use serde_json::json;
use subgraph::{Change, Consumer, Received, Result};

/// Removes what is stored about a removed lead.
pub(crate) struct Cascade;

impl Consumer<LeadRemoved> for Cascade {
    async fn apply(change: &mut Change, received: &Received<LeadRemoved>) -> Result<()> {
        let lead = received.event.id;
        let removed = Entity::delete_by_id(lead).exec(change.tx()).await?.rows_affected;
        if removed > 0 {
            change.record("score.removed_with_lead", lead, &json!({ "count": removed }))?;
        }
        Ok(())
    }
}
