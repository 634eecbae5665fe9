//! Filling a service's views again from what their owners have now, for events that came too late or were lost.
//!
//! It works beside the running service, which goes on applying events: rows carry versions, so that none goes
//! backwards, whoever is first. What the owner does not have any more is forgotten only after a complete snapshot,
//! and after asking the owner once more, since it may be younger than its place in the snapshot.

mod fill;
mod owner;

pub(crate) use fill::fill_new_views;

use crate::{
    builder::Subgraph,
    caller::{Actor, Caller},
    change::Change,
    clock::{Clock, Random},
    config::Config,
    consume::Consumers,
    error::{Error, Result},
    service::Service,
};
use anyhow::{Context, anyhow, ensure};
use events::{Envelope, Event, inbox};
use futures_util::future::BoxFuture;
use owner::Rows;
use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;
use uuid::Uuid;

/// Rows taken in by one transaction, and ids asked about at once.
const BATCH: usize = 500;
/// Attempts before a database that does not answer ends the work, and the wait between them.
const ATTEMPTS: (u32, Duration) = (5, Duration::from_millis(500));

/// What a service keeps of the things of another one, whose events `E` tell what they are like.
pub trait View<E: Event>: 'static {
    /// Takes in a row as its owner has it, unless something newer is known. Says whether that changed anything.
    fn refill(change: &mut Change, row: &E) -> impl Future<Output = Result<bool>> + Send;

    /// Forgets what the owner does not have any more, and says how much that was; nothing where rows go by
    /// themselves.
    fn forget(_missing: &Missing<'_>) -> impl Future<Output = anyhow::Result<u64>> + Send {
        std::future::ready(Ok(0))
    }

    /// Does what follows from many rows at once, after all were taken in and something changed. May run again.
    fn refilled(_service: Service) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Tells two names apart; that it takes two of a million rows for one is as likely as one in ten million.
fn fingerprint(subject: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.hash(&mut hasher);
    hasher.finish()
}

/// What came of one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The service that owns what the view shows.
    pub owner: &'static str,
    /// The type of event that tells of it.
    pub kind: &'static str,
    /// How many rows the owner has.
    pub rows: u64,
    /// How many of them were missing or out of date.
    pub changed: u64,
    /// How many the owner does not have any more.
    pub forgotten: u64,
}

/// Told after every transaction: what was done for the view at work.
pub type Progress<'a> = &'a (dyn Fn(&Rebuilt) + Send + Sync);

/// A registered view.
#[derive(Clone)]
pub(crate) struct AnyView {
    pub owner: &'static str,
    pub kind: &'static str,
    run: for<'a> fn(&'a Rebuilding<'a>) -> BoxFuture<'a, anyhow::Result<Rebuilt>>,
}

impl AnyView {
    pub fn of<E: Event, V: View<E>>() -> Self {
        Self { owner: E::PRODUCER, kind: E::TYPE, run: |rebuilding| Box::pin(rebuilding.view::<E, V>()) }
    }
}

impl Subgraph {
    /// Fills this service's views again from what their owners have, beside the running service or without it.
    /// `force` forgets even most of what is known.
    ///
    /// # Errors
    /// In words for whoever asked: there is no database, an owner does not answer, or a snapshot broke off. What was
    /// done until then stays, and doing it again does the rest.
    pub async fn rebuild(
        &self,
        config: Config,
        force: bool,
        progress: Progress<'_>,
    ) -> anyhow::Result<Vec<Rebuilt>> {
        let known = self.migrations.open(self.name, &config).await?;
        known.with_context(|| format!("{} has no database yet: start it first", self.name))?.close().await;
        let service = self.service(config, Clock::System, Random::System).await?;
        let rebuilding = Rebuilding::of(&service, &self.consumers, force, progress);
        let mut rebuilt = Vec::new();
        for view in self.others() {
            rebuilt.push((view.run)(&rebuilding).await?);
        }
        service.db.close().await;
        service.tracer.shut_down().await;
        Ok(rebuilt)
    }

    /// The owners of what this service keeps views of, and the type of event that tells of it.
    pub fn views(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.others().map(|view| (view.owner, view.kind))
    }

    /// Whether this service has a snapshot of what that type of event tells of.
    pub fn has_snapshot(&self, kind: &str) -> bool {
        self.snapshots.of(kind).is_some()
    }

    /// Nobody keeps a view of what is their own.
    fn others(&self) -> impl Iterator<Item = &AnyView> {
        self.views.iter().filter(|view| view.owner != self.name)
    }
}

/// One run over all views of a service.
pub(crate) struct Rebuilding<'a> {
    service: &'a Service,
    consumers: &'a Consumers,
    force: bool,
    /// Whether what the owner does not have is forgotten; a view that is new has nothing of that kind.
    forgets: bool,
    progress: Progress<'a>,
}

impl<'a> Rebuilding<'a> {
    fn of(service: &'a Service, consumers: &'a Consumers, force: bool, progress: Progress<'a>) -> Self {
        Self { service, consumers, force, forgets: true, progress }
    }

    async fn view<E: Event, V: View<E>>(&self) -> anyhow::Result<Rebuilt> {
        let mut rows = Rows::<E>::open(self.service).await?;
        let mut present = HashSet::new();
        let mut rebuilt = Rebuilt { owner: E::PRODUCER, kind: E::TYPE, rows: 0, changed: 0, forgotten: 0 };
        loop {
            let batch = rows.next(BATCH).await?;
            if batch.is_empty() {
                break;
            }
            rebuilt.rows += batch.len() as u64;
            present.extend(batch.iter().filter(|_| self.forgets).map(|row| fingerprint(&row.subject())));
            rebuilt.changed += take_in::<E, V>(self.service, batch).await?;
            (self.progress)(&rebuilt);
        }
        if self.forgets {
            let missing = Missing { rebuilding: self, owner: E::PRODUCER, present };
            rebuilt.forgotten = V::forget(&missing).await?;
        }
        if rebuilt.changed + rebuilt.forgotten > 0 {
            persist(|| V::refilled(self.service.clone())).await?;
        }
        (self.progress)(&rebuilt);
        Ok(rebuilt)
    }
}

/// Takes in some rows in one transaction, as often as it takes when the database is away for a moment.
async fn take_in<E: Event, V: View<E>>(service: &Service, batch: Vec<E>) -> anyhow::Result<u64> {
    let batch = Arc::new(batch);
    let attempt = || {
        let (service, batch) = (service.clone(), batch.clone());
        async move {
            let (mut change, mut changed) = (begin(&service).await?, 0);
            for row in &*batch {
                changed += u64::from(V::refill(&mut change, row).await?);
            }
            change.finish_applied().await?;
            Ok(changed)
        }
    };
    persist(attempt).await
}

/// Runs a transaction in a task of its own, where nobody cancels it halfway, and again when the database could not
/// answer.
async fn persist<T, F>(transaction: impl Fn() -> F) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut failures = 0;
    loop {
        match tokio::spawn(transaction()).await? {
            Ok(done) => return Ok(done),
            Err(Error::Unavailable(_)) if failures < ATTEMPTS.0 => failures += 1,
            Err(error) => return Err(anyhow!(error.message())),
        }
        sleep(ATTEMPTS.1).await;
    }
}

async fn begin(service: &Service) -> Result<Change> {
    let caller = Caller { actor: Actor::System, ..Caller::anonymous("rebuild".into()) };
    Change::begin(service, &caller).await
}

/// What a view may have that its owner's snapshot had not.
pub struct Missing<'a> {
    rebuilding: &'a Rebuilding<'a>,
    owner: &'static str,
    /// Fingerprints: of five million rows the names would be half a gigabyte.
    present: HashSet<u64>,
}

impl Missing<'_> {
    /// The service that keeps the view.
    pub fn service(&self) -> &Service {
        self.rebuilding.service
    }

    /// Whether the owner's snapshot had this subject, such as `lead/42`.
    pub fn is_present(&self, subject: &str) -> bool {
        self.present.contains(&fingerprint(subject))
    }

    /// Those of the ids that the owner, asked once more, still does not have.
    ///
    /// # Errors
    /// When the owner does not answer; and when it lacks more than it has, unless that was insisted on: it is
    /// probably another database than the one that this service knew.
    pub async fn confirm(&self, typename: &str, ids: &[i32]) -> anyhow::Result<Vec<i32>> {
        let mut gone = Vec::new();
        for chunk in ids.chunks(BATCH) {
            let found = self.service().entities(self.owner, typename, chunk, "{ __typename }").await;
            let found = found.map_err(|error| anyhow!(error.message()))?;
            gone.extend(chunk.iter().zip(found).filter(|(_, found)| found.is_null()).map(|(id, _)| *id));
        }
        let (owner, has, lacks) = (self.owner, self.present.len(), gone.len());
        ensure!(
            self.rebuilding.force || lacks <= has,
            "{owner} has {has} and lacks {lacks} of what {} knows, which would be removed with everything that \
             belongs to it; nothing was removed. Is {owner} on the right database? --force removes it all the same",
            self.service().name,
        );
        Ok(gone)
    }

    /// Makes the service do what it does about an event, although nobody published this one. Doing it again
    /// does nothing.
    ///
    /// # Errors
    /// When one of its consumers fails.
    pub async fn tell<E: Event>(&self, event: &E) -> anyhow::Result<()> {
        let service = self.service();
        let (at, actor) = (service.clock.now(), Actor::System.to_string());
        let envelope = Arc::new(Envelope::new(event, made_up_id(event)?, at, actor, None)?);
        let transaction = || {
            let (service, envelope) = (service.clone(), envelope.clone());
            let consumers = self.rebuilding.consumers.clone();
            async move {
                let mut change = begin(&service).await?;
                if inbox::claim(change.tx(), &envelope, change.at()).await? {
                    consumers.handle(&mut change, &envelope).await?;
                }
                change.finish_applied().await
            }
        };
        persist(transaction).await
    }
}

/// The same for the same event, so that its effect happens once.
fn made_up_id<E: Event>(event: &E) -> anyhow::Result<Uuid> {
    let hash = Sha256::digest(format!("rebuild {} {}", E::TYPE, serde_json::to_string(event)?));
    Ok(Uuid::from_slice(&hash[..16])?)
}
