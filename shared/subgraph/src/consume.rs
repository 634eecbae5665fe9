//! Applying what happened in other services: each event once, in the order of the bus.
//!
//! The effect of an event, the note that it was applied, and how far the bus has been read are one transaction.
//! So a service that is killed at any moment goes on where it was, several replicas of it take turns, and an event
//! that is delivered a hundred times has its effect once. What cannot be applied is put aside after some attempts,
//! in nobody's way.

mod attempt;

use crate::{cause::unquoted, change::Change, error::Result, service::Service};
use anyhow::Context;
use attempt::Fault;
use chrono::{DateTime, Utc};
use events::{Entry, Envelope, Event, cursor, inbox::parked};
use futures_util::{StreamExt, future::BoxFuture};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, sleep};
use uuid::Uuid;

/// How often it looks for parked events that somebody wants tried again.
const REPLAY_INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits before it reads the bus anew, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// An event of another service, as it arrives.
#[derive(Clone, Debug)]
pub struct Received<E> {
    /// What happened.
    pub event: E,
    /// The event's id.
    pub id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The piece of bulk work it belongs to, and how many events of its type that has.
    pub batch: Option<(Uuid, u32)>,
}

impl<E: Event> Received<E> {
    fn open(envelope: &Envelope) -> anyhow::Result<Self> {
        let batch = envelope.batch.zip(envelope.batchsize);
        Ok(Self { event: envelope.event()?, id: envelope.id, at: envelope.time, batch })
    }
}

/// What a service does about one kind of event.
pub trait Consumer<E: Event>: 'static {
    /// Does it, through the change's transaction. May run again when it failed or the transaction was lost.
    fn apply(change: &mut Change, received: &Received<E>) -> impl Future<Output = Result<()>> + Send;
}

type Handler =
    Arc<dyn for<'a> Fn(&'a mut Change, &'a Envelope) -> BoxFuture<'a, Result<(), Fault>> + Send + Sync>;

/// What a service does about each kind of event.
#[derive(Clone, Default)]
pub(crate) struct Consumers(HashMap<&'static str, Vec<Handler>>);

impl Consumers {
    /// Adds a consumer of one kind; those of the same kind share a transaction.
    pub fn add<E: Event, C: Consumer<E>>(&mut self) {
        let handler: Handler = Arc::new(|change, envelope| {
            Box::pin(async move {
                let received = Received::<E>::open(envelope).map_err(Fault::Unreadable)?;
                Ok(C::apply(change, &received).await?)
            })
        });
        self.0.entry(E::TYPE).or_default().push(handler);
    }

    fn of(&self, kind: &str) -> Option<&Vec<Handler>> {
        self.0.get(kind)
    }

    /// Does what there is to do about an event, in this transaction.
    pub async fn handle(&self, change: &mut Change, envelope: &Envelope) -> Result<(), Fault> {
        for handler in self.of(&envelope.kind).into_iter().flatten() {
            handler(change, envelope).await?;
        }
        Ok(())
    }
}

/// Reads the bus and applies what concerns the service, for ever.
pub(crate) async fn consume(service: Service, consumers: Consumers) {
    let mut wait = BACKOFF.0;
    loop {
        let mut reading =
            Reading { service: &service, consumers: &consumers, log: String::new(), position: 0, kept: 0 };
        let Err(error) = reading.run().await;
        if service.signals.reading(Some(&format!("{error:#}"))) {
            tracing::warn!(
                subgraph = service.name,
                error = format!("{error:#}"),
                "cannot read the bus; trying again"
            );
        }
        // One that could read begins anew with a short wait
        wait = if reading.position > 0 { BACKOFF.0 } else { (wait * 2).min(BACKOFF.1) };
        sleep(wait).await;
    }
}

/// One reading of the bus, until something is wrong with it.
struct Reading<'a> {
    service: &'a Service,
    consumers: &'a Consumers,
    log: String,
    /// The last entry that was dealt with.
    position: i64,
    /// The position in the database.
    kept: i64,
}

impl Reading<'_> {
    async fn run(&mut self) -> anyhow::Result<std::convert::Infallible> {
        let bus = &self.service.bus;
        self.log = bus.identity().await?;
        self.position = cursor::read_to(self.service.db.read(), &self.log).await?;
        self.kept = self.position;
        let mut entries = bus.read(&self.log, self.position).await?;
        self.service.signals.reading(None);
        let mut replays = interval(REPLAY_INTERVAL);
        replays.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                entry = entries.next() => self.take(entry.context("the bus ended")??).await?,
                _ = replays.tick() => self.between().await?,
            }
        }
    }

    /// Deals with one entry of the log.
    async fn take(&mut self, entry: Entry) -> anyhow::Result<()> {
        self.position = entry.position;
        match serde_json::from_str::<Envelope>(&entry.envelope) {
            Ok(envelope) => {
                if self.consumers.of(&envelope.kind).is_some() {
                    self.apply(&envelope).await?;
                }
            }
            Err(error) => {
                let unreadable = attempt::unreadable(&entry.envelope, &error, self.service.clock.now());
                self.park(unreadable).await?;
            }
        }
        self.service.metrics.events.lag(entry.behind);
        self.service.metrics.events.read(self.service.clock.now());
        Ok(())
    }

    /// Applies an event, however often that takes; or puts it aside.
    async fn apply(&mut self, envelope: &Envelope) -> anyhow::Result<()> {
        let place = (self.log.clone(), self.position);
        let mut attempts = attempt::Attempts::default();
        let outcome = loop {
            match attempt::apply(self.service, self.consumers, envelope, &place).await {
                Ok(outcome) => break outcome,
                Err(fault) => match attempts.failed(self.service, envelope, fault) {
                    attempt::Next::Again(wait) => sleep(wait).await,
                    attempt::Next::Park(event) => {
                        self.park(event).await?;
                        break "parked";
                    }
                },
            }
        };
        // A repetition moves nothing: the position is kept later
        if outcome != "repeated" {
            self.kept = self.position;
        }
        self.service.signals.reading(None);
        self.service.metrics.events.applied.with_label_values(&[&*envelope.kind, outcome]).inc();
        Ok(())
    }

    async fn park(&mut self, event: parked::Model) -> anyhow::Result<()> {
        tracing::error!(
            subgraph = self.service.name, id = %event.event_id, kind = event.kind, subject = event.subject,
            reason = unquoted(&event.reason), "an event cannot be applied and is parked"
        );
        attempt::park(self.service, event, &(self.log.clone(), self.position)).await?;
        self.kept = self.position;
        Ok(())
    }

    /// What is done every now and then: replays what somebody asked for, and keeps the position after entries that
    /// did not concern the service.
    async fn between(&mut self) -> anyhow::Result<()> {
        let db = &self.service.db;
        while let Some(event) = parked::next_to_replay(db.read()).await? {
            attempt::replay(self.service, self.consumers, event).await?;
        }
        if self.kept < self.position {
            cursor::advance(db.write(), cursor::READ_FROM, &self.log, self.position).await?;
            self.kept = self.position;
        }
        let (metrics, parked) = (&self.service.metrics.events, parked::count(db.read()).await?);
        metrics.parked.set(i64::try_from(parked).unwrap_or(i64::MAX));
        metrics.read(self.service.clock.now());
        Ok(())
    }
}
