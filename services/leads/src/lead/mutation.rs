//! Changes of leads.

use super::{
    Entity, Model,
    email::{must_be_free, taken},
    event,
    input::{CreateLeadInput, UpdateLeadInput, to_insert},
};
use crate::owner;
use async_graphql::{Context, Object};
use events::contract::{LeadCreated, LeadRemoved};
use sea_orm::{ActiveModelTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QuerySelect};
use subgraph::{Caller, Change, ContextExt, Error, Id, Result, RowId, Service, diff};

/// Mutations of one lead.
#[derive(Default)]
pub struct SingleMutation;

#[Object]
impl SingleMutation {
    /// Creates a lead. Exactly one of the two argument names: both are in use by clients.
    async fn create_lead(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new lead.")] create_lead_input: Option<CreateLeadInput>,
        #[graphql(desc = "The new lead.")] input: Option<CreateLeadInput>,
        #[graphql(desc = "The same key answers as the first time, for 24 hours.")] idempotency_key: Option<
            String,
        >,
    ) -> Result<Model> {
        let input = one_of(create_lead_input, input)?;
        let key = idempotency_key.as_deref();
        if let Some(lead) = ctx.replayed("createLead", key, &input).await? {
            return Ok(lead);
        }
        let (service, caller) = (ctx.service(), ctx.caller());
        let new = input.clone().into_lead(service.clock.now())?;
        owner_fits(service, caller, new.owner_id).await?;
        let mut change = ctx.change().await?;
        if let Some(lead) = change.replay("createLead", key, &input).await? {
            return Ok(lead);
        }
        must_be_free(change.tx(), &new).await?;
        let email = new.email_key.clone();
        match to_insert(new).insert(change.tx()).await {
            Ok(lead) => {
                change.record_event("lead.created", lead.id, &lead, &LeadCreated { lead: (&lead).into() })?;
                change.finish(lead).await
            }
            Err(error) => {
                drop(change);
                Err(taken(service, &email, error).await)
            }
        }
    }

    /// Changes a lead.
    async fn update_lead(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] update_lead_input: UpdateLeadInput,
    ) -> Result<Model> {
        let change = ctx.change().await?;
        let lead = locked(change.tx(), update_lead_input.id).await?;
        let new = update_lead_input.apply(&lead)?;
        save(ctx.service(), change, lead, new, "lead.updated").await
    }

    /// Removes a lead. Permanent; the lead's interactions, tasks and scores go with it.
    async fn remove_lead(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which lead.")] id: RowId,
    ) -> Result<bool> {
        let mut change = ctx.change().await?;
        let lead = locked(change.tx(), id).await?;
        Entity::delete_by_id(lead.id).exec(change.tx()).await?;
        let removed = LeadRemoved { id: lead.id.0, version: lead.version + 1 };
        change.record_event("lead.removed", lead.id, &lead, &removed)?;
        change.finish(true).await
    }

    /// Makes someone the owner of a lead. A null owner releases the lead. Sales reps may take
    /// leads that nobody owns; managers assign to anyone.
    async fn assign_lead(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which lead.")] id: RowId,
        #[graphql(desc = "The new owner.")] owner_id: Option<Id>,
    ) -> Result<Model> {
        let owner_id = owner_id.map(|id| id.0);
        owner_fits(ctx.service(), ctx.caller(), owner_id).await?;
        let change = ctx.change().await?;
        let lead = locked(change.tx(), id).await?;
        owner::may_assign(ctx.caller(), lead.owner_id, owner_id)?;
        let new = Model { owner_id, ..lead.clone() };
        save(ctx.service(), change, lead, new, "lead.assigned").await
    }
}

fn one_of(first: Option<CreateLeadInput>, second: Option<CreateLeadInput>) -> Result<CreateLeadInput> {
    match (first, second) {
        (Some(input), None) | (None, Some(input)) => Ok(input),
        _ => Err(Error::invalid("input", "give exactly one of createLeadInput and input")),
    }
}

/// Whether the caller may give a lead that nobody owns to this owner, and whether there is one. What is
/// refused whoever owns the lead is refused before accounts is asked.
async fn owner_fits(service: &Service, caller: &Caller, new: Option<i32>) -> Result<()> {
    owner::may_assign(caller, None, new)?;
    match new {
        Some(owner) => owner::must_exist(service, caller, owner).await,
        None => Ok(()),
    }
}

async fn locked(tx: &DatabaseTransaction, id: RowId) -> Result<Model> {
    let lead = Entity::find_by_id(Id(id.0)).lock_exclusive().one(tx).await?;
    lead.ok_or_else(|| Error::not_found("Lead", id.0))
}

/// Saves `new` in the place of `old` as its next version; nothing happens when they are the same.
async fn save(service: &Service, mut change: Change, old: Model, new: Model, action: &str) -> Result<Model> {
    if new == old {
        return Ok(old);
    }
    let new = Model { version: old.version + 1, updated_at: change.at(), ..new };
    if new.email_key != old.email_key {
        must_be_free(change.tx(), &new).await?;
    }
    let email = new.email_key.clone();
    match new.into_active_model().reset_all().update(change.tx()).await {
        Ok(lead) => {
            let updated = event::updated(&old, &lead)?;
            change.record_event(action, lead.id, &diff(&old, &lead)?, &updated)?;
            change.finish(lead).await
        }
        Err(error) => {
            drop(change);
            Err(taken(service, &email, error).await)
        }
    }
}
