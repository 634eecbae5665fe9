//! The view of interactions that other services keep: which there were with each lead, and what was said in short.
//!
//! A service that only looks at it follows it with [`follow`]. One that has to do something about each change calls
//! [`note`] and [`remove`] from consumers of its own, which say what changed.

mod newest;
mod rebuild;
mod row;

pub use newest::{NewestOfEachKind, latest};
pub use rebuild::forget;
pub use row::{Column, Entity, KINDS, Model};

use events::contract::{
    Interaction, InteractionCreated, InteractionRemoved, InteractionUpdated, LeadRemoved,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::OnConflict,
};
use subgraph::{Change, Consumer, Received, Result, Subgraph, View};

/// Makes a service keep the view, after that of the leads.
#[must_use]
pub fn follow(subgraph: Subgraph) -> Subgraph {
    let subgraph = subgraph.peer("interactions", 4003).table::<Entity>("interaction_view");
    subgraph
        .on::<InteractionCreated, InteractionView>()
        .on::<InteractionUpdated, InteractionView>()
        .on::<InteractionRemoved, InteractionView>()
        .on::<LeadRemoved, InteractionView>()
        .view::<InteractionUpdated, InteractionView>()
}

/// Keeps the view. Whatever the order in which it learns of an interaction, the newest version stays, and a removal
/// for good: its tombstone, some thirty bytes, is kept.
#[derive(Debug)]
pub struct InteractionView;

impl Consumer<InteractionCreated> for InteractionView {
    async fn apply(change: &mut Change, received: &Received<InteractionCreated>) -> Result<()> {
        note(change, &received.event.interaction).await.map(drop)
    }
}

impl Consumer<InteractionUpdated> for InteractionView {
    async fn apply(change: &mut Change, received: &Received<InteractionUpdated>) -> Result<()> {
        note(change, &received.event.interaction).await.map(drop)
    }
}

impl Consumer<InteractionRemoved> for InteractionView {
    async fn apply(change: &mut Change, received: &Received<InteractionRemoved>) -> Result<()> {
        remove(change, &received.event).await.map(drop)
    }
}

impl Consumer<LeadRemoved> for InteractionView {
    async fn apply(change: &mut Change, received: &Received<LeadRemoved>) -> Result<()> {
        remove_of_lead(change, received.event.id).await.map(drop)
    }
}

impl View<InteractionUpdated> for InteractionView {
    async fn refill(change: &mut Change, row: &InteractionUpdated) -> Result<bool> {
        Ok(note(change, &row.interaction).await?.is_some())
    }

    async fn forget(missing: &subgraph::Missing<'_>) -> anyhow::Result<u64> {
        forget(missing).await
    }
}

/// One interaction, before and after what was told of it; nothing where it did not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// As it was known before.
    pub before: Option<Model>,
    /// As it is now.
    pub after: Option<Model>,
}

/// Notes an interaction as the interactions service has it. Nothing, when this version or a newer one is known, or
/// its lead was removed.
pub async fn note(change: &Change, interaction: &Interaction) -> Result<Option<Noted>> {
    if crate::is_gone(change, interaction.lead_id).await? {
        return Ok(None);
    }
    put(change, interaction.into()).await
}

/// Notes that an interaction was removed, also of one nobody told of: its creation may still arrive.
pub async fn remove(change: &Change, removed: &InteractionRemoved) -> Result<Option<Noted>> {
    put(change, Model::tombstone(removed.id, removed.version)).await
}

/// Forgets the interactions with a lead that was removed, and says how many there were.
pub async fn remove_of_lead(change: &Change, lead: i32) -> Result<u64> {
    let removal = Entity::delete_many().filter(Column::LeadId.eq(lead));
    Ok(removal.exec(change.tx()).await?.rows_affected)
}

/// Puts `row` where there is none with its id, or in the place of an older one.
async fn put(change: &Change, row: Model) -> Result<Option<Noted>> {
    let after = Some(row.clone()).filter(Model::counts);
    let unless_there = OnConflict::column(Column::Id).do_nothing().to_owned();
    let insert = Entity::insert(row.clone().into_active_model().reset_all()).on_conflict(unless_there);
    if insert.exec_without_returning(change.tx()).await? > 0 {
        return Ok(Some(Noted { before: None, after }));
    }
    let known = Entity::find_by_id(row.id).lock_exclusive().one(change.tx()).await?;
    match known.filter(|known| known.version < row.version && known.counts()) {
        Some(known) => {
            row.into_active_model().reset_all().update(change.tx()).await?;
            Ok(Some(Noted { before: Some(known), after }))
        }
        None => Ok(None),
    }
}
