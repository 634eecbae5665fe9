//! One attempt to apply an event, and what to do when it fails.

use super::Consumers;
use crate::{
    caller::{Actor, Caller},
    cause::unquoted,
    change::Change,
    db::in_background,
    error::{Error, Result},
    service::Service,
    telemetry::{KeyValue, Span, going_on},
};
use anyhow::anyhow;
use chrono::{DateTime, Utc};
use events::{Envelope, cursor, inbox, inbox::parked};
use sea_orm::DbErr;
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// Attempts before an event that cannot be applied is put aside.
const ATTEMPTS: u32 = 5;
/// The wait after the first attempt; each further one is four times as long, up to the second.
const WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));

/// A place in a log: which one, and where.
pub(super) type Place = (String, i64);

/// Why an attempt failed.
pub(crate) enum Fault {
    /// It may work in a moment: the database does not answer.
    Passing(String),
    /// It may never work.
    Lasting(String),
    /// It will not work with this program.
    Unreadable(anyhow::Error),
}

impl Fault {
    fn why(self) -> String {
        match self {
            Self::Passing(why) | Self::Lasting(why) => why,
            Self::Unreadable(error) => format!("{error:#}"),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(why) => Self::Passing(why),
            other => Self::Lasting(format!("{}: {}", other.code(), other.message())),
        }
    }
}

impl From<DbErr> for Fault {
    #[track_caller]
    fn from(error: DbErr) -> Self {
        Error::from(error).into()
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Passing(why) => Self::Unavailable(why),
            lasting => Self::internal(lasting.why()),
        }
    }
}

/// How often an event was tried.
#[derive(Default)]
pub(super) struct Attempts {
    lasting: u32,
    passing: u32,
}

/// What to do after a failed attempt.
pub(super) enum Next {
    Again(Duration),
    Park(parked::Model),
}

impl Attempts {
    pub fn failed(&mut self, service: &Service, envelope: &Envelope, fault: Fault) -> Next {
        let reason = match fault {
            Fault::Passing(why) => {
                self.passing += 1;
                service.signals.reading(Some(&why));
                return Next::Again(wait(self.passing));
            }
            Fault::Lasting(why) => {
                self.lasting += 1;
                tracing::warn!(subgraph = service.name, kind = envelope.kind, id = %envelope.id, why = unquoted(&why), "cannot apply an event");
                if self.lasting < ATTEMPTS {
                    return Next::Again(wait(self.lasting));
                }
                why
            }
            Fault::Unreadable(error) => {
                self.lasting += 1;
                format!("{error:#}")
            }
        };
        Next::Park(to_park(envelope, &reason, self.lasting, service.clock.now()))
    }
}

fn wait(failures: u32) -> Duration {
    WAIT.0.saturating_mul(4_u32.saturating_pow(failures - 1)).min(WAIT.1)
}

fn to_park(envelope: &Envelope, reason: &str, attempts: u32, now: DateTime<Utc>) -> parked::Model {
    parked::Model {
        event_id: envelope.id,
        kind: without_nul(&envelope.kind),
        subject: without_nul(&envelope.subject),
        envelope: serde_json::to_string(envelope).unwrap_or_default(),
        reason: without_nul(reason),
        attempts: i32::try_from(attempts).unwrap_or(i32::MAX),
        parked_at: now,
        replay_at: None,
    }
}

/// As Postgres takes it: whoever can write to the bus must not hold it up.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What to park of an entry that is no event.
pub(super) fn unreadable(text: &str, error: &serde_json::Error, now: DateTime<Utc>) -> parked::Model {
    let hash = Sha256::digest(text.as_bytes());
    // Delivered again it is the same one
    let event_id = Uuid::from_slice(&hash[..16]).unwrap_or_default();
    parked::Model {
        event_id,
        kind: String::new(),
        subject: String::new(),
        envelope: without_nul(text),
        reason: format!("is no CloudEvent: {error}"),
        attempts: 1,
        parked_at: now,
        replay_at: None,
    }
}

/// Applies an event that is at this place of the bus, and says what came of it.
pub(super) async fn apply(
    service: &Service,
    consumers: &Consumers,
    envelope: &Envelope,
    place: &Place,
) -> Result<&'static str, Fault> {
    let span = service.tracer.applying(envelope);
    let (service, consumers) = (service.clone(), consumers.clone());
    let (envelope, (log, position)) = (envelope.clone(), place.clone());
    let applied = in_task(async move {
        let mut change = begin(&service, &envelope).await?;
        if !inbox::claim(change.tx(), &envelope, change.at()).await? {
            return Ok("repeated");
        }
        consumers.handle(&mut change, &envelope).await?;
        cursor::advance(change.tx(), cursor::READ_FROM, &log, position).await?;
        change.finish_applied().await?;
        Ok("applied")
    });
    came_of(&span, span.run(applied).await)
}

/// Tells the trace what came of an attempt.
fn came_of(span: &Span, applied: Result<&'static str, Fault>) -> Result<&'static str, Fault> {
    let outcome = match &applied {
        Ok(outcome) => outcome,
        Err(Fault::Passing(_)) => "unavailable",
        Err(_) => "failed",
    };
    span.describe(|| vec![KeyValue::new("leadgraph.outcome", outcome)]);
    if applied.is_err() {
        span.fail();
    }
    applied
}

/// A change by whoever did what the event tells of.
async fn begin(service: &Service, envelope: &Envelope) -> Result<Change> {
    let producer = envelope.source.trim_start_matches('/').to_owned();
    let actor = Actor::parse(&envelope.actor).unwrap_or(Actor::Service(producer));
    Change::begin(service, &Caller { actor, ..Caller::anonymous(format!("event:{}", envelope.id)) }).await
}

/// Puts an event aside, and goes on behind it.
pub(super) async fn park(service: &Service, event: parked::Model, place: &Place) -> anyhow::Result<()> {
    let (service, (log, position)) = (service.clone(), place.clone());
    let parking = async move {
        let change = Change::begin(&service, &Caller::system()).await?;
        let row = (event.event_id, event.kind.clone());
        if inbox::claim_id(change.tx(), row.0, &row.1, change.at()).await? {
            parked::park(change.tx(), event).await?;
        }
        cursor::advance(change.tx(), cursor::READ_FROM, &log, position).await?;
        Ok(change.finish_applied().await?)
    };
    in_task(parking).await.map_err(|fault| anyhow!(fault.why()))
}

/// Tries a parked event once more. What fails again is parked with its new reason.
pub(super) async fn replay(
    service: &Service,
    consumers: &Consumers,
    event: parked::Model,
) -> anyhow::Result<()> {
    let (id, now) = (event.event_id, service.clock.now());
    let replayed = match serde_json::from_str::<Envelope>(&event.envelope) {
        Ok(envelope) => apply_parked(service, consumers, envelope).await,
        Err(error) => Err(Fault::Unreadable(error.into())),
    };
    let reason = match replayed {
        Ok(()) => {
            tracing::info!(target: "leadgraph", subgraph = service.name, %id, kind = event.kind, "a parked event was applied");
            return Ok(());
        }
        // It stays asked for
        Err(Fault::Passing(why)) => anyhow::bail!(why),
        Err(fault) => fault.why(),
    };
    tracing::error!(subgraph = service.name, %id, kind = event.kind, reason = unquoted(&reason), "a parked event still cannot be applied");
    parked::failed_again(service.db.write(), id, &reason, now).await?;
    Ok(())
}

async fn apply_parked(service: &Service, consumers: &Consumers, envelope: Envelope) -> Result<(), Fault> {
    let span = service.tracer.applying(&envelope);
    let (service, consumers) = (service.clone(), consumers.clone());
    let applied = in_task(async move {
        let mut change = begin(&service, &envelope).await?;
        // Of several replicas that were asked, one does it
        if parked::locked(change.tx(), envelope.id).await?.is_none() {
            return Ok("repeated");
        }
        consumers.handle(&mut change, &envelope).await?;
        parked::release(change.tx(), envelope.id).await?;
        change.finish_applied().await?;
        Ok("applied")
    });
    came_of(&span, span.run(applied).await).map(drop)
}

/// In a task of its own: nobody cancels a transaction halfway, and a panic is a failed attempt.
async fn in_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::spawn(going_on(in_background(work))).await {
        Ok(done) => done,
        Err(error) => {
            Err(Fault::Lasting(if error.is_panic() { "panicked".into() } else { "was stopped".into() }))
        }
    }
}
