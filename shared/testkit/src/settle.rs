//! Waiting until everything that happened is known to everybody whom it concerns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use events::{Bus, Envelope, cursor, outbox};
use futures_util::StreamExt;
use serde_json::json;
use subgraph::{Clock, Random};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::process::POLL;
use crate::stack::Databases;
use crate::supergraph::SERVICES;

/// How long one look at the bus may take.
const LOOK: Duration = Duration::from_secs(10);
/// What follows from an event, and what follows from that: a score that moves, and its notification.
const GENERATIONS: usize = 2;
/// Those that do jobs, of which may come more.
const WORKERS: [&str; 2] = ["tasks", "scoring"];

/// The services, as far as they tell each other something.
pub(crate) struct Settling<'a> {
    /// Their databases.
    pub databases: &'a Databases,
    /// What they tell it through.
    pub bus: &'a Arc<dyn Bus>,
}

impl Settling<'_> {
    /// Waits until nothing is unpublished and every service has read the bus to its end.
    ///
    /// # Errors
    /// Says what is still under way after this time.
    pub async fn settle(&self, within: Duration) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let why = match self.attempt(start + within).await {
                Ok(()) => return Ok(()),
                Err(error) => format!("{error:#}"),
            };
            if start.elapsed() > within {
                return Err(why);
            }
            sleep(POLL).await;
        }
    }

    async fn attempt(&self, deadline: Instant) -> anyhow::Result<()> {
        for _ in 0..GENERATIONS {
            self.all_published().await?;
            let (log, position) = self.mark().await?;
            while let Err(error) = self.all_read(&log, position).await {
                // In a bus that was lost meanwhile nobody gets there
                anyhow::ensure!(Instant::now() < deadline && self.bus.identity().await? == log, "{error:#}");
                sleep(POLL).await;
            }
        }
        self.all_published().await
    }

    async fn all_published(&self) -> anyhow::Result<()> {
        for service in SERVICES {
            let backlog = outbox::backlog(self.databases.of(service), Clock::System.now()).await?;
            anyhow::ensure!(backlog.depth == 0, "{service} has {} events to publish", backlog.depth);
            if WORKERS.contains(&service) {
                let jobs = self.databases.count(service, "job WHERE status IN ('QUEUED', 'RUNNING')").await;
                anyhow::ensure!(jobs == 0, "{service} has {jobs} jobs to do");
            }
        }
        Ok(())
    }

    /// Appends an entry that concerns nobody; in which log it stands, and where.
    async fn mark(&self) -> anyhow::Result<(String, i64)> {
        let (log, marker) = (self.bus.identity().await?, marker());
        let after = cursor::read_to(self.databases.of("accounts"), &log).await?;
        self.bus.append(std::slice::from_ref(&marker)).await?;
        let mut entries = self.bus.read(&log, after).await?;
        let id = marker.id.to_string();
        let found = timeout(LOOK, async {
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                if entry.envelope.contains(&id) {
                    return Ok(entry.position);
                }
            }
            Err(anyhow::anyhow!("the bus ended"))
        });
        Ok((log, found.await??))
    }

    async fn all_read(&self, log: &str, position: i64) -> anyhow::Result<()> {
        let mut behind = Vec::new();
        for service in SERVICES {
            match cursor::get(self.databases.of(service), cursor::READ_FROM).await? {
                Some(known) if known.log == log && known.position >= position => {}
                Some(known) if known.log == log => behind.push(format!("{service} to {}", known.position)),
                Some(known) => behind.push(format!("{service} to {} of another one", known.position)),
                None => behind.push(format!("{service} not at all")),
            }
        }
        anyhow::ensure!(behind.is_empty(), "the bus goes to {position} and was read: {}", behind.join(", "));
        Ok(())
    }
}

/// What to append to the bus for an event, under a message id of its own: so that the bus takes it again.
#[must_use]
pub fn delivery(envelope: &str, kind: &str) -> outbox::Model {
    let now = Clock::System.now();
    outbox::Model {
        position: 0,
        id: Random::System.uuid(now),
        kind: kind.into(),
        envelope: envelope.into(),
        created_at: now,
        published_at: None,
        keep_until: None,
    }
}

fn marker() -> outbox::Model {
    let now = Clock::System.now();
    let id: Uuid = Random::System.uuid(now);
    let envelope = Envelope {
        specversion: "1.0".into(),
        id,
        source: "/testkit".into(),
        kind: "testkit.marker".into(),
        subject: "testkit".into(),
        time: now,
        datacontenttype: "application/json".into(),
        dataschema: "urn:leadgraph:testkit.marker:1".into(),
        actor: "system".into(),
        aggregateversion: None,
        batch: None,
        batchsize: None,
        sequence: None,
        traceparent: None,
        tracestate: None,
        data: json!({}),
    };
    let envelope = serde_json::to_string(&envelope).expect("an envelope is JSON");
    outbox::Model { id, ..delivery(&envelope, "testkit.marker") }
}
