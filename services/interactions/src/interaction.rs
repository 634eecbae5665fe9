//! An interaction: one call, e-mail or meeting with a lead.
//!
//! It has happened: its date is not in the future, give or take the difference of two clocks. It
//! belongs to one lead, who existed when it was noted, and never moves to another one. Sales reps
//! note and correct interactions; managers also remove them.

pub(crate) mod event;
mod input;
mod snapshot;

use crate::lead::Lead;
use async_graphql::{ComplexObject, Context, Enum, ID, Object, SimpleObject};
use input::{CreateInteractionInput, UpdateInteractionInput};
use sea_orm::{DatabaseTransaction, IntoActiveModel, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};
pub(crate) use snapshot::snapshot;
use subgraph::{ContextExt, Error, Id, Key, Offset, Result, RowId, Sort, diff};

/// One call, e-mail or meeting with a lead.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject, Serialize, Deserialize)]
#[sea_orm(table_name = "interaction")]
#[graphql(name = "Interaction", complex)]
pub struct Model {
    /// The interaction's id.
    #[sea_orm(primary_key)]
    pub id: Id,
    /// How people talked.
    #[sea_orm(column_name = "type")]
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: InteractionType,
    /// When it happened.
    pub date: DateTimeUtc,
    /// What was said; null when nobody wrote it down.
    pub notes: Option<String>,
    /// The id of the lead it was with.
    pub lead_id: i32,
    /// When it was noted.
    pub created_at: DateTimeUtc,
    /// Grows by one with each change. Answers that were kept before there were versions have none.
    #[graphql(skip)]
    #[serde(default)]
    pub version: i32,
}

/// No relations: a lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How people talked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InteractionType {
    /// A telephone call.
    Call,
    /// An e-mail, sent or received.
    Email,
    /// A meeting, in a room or by video.
    Meeting,
}

impl Entity {
    /// Those with one lead.
    pub(crate) fn of_lead(lead: i32) -> Select<Self> {
        Self::find().filter(Column::LeadId.eq(lead))
    }

    /// The order of the list `name`: by date, then by id, newest first.
    pub(crate) fn newest(name: String) -> Sort<Self> {
        Sort {
            name,
            key: Column::Date.into_expr(),
            id: Column::Id,
            place: |row| (Key::Time(row.date), row.id.0),
            example: Key::Time(DateTimeUtc::UNIX_EPOCH),
            nullable: false,
            descending: true,
        }
    }

    /// The one a client names, locked so that it can be changed.
    async fn locked(tx: &DatabaseTransaction, RowId(id): RowId) -> Result<Model> {
        let row = Self::find_by_id(Id(id)).lock_exclusive().one(tx).await?;
        row.ok_or_else(|| Error::not_found("Interaction", id))
    }
}

#[ComplexObject]
impl Model {
    /// The lead it was with.
    async fn lead(&self) -> Option<Lead> {
        Some(Lead { id: Id(self.lead_id) })
    }
}

/// Queries for interactions.
#[derive(Default)]
pub struct InteractionQuery;

#[Object]
impl InteractionQuery {
    /// All interactions, newest first.
    #[graphql(complexity = "Offset::cost(limit, child_complexity)")]
    async fn interactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50, desc = "How many, 1 to 500.")] limit: Option<i32>,
        #[graphql(default = 0, desc = "How many to leave out first, 0 to 10,000.")] offset: Option<i32>,
    ) -> Result<Vec<Model>> {
        let page = Offset::try_new(limit, offset)?;
        Entity::newest("interactions".into()).offset(ctx.db(), Entity::find(), page).await
    }

    /// One interaction, or null when there is none with this id.
    async fn interaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The interaction's id.")] id: RowId,
    ) -> Result<Option<Model>> {
        ctx.by_id::<Entity>(id.0).await
    }

    /// The interactions with one lead, newest first; none for a lead that does not exist.
    #[graphql(complexity = "Offset::cost(limit, child_complexity)")]
    async fn interactions_by_lead(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lead's id.")] lead_id: RowId,
        #[graphql(default = 50, desc = "How many, 1 to 500.")] limit: Option<i32>,
        #[graphql(default = 0, desc = "How many to leave out first, 0 to 10,000.")] offset: Option<i32>,
    ) -> Result<Vec<Model>> {
        let page = Offset::try_new(limit, offset)?;
        Entity::newest("interactionsByLead".into()).offset(ctx.db(), Entity::of_lead(lead_id.0), page).await
    }

    /// One interaction for other subgraphs.
    #[graphql(entity)]
    async fn find_interaction_by_id(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Model>> {
        match Id::parse(&id) {
            Some(id) => ctx.by_id::<Entity>(id.0).await,
            None => Ok(None),
        }
    }
}

/// Mutations of interactions.
#[derive(Default)]
pub struct InteractionMutation;

#[Object]
impl InteractionMutation {
    /// Notes an interaction with a lead.
    async fn create_interaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new interaction.")] create_interaction_input: CreateInteractionInput,
        #[graphql(desc = "The same key answers as the first time, for 24 hours.")] idempotency_key: Option<
            String,
        >,
    ) -> Result<Model> {
        let input = create_interaction_input;
        let key = idempotency_key.as_deref();
        if let Some(row) = ctx.replayed("createInteraction", key, &input).await? {
            return Ok(row);
        }
        let new = input.clone().into_row(ctx.service().clock.now())?;
        let lead = leadview::known(ctx.service(), input.lead_id.0).await?;
        let mut change = ctx.change().await?;
        if let Some(row) = change.replay("createInteraction", key, &input).await? {
            return Ok(row);
        }
        let lead = lead.hold(&change).await?;
        let row = new.insert(change.tx()).await?;
        change.record_event("interaction.created", row.id, &row, &event::created(&row, lead.name()))?;
        change.finish(row).await
    }

    /// Corrects an interaction. One that stays the same is not recorded.
    async fn update_interaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] update_interaction_input: UpdateInteractionInput,
    ) -> Result<Model> {
        let mut change = ctx.change().await?;
        let old = Entity::locked(change.tx(), update_interaction_input.id).await?;
        let new = update_interaction_input.apply(&old, change.at())?;
        if new == old {
            return Ok(old);
        }
        let new = Model { version: old.version + 1, ..new };
        let new = new.into_active_model().reset_all().update(change.tx()).await?;
        let lead = leadview::name(change.tx(), new.lead_id).await?;
        let event = event::updated(&old, &new, lead);
        change.record_event("interaction.updated", new.id, &diff(&old, &new)?, &event)?;
        change.finish(new).await
    }

    /// Removes an interaction, for good. True when it is gone.
    async fn remove_interaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The interaction's id.")] id: RowId,
    ) -> Result<bool> {
        let mut change = ctx.change().await?;
        let row = Entity::locked(change.tx(), id).await?;
        Entity::delete_by_id(row.id).exec(change.tx()).await?;
        change.record_event("interaction.removed", row.id, &row, &event::removed(&row))?;
        change.finish(true).await
    }
}
