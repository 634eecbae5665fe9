//! Waiting until everything that happened is known to everybody whom it concerns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use events::{Bus, Envelope, cursor, outbox};
use futures_util::StreamExt;
use serde_json::json;
use subgraph::{Clock, Random};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::Stack;
use crate::invariants::{self, Allowed};
use crate::process::POLL;
use crate::supergraph::SERVICES;

/// Longer than any backlog of a test needs.
const DEADLINE: Duration = Duration::from_mins(1);
/// How long one look at the bus may take.
const LOOK: Duration = Duration::from_secs(10);

impl Stack {
    /// Waits until all is published and applied, then checks all invariants.
    ///
    /// # Panics
    /// When it does not settle within a minute, or an invariant is broken: with everything that is wrong.
    pub async fn verify(&self) {
        self.verify_but(&Allowed::default()).await;
    }

    /// As [`Stack::verify`], where something is as the test wants it.
    ///
    /// # Panics
    /// As [`Stack::verify`].
    pub async fn verify_but(&self, allowed: &Allowed) {
        self.settle(DEADLINE).await.unwrap_or_else(|why| panic!("it does not settle: {why}"));
        if let Err(broken) = invariants::check(self.databases(), allowed).await {
            panic!("broken invariants:\n{}", broken.join("\n"));
        }
    }

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
        self.all_published().await?;
        let (log, position) = self.mark(&Arc::clone(self.bus().await)).await?;
        while let Err(error) = self.all_read(&log, position).await {
            // In a bus that was lost meanwhile nobody gets there
            anyhow::ensure!(
                Instant::now() < deadline && self.bus().await.identity().await? == log,
                "{error:#}"
            );
            sleep(POLL).await;
        }
        // What they did about it is published, too
        self.all_published().await
    }

    async fn all_published(&self) -> anyhow::Result<()> {
        for service in SERVICES {
            let backlog = outbox::backlog(self.databases().of(service), Clock::System.now()).await?;
            anyhow::ensure!(backlog.depth == 0, "{service} has {} events to publish", backlog.depth);
        }
        Ok(())
    }

    /// Appends an entry that concerns nobody; in which log it stands, and where.
    async fn mark(&self, bus: &Arc<dyn Bus>) -> anyhow::Result<(String, i64)> {
        let (log, marker) = (bus.identity().await?, marker());
        let after = cursor::get(self.databases().of("accounts"), cursor::READ_FROM).await?;
        let after = after.filter(|known| known.log == log).map_or(0, |known| known.position);
        bus.append(std::slice::from_ref(&marker)).await?;
        let mut entries = bus.read(&log, after).await?;
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
            match cursor::get(self.databases().of(service), cursor::READ_FROM).await? {
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
        data: json!({}),
    };
    let envelope = serde_json::to_string(&envelope).expect("an envelope is JSON");
    outbox::Model { id, ..delivery(&envelope, "testkit.marker") }
}
