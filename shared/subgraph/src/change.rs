//! One change of the data: a transaction that knows who makes it, and that cannot be committed
//! without saying in the audit log what was done. What others have to know of it goes to the outbox in
//! the same transaction.

use crate::{
    caller::{Actor, Caller},
    counter,
    error::{Error, Result},
    idempotency::{self, Claim},
    service::Service,
    telemetry::Carried,
};
use chrono::{DateTime, Utc};
use events::{Envelope, Event, outbox};
use sea_orm::{DatabaseTransaction, EntityTrait, IntoActiveModel};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// The counter whose row a change holds while it writes events that are delivered live: so they become
/// visible in the order of their positions.
const LIVE: &str = "live";

/// The audit log: who did what, when, through which request.
pub mod audit {
    use sea_orm::entity::prelude::*;

    /// One thing that was done.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_log")]
    pub struct Model {
        /// Ordered by time.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// When.
        pub at: DateTimeUtc,
        /// `user:1`, `key:1`, `service:leads` or `system`.
        pub actor: String,
        /// The request it was done in.
        pub request_id: String,
        /// What, as `noun.verb`.
        pub action: String,
        /// To which row.
        pub entity_id: String,
        /// What changed, as JSON.
        pub details: String,
    }

    /// No relations: the log outlives what it speaks of.
    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A change under way. Dropped without [`Change::finish`], it never happened.
pub struct Change {
    tx: DatabaseTransaction,
    service: Service,
    actor: Actor,
    request_id: String,
    at: DateTime<Utc>,
    records: Vec<audit::Model>,
    events: Vec<Envelope>,
    batch: Option<(Uuid, u32)>,
    claim: Option<Claim>,
    asks_for_jobs: bool,
}

impl Change {
    /// Begins a change by `caller`.
    pub async fn begin(service: &Service, caller: &Caller) -> Result<Self> {
        let (tx, at) = (service.db.begin().await?, service.clock.now());
        let (actor, request_id) = (caller.actor.clone(), caller.request_id.clone());
        Ok(Self {
            tx,
            service: service.clone(),
            actor,
            request_id,
            at,
            records: Vec::new(),
            events: Vec::new(),
            batch: None,
            claim: None,
            asks_for_jobs: false,
        })
    }

    /// The service whose data changes.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The transaction that everything of this change goes through.
    pub fn tx(&self) -> &DatabaseTransaction {
        &self.tx
    }

    /// The one time of everything in this change.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Who makes it.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The request it is made in.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Wakes those who do jobs, when this is committed.
    pub(crate) fn wake_jobs(&mut self) {
        self.asks_for_jobs = true;
    }

    /// When a client repeats an operation under the same key: the answer it got the first time.
    /// Otherwise the key is taken, and [`Change::finish`] keeps the answer under it.
    ///
    /// # Errors
    /// `CONFLICT` when the key was used with another input.
    pub async fn replay<T: DeserializeOwned>(
        &mut self,
        operation: &str,
        key: Option<&str>,
        input: &impl Serialize,
    ) -> Result<Option<T>> {
        let Some(key) = key else { return Ok(None) };
        let claim = Claim::new(&self.actor, operation, key, input)?;
        let answer = idempotency::claim(&self.tx, &claim, self.at).await?;
        self.claim = Some(claim);
        answer.map(|json| serde_json::from_str(&json).map_err(Error::internal)).transpose()
    }

    /// Notes what is done: `action` as `noun.verb`, the row, and what changed.
    pub fn record(&mut self, action: &str, entity_id: impl ToString, details: &impl Serialize) -> Result<()> {
        self.note(action, entity_id, details).map(drop)
    }

    /// As [`Change::record`], and tells the other services: the event has the id of the audit row.
    pub fn record_event(
        &mut self,
        action: &str,
        entity_id: impl ToString,
        details: &impl Serialize,
        event: &impl Event,
    ) -> Result<()> {
        let id = self.note(action, entity_id, details)?;
        let event = Envelope::new(event, id, self.at, self.actor.to_string(), self.batch);
        let Carried { parent: traceparent, state: tracestate } = Carried::current();
        self.events.push(Envelope { traceparent, tracestate, ..event.map_err(Error::internal)? });
        Ok(())
    }

    /// Makes the events that follow one piece of bulk work with so many of each type.
    pub fn begin_batch(&mut self, size: usize) {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.batch = Some((self.service.random.uuid(self.at), size));
    }

    #[expect(clippy::needless_pass_by_value, reason = "ids are small, and callers have them by value")]
    fn note(&mut self, action: &str, entity_id: impl ToString, details: &impl Serialize) -> Result<Uuid> {
        let id = self.service.random.uuid(self.at);
        let mut details = serde_json::to_value(details).map_err(Error::internal)?;
        // In one order, however serde_json was built
        details.sort_all_objects();
        self.records.push(audit::Model {
            id,
            at: self.at,
            actor: self.actor.to_string(),
            request_id: self.request_id.clone(),
            action: action.to_owned(),
            entity_id: entity_id.to_string(),
            details: details.to_string(),
        });
        Ok(id)
    }

    /// Commits the change and hands back its result.
    ///
    /// # Errors
    /// `INTERNAL` when nothing was recorded: a change that leaves no trace is a mistake.
    pub async fn finish<T: Serialize>(mut self, result: T) -> Result<T> {
        if self.records.is_empty() {
            return Err(Error::internal("a change was committed without an audit record"));
        }
        self.write_records().await?;
        if let Some(claim) = self.claim.take() {
            let answer = serde_json::to_string(&result).map_err(Error::internal)?;
            idempotency::keep(&self.tx, &claim, answer).await?;
        }
        self.commit().await?;
        Ok(result)
    }

    /// Commits what an event of another service made necessary. Where that was a view alone, there is nothing to
    /// record: the audit row is the other service's.
    pub(crate) async fn finish_applied(self) -> Result<()> {
        self.write_records().await?;
        self.commit().await
    }

    async fn write_records(&self) -> Result<()> {
        for chunk in self.records.chunks(500) {
            let rows = chunk.iter().cloned().map(IntoActiveModel::into_active_model);
            audit::Entity::insert_many(rows).exec_without_returning(&self.tx).await?;
        }
        // Last, and so for a short time: whoever has live events to write waits for the one who has
        if self.events.iter().any(|event| self.service.live_kinds.contains(&&*event.kind)) {
            counter::next(&self.tx, LIVE).await?;
        }
        outbox::add(&self.tx, &self.events).await?;
        Ok(())
    }

    async fn commit(self) -> Result<()> {
        self.tx.commit().await?;
        if !self.events.is_empty() {
            self.service.wake.outbox();
        }
        if self.asks_for_jobs {
            self.service.jobs.all();
        }
        Ok(())
    }
}

/// The fields in which two versions of a row differ, each as `[before, after]`.
pub fn diff(before: &impl Serialize, after: &impl Serialize) -> Result<serde_json::Value> {
    let (before, after) = (to_map(before)?, to_map(after)?);
    let changed = after.into_iter().filter_map(|(field, new)| {
        let old = before.get(&field).cloned().unwrap_or_default();
        (old != new).then(|| (field, serde_json::json!([old, new])))
    });
    Ok(changed.collect())
}

/// The names of the fields that a change changed, of those that it can change.
pub fn changed<const N: usize>(fields: [(&str, bool); N]) -> Vec<String> {
    fields.into_iter().filter(|(_, changed)| *changed).map(|(field, _)| field.to_owned()).collect()
}

fn to_map(row: &impl Serialize) -> Result<serde_json::Map<String, serde_json::Value>> {
    match serde_json::to_value(row).map_err(Error::internal)? {
        serde_json::Value::Object(map) => Ok(map),
        _ => Err(Error::internal("a row is not an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_is_in_the_difference() {
        let (before, after) = (json!({"a": 1, "b": null}), json!({"a": 1, "b": "x"}));
        assert_eq!(diff(&before, &after).unwrap(), json!({"b": [null, "x"]}));
    }
}
