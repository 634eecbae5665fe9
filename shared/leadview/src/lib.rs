//! The view of leads that other services keep: what leads told them, and which leads are gone.
//!
//! - A service follows leads with [`follow`]; [`LeadView`] then keeps its table `lead_view`. A lead that was removed
//!   stays as a tombstone without its personal data: whatever arrives late for it is dropped.
//! - Before it adds something to a lead, a service asks [`known`], which asks the leads service only about leads that
//!   the view does not have, and in the transaction [`Known::hold`]s the lead, so that it cannot be removed meanwhile.
//! - Some also keep a view of the [`interactions`] with them.

pub mod interactions;
mod known;
mod rebuild;
mod row;
mod view;

pub use known::{Known, known};
pub use row::{Column, Entity, Model, is_closed};
pub use view::LeadView;

use events::contract::{LeadCreated, LeadRemoved, LeadUpdated};
use sea_orm::{ConnectionTrait, EntityTrait, QuerySelect};
use subgraph::{Change, Result, Subgraph};

/// Makes a service keep the view. Its own consumers of these events come after this, and find the view up to date.
#[must_use]
pub fn follow(subgraph: Subgraph) -> Subgraph {
    subgraph
        .table::<Entity>("lead_view")
        .on::<LeadCreated, LeadView>()
        .on::<LeadUpdated, LeadView>()
        .on::<LeadRemoved, LeadView>()
        .view::<LeadUpdated, LeadView>()
}

/// Whether a lead was removed, as far as the view knows. One that is there is held until the transaction ends: what is
/// told late can be noted beside its removal.
pub async fn is_gone(change: &Change, lead: i32) -> Result<bool> {
    let known = Entity::find_by_id(lead).lock_shared().one(change.tx()).await?;
    Ok(known.is_some_and(|lead| lead.is_removed()))
}

/// What a lead is called; nothing for one that is not known or was removed.
pub async fn name(db: &impl ConnectionTrait, lead: i32) -> Result<Option<String>> {
    Ok(Entity::find_by_id(lead).one(db).await?.and_then(|row| row.name()))
}
