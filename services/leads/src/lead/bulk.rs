//! Creating many leads at once: each row succeeds or fails by itself, in order.

use super::{
    Column, Entity, Model,
    email::{self, CHUNK, having},
    input::{CreateLeadInput, to_insert},
};
use crate::owner;
use async_graphql::{Context, Object, SimpleObject};
use events::contract::LeadCreated;
use sea_orm::{EntityTrait, TryInsertResult, sea_query::OnConflict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use subgraph::{Change, ContextExt, Error, Result};

/// Rows of one `createLeads`, at most.
const MAX_BULK: usize = 1_000;

/// What became of one row of `createLeads`. Exactly one of the two is set.
#[derive(Clone, Debug, SimpleObject, Serialize, Deserialize)]
pub(crate) struct LeadResult {
    /// The lead that was created.
    lead: Option<Model>,
    /// Why it was not.
    error: Option<LeadError>,
}

/// Why one row was not created.
#[derive(Clone, Debug, SimpleObject, Serialize, Deserialize)]
pub(crate) struct LeadError {
    /// The code the error would have by itself.
    code: String,
    /// What is wrong, in words.
    message: String,
    /// The field at fault.
    field: Option<String>,
}

impl From<Result<Model>> for LeadResult {
    fn from(result: Result<Model>) -> Self {
        match result {
            Ok(lead) => Self { lead: Some(lead), error: None },
            Err(error) => {
                let (code, message) = (error.code().to_owned(), error.message());
                let field = match error {
                    Error::Invalid(faults) => faults.into_iter().next().map(|fault| fault.field),
                    Error::Conflict { .. } => Some("email".to_owned()),
                    Error::NotFound(_) => Some("ownerId".to_owned()),
                    _ => None,
                };
                Self { lead: None, error: Some(LeadError { code, message, field }) }
            }
        }
    }
}

/// Mutations of many leads.
#[derive(Default)]
pub struct BulkMutation;

#[Object]
impl BulkMutation {
    /// Creates up to 1,000 leads. Each row succeeds or fails by itself, in order.
    async fn create_leads(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new leads.")] input: Vec<CreateLeadInput>,
        #[graphql(desc = "The same key answers as the first time, for 24 hours.")] idempotency_key: Option<
            String,
        >,
    ) -> Result<Vec<LeadResult>> {
        if input.len() > MAX_BULK {
            return Err(Error::invalid("input", format!("has more than {MAX_BULK} rows")));
        }
        let key = idempotency_key.as_deref();
        if let Some(results) = ctx.replayed("createLeads", key, &input).await? {
            return Ok(results);
        }
        let owners = input.iter().filter_map(|row| row.owner_id).map(|id| id.0).collect();
        let unknown = owner::unknown(ctx.service(), ctx.caller(), &owners).await?;
        let mut change = ctx.change().await?;
        if let Some(results) = change.replay("createLeads", key, &input).await? {
            return Ok(results);
        }
        let now = change.at();
        let rows = input.into_iter().map(|row| match row.owner_id {
            Some(owner) if unknown.contains(&owner.0) => Err(Error::not_found("User", owner)),
            _ => row.into_lead(now),
        });
        let results = insert_all(&mut change, rows.collect()).await?;
        if results.iter().all(|result| result.lead.is_none()) {
            if key.is_none() {
                return Ok(results);
            }
            // The refusal is an answer too, and is kept under the key
            change.record("leads.refused", "-", &results)?;
        }
        change.finish(results).await
    }
}

/// Inserts the rows that are well, in their order, and says what became of each.
async fn insert_all(change: &mut Change, rows: Vec<Result<Model>>) -> Result<Vec<LeadResult>> {
    let keys: Vec<&str> = rows.iter().flatten().map(|lead| &*lead.email_key).collect();
    let mut existing = having(change.tx(), &keys).await?;
    let mut first = BTreeSet::new();
    let fresh =
        rows.iter().flatten().filter(|l| !existing.contains_key(&l.email_key) && first.insert(&l.email_key));
    let fresh: Vec<Model> = fresh.cloned().collect();
    let mut created = insert_fresh(change, &fresh).await?;
    let lost: Vec<&str> =
        fresh.iter().map(|l| &*l.email_key).filter(|key| !created.contains_key(*key)).collect();
    existing.extend(having(change.tx(), &lost).await?);
    let results = rows.into_iter().map(|row| {
        let lead = row?;
        let Some(lead) = created.remove(&lead.email_key) else {
            return Err(email::conflict(existing.get(&lead.email_key).copied()));
        };
        existing.insert(lead.email_key.clone(), lead.id);
        Ok(lead)
    });
    Ok(results.map(LeadResult::from).collect())
}

/// Inserts leads with different e-mails; those whose e-mail somebody takes meanwhile are left out.
async fn insert_fresh(change: &mut Change, fresh: &[Model]) -> Result<HashMap<String, Model>> {
    let mut created = HashMap::new();
    for chunk in fresh.chunks(CHUNK) {
        let skip = OnConflict::column(Column::EmailKey).do_nothing().to_owned();
        let insert = Entity::insert_many(chunk.iter().cloned().map(to_insert)).on_conflict(skip).try_insert();
        if let TryInsertResult::Inserted(leads) = insert.exec_with_returning_many(change.tx()).await? {
            created.extend(leads.into_iter().map(|lead| (lead.email_key.clone(), lead)));
        }
    }
    if !created.is_empty() {
        change.begin_batch(created.len());
    }
    for lead in fresh.iter().filter_map(|lead| created.get(&lead.email_key)) {
        change.record_event("lead.created", lead.id, lead, &LeadCreated { lead: lead.into() })?;
    }
    Ok(created)
}
