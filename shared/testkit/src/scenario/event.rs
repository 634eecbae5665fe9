//! Something that happened in some service, told to the one under test as the bus tells it.

use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use events::contract::{self, EachEvent};
use events::{Bus, Envelope, Event, LocalBus, cursor, inbox, outbox};
use futures_util::StreamExt;
use sea_orm::prelude::Uuid;
use sea_orm::{DatabaseConnection, EntityTrait};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

/// A service that takes longer to deal with an event is broken.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often it is asked whether it has.
const POLL: Duration = Duration::from_millis(10);
/// Ids of events that say none: this and the number of the step.
const IDS: u128 = 0x0e7e_0000_0000_7000_8000_0000_0000_0000;

/// What a step says of an event. The rest follows from the contract and from the data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    #[serde(rename = "type")]
    kind: String,
    subject: Option<String>,
    version: Option<i32>,
    data: Value,
    actor: Option<String>,
    batch: Option<(Uuid, u32)>,
    id: Option<Uuid>,
}

impl Told {
    /// The event as its producer would publish it at `now`, in this step of a scenario.
    pub(crate) fn envelope(self, step: usize, now: DateTime<Utc>) -> anyhow::Result<Envelope> {
        let mut finding = Finding { told: &self, id: IDS + step as u128, now, found: None };
        contract::each(&mut finding);
        finding.found.with_context(|| format!("`{}` is no type of event", self.kind))
    }

    /// As an event of this type. Data that does not fit it is told all the same, about what the example is about.
    fn as_event<E: Event>(&self, id: Uuid, now: DateTime<Utc>) -> serde_json::Result<Envelope> {
        let event = serde_json::from_value(self.data.clone()).unwrap_or_else(|_| E::example());
        let actor = self.actor.as_deref().unwrap_or("user:1").to_owned();
        let envelope = Envelope::new(&event, self.id.unwrap_or(id), now, actor, self.batch)?;
        Ok(Envelope {
            subject: self.subject.clone().unwrap_or(envelope.subject),
            aggregateversion: self.version.or(envelope.aggregateversion),
            data: self.data.clone(),
            ..envelope
        })
    }
}

/// Looks for the type of an event in the contract.
struct Finding<'a> {
    told: &'a Told,
    id: u128,
    now: DateTime<Utc>,
    found: Option<Envelope>,
}

impl EachEvent for Finding<'_> {
    fn event<E: Event>(&mut self) {
        if E::TYPE == self.told.kind {
            self.found = self.told.as_event::<E>(Uuid::from_u128(self.id), self.now).ok();
        }
    }
}

/// Publishes an event and says what the service with this database made of it.
pub(crate) async fn deliver(
    event: &Envelope,
    bus: &LocalBus,
    db: &DatabaseConnection,
) -> anyhow::Result<String> {
    ensure!(!is_claimed(event, db).await?, "this event was told before, and the bus tells each once");
    let row = outbox::Model {
        position: 0,
        id: event.id,
        kind: event.kind.clone(),
        envelope: serde_json::to_string(event)?,
        created_at: event.time,
        published_at: None,
        keep_until: None,
    };
    bus.append(std::slice::from_ref(&row)).await?;
    let position = timeout(DEADLINE, position(bus, &row.envelope)).await??;
    let begin = Instant::now();
    while begin.elapsed() < DEADLINE {
        if is_claimed(event, db).await? {
            // What the process remembers of it follows a moment after the commit
            sleep(POLL).await;
            return outcome(event, db).await;
        }
        if cursor::get(db, cursor::READ_FROM).await?.is_some_and(|read| read.position >= position) {
            return Ok(if is_claimed(event, db).await? {
                outcome(event, db).await?
            } else {
                "not consumed".into()
            });
        }
        sleep(POLL).await;
    }
    anyhow::bail!("the service has not dealt with it after {} seconds", DEADLINE.as_secs())
}

async fn is_claimed(event: &Envelope, db: &DatabaseConnection) -> anyhow::Result<bool> {
    Ok(inbox::Entity::find_by_id(event.id).one(db).await?.is_some())
}

/// What came of an event that the service has dealt with.
async fn outcome(event: &Envelope, db: &DatabaseConnection) -> anyhow::Result<String> {
    let parked = inbox::parked::Entity::find_by_id(event.id).one(db).await?;
    Ok(parked.map_or_else(|| "applied".into(), |parked| format!("parked: {}", parked.reason)))
}

/// Where in the log an event stands.
async fn position(bus: &LocalBus, envelope: &str) -> anyhow::Result<i64> {
    let mut entries = bus.read(&bus.identity().await?, 0).await?;
    loop {
        let entry = entries.next().await.context("the bus ended")??;
        if entry.envelope == envelope {
            return Ok(entry.position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::contract::{LeadCreated, LeadRemoved};
    use serde_json::json;

    fn told(text: &Value) -> anyhow::Result<Envelope> {
        let told: Told = serde_json::from_value(text.clone())?;
        told.envelope(7, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn an_event_is_as_its_producer_would_publish_it() {
        let event = told(&json!({ "type": "lead.created", "data": LeadCreated::example() })).unwrap();
        let id = Uuid::from_u128(IDS + 7);
        let published =
            Envelope::new(&LeadCreated::example(), id, DateTime::UNIX_EPOCH, "user:1".into(), None);
        assert_eq!(event, published.unwrap());
    }

    #[test]
    fn what_is_said_of_an_event_counts() {
        let batch = Uuid::from_u128(1);
        let event = told(&json!({
            "type": "lead.removed", "subject": "lead/9", "version": 4, "data": { "id": 8, "version": 3 },
            "actor": "key:2", "batch": [batch, 3], "id": Uuid::from_u128(2),
        }));
        let event = event.unwrap();
        assert_eq!((&*event.subject, event.aggregateversion), ("lead/9", Some(4)));
        assert_eq!((&*event.actor, event.batch, event.batchsize), ("key:2", Some(batch), Some(3)));
        assert_eq!(event.id, Uuid::from_u128(2));
        assert_eq!(event.event::<LeadRemoved>().unwrap(), LeadRemoved { id: 8, version: 3 });
    }

    #[test]
    fn data_may_not_fit_but_the_rest_must() {
        let event = told(&json!({ "type": "lead.removed", "data": { "id": "x" } })).unwrap();
        assert!(event.event::<LeadRemoved>().is_err());
        let said = |text| format!("{:#}", told(&text).unwrap_err());
        assert!(said(json!({ "type": "lead.sold", "data": {} })).contains("`lead.sold` is no type"));
        assert!(said(json!({ "type": "lead.removed" })).contains("data"));
        assert!(said(json!({ "type": "lead.removed", "data": {}, "subjekt": "x" })).contains("subjekt"));
    }
}
