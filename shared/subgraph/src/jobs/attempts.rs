//! Doing a job that this process holds, as often as it takes.

use super::{
    queue::{self, ATTEMPTS},
    run::Run,
    runner::{Kind, PAUSE},
};
use crate::{
    db::in_background,
    error::{Error, Result},
    telemetry::{KeyValue, going_on},
};
use std::time::Duration;
use tokio::{
    task::JoinError,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How often the lease is renewed: several times before it ends.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// The wait before the second attempt; each further one is twice as long.
const BACKOFF: Duration = Duration::from_secs(1);
/// How often it tries to note what came of a job: about as long as the lease lasts.
const TRIES: u32 = 10;

/// What came of holding a job.
#[derive(Clone, Copy)]
enum Outcome {
    Succeeded,
    Failed,
    /// The process stops; somebody else goes on.
    GivenBack,
    /// Somebody else does it already.
    Lost,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::GivenBack => "given_back",
            Self::Lost => "lost",
        }
    }
}

/// How an attempt ended.
enum Attempt {
    Ended(Result<()>),
    Stopped,
    Lost,
}

/// Does a job until it has ended, the process stops, or somebody else has taken it over.
pub(super) async fn hold(run: Run, kind: Kind, stop: &CancellationToken) {
    let (service, id) = (run.service.clone(), run.id());
    if let Some(position) = &run.start.position {
        tracing::info!(target: "leadgraph", subgraph = service.name, kind = kind.name, %id, position, "going on with a job");
    }
    let began = Instant::now();
    let span = service.tracer.job(&run.start);
    let outcome = span.run(Box::pin(work(run, kind, stop))).await.label();
    span.describe(|| vec![KeyValue::new("leadgraph.outcome", outcome)]);
    if outcome == "failed" {
        span.fail();
    }
    let seconds = began.elapsed().as_secs_f64();
    tracing::info!(target: "leadgraph", subgraph = service.name, kind = kind.name, %id, outcome, seconds, "a job has ended here");
    service.metrics.jobs.ended.with_label_values(&[kind.name, outcome]).inc();
    service.jobs.all();
}

async fn work(mut run: Run, kind: Kind, stop: &CancellationToken) -> Outcome {
    let (mut why, mut wait) = (String::new(), Duration::ZERO);
    // More were begun only where the process did not live to see the end of one
    while run.start.attempts <= ATTEMPTS {
        why = match attempt(&run, kind, wait, stop).await {
            Attempt::Ended(Ok(())) => return end(&run, None).await,
            Attempt::Ended(Err(error)) if may_pass(&error) => error.message(),
            Attempt::Ended(Err(error)) => return end(&run, Some(error.message())).await,
            Attempt::Stopped => return give_back(&run).await,
            Attempt::Lost => return Outcome::Lost,
        };
        tracing::warn!(subgraph = run.service.name, kind = kind.name, id = %run.id(), why, "a job cannot go on right now");
        match insist(|| queue::attempt(run.service.db.write(), &run)).await.flatten() {
            Some(now) => run.start = now,
            None => return Outcome::Lost,
        }
        wait = wait_before(run.start.attempts);
    }
    let gave_up = format!("gave up after {ATTEMPTS} attempts");
    end(&run, Some(if why.is_empty() { gave_up } else { format!("{gave_up}: {why}") })).await
}

fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_) | Error::RateLimited { .. })
}

/// One attempt after a while, in a task of its own: it can be stopped at any moment, and a panic is a failure.
async fn attempt(run: &Run, kind: Kind, wait: Duration, stop: &CancellationToken) -> Attempt {
    let own = run.clone();
    let work = in_background(async move {
        sleep(wait).await;
        (kind.perform)(own).await
    });
    let work = tokio::spawn(going_on(work));
    let mut work = AbortOnDropHandle::new(work);
    let mut beats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopped = loop {
        tokio::select! {
            biased;
            ended = &mut work => return Attempt::Ended(ended.unwrap_or_else(|error| Err(crashed(error)))),
            () = stop.cancelled() => break Attempt::Stopped,
            _ = beats.tick() => if !is_still_held(run).await { break Attempt::Lost },
        }
    };
    work.abort();
    let _ = work.await;
    stopped
}

fn wait_before(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt - 2).ok();
    doublings.map_or(Duration::ZERO, |doublings| BACKOFF * 2_u32.saturating_pow(doublings))
}

fn crashed(error: JoinError) -> Error {
    let cause = error.try_into_panic().map_or("was cancelled".into(), |panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("panicked: {}", text.unwrap_or("without a message"))
    });
    Error::internal(format!("a job {cause}"))
}

/// Renews the lease. Whether it is lost is known only from an answer.
async fn is_still_held(run: &Run) -> bool {
    queue::renew(run.service.db.write(), run).await.unwrap_or_else(|error| {
        tracing::debug!(subgraph = run.service.name, id = %run.id(), error = error.message(), "cannot renew a lease");
        true
    })
}

async fn end(run: &Run, error: Option<String>) -> Outcome {
    let outcome = if let Some(error) = &error {
        tracing::warn!(subgraph = run.service.name, kind = run.start.kind, id = %run.id(), error, "a job has failed");
        Outcome::Failed
    } else {
        Outcome::Succeeded
    };
    let ended = insist(|| queue::end(run.service.db.write(), run, error.clone())).await;
    if ended == Some(true) { outcome } else { Outcome::Lost }
}

async fn give_back(run: &Run) -> Outcome {
    let given = insist(|| queue::give_back(run.service.db.write(), run)).await;
    if given == Some(true) { Outcome::GivenBack } else { Outcome::Lost }
}

/// What a statement answers, tried until others may have taken the job over.
async fn insist<T, F: Future<Output = Result<T>>>(statement: impl Fn() -> F) -> Option<T> {
    for _ in 0..TRIES {
        match statement().await {
            Ok(answer) => return Some(answer),
            Err(error) => {
                tracing::warn!(error = error.message(), "cannot note what came of a job; trying again");
                sleep(PAUSE).await;
            }
        }
    }
    None
}
