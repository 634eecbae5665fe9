//! The runners of a process: one for each kind of job, which does one after the other.

use super::{Job, POLL, attempts::hold, caretaker::take_care, queue, run::Run};
use crate::{
    cause::unquoted,
    clock::Random,
    db::in_background,
    error::{Error, Result},
    service::Service,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

/// The wait after a statement of its own failed.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How long giving everything back may take when the service stops.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// A kind of job that this process can do.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(super) name: &'static str,
    pub(super) perform: fn(Run) -> BoxFuture<'static, Result<()>>,
}

impl Kind {
    pub fn of<J: Job>() -> Self {
        Self { name: J::KIND, perform: |run| Box::pin(perform::<J>(run)) }
    }
}

async fn perform<J: Job>(run: Run) -> Result<()> {
    let job: J = serde_json::from_str(&run.start.payload).map_err(|error| {
        tracing::error!(subgraph = run.service.name, job = %run.id(), kind = J::KIND, error = unquoted(&error), "cannot read a job");
        Error::conflict("This version cannot read what was asked for")
    })?;
    job.run(&run).await
}

/// All runners of a process.
pub(crate) struct Workers {
    stop: CancellationToken,
    running: AbortOnDropHandle<()>,
}

impl Workers {
    /// Starts them. A service that knows no jobs has no table of them either.
    pub fn start(service: &Service, kinds: &[Kind]) -> Option<Self> {
        if kinds.is_empty() {
            return None;
        }
        let stop = CancellationToken::new();
        let runner = |kind: &Kind| serve(service.clone(), *kind, stop.clone()).boxed();
        let care = stop.clone().run_until_cancelled_owned(take_care(service.clone())).map(drop).boxed();
        let running = join_all(kinds.iter().map(runner).chain([care])).map(drop);
        let running = tokio::spawn(in_background(running));
        Some(Self { stop, running: AbortOnDropHandle::new(running) })
    }

    /// Ends them. What they were at is given back, so that others can go on at once.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if timeout(GIVING_BACK, &mut self.running).await.is_err() {
            tracing::warn!("jobs could not be given back: others go on when their leases have ended");
        }
    }
}

/// Does the jobs of one kind.
async fn serve(service: Service, kind: Kind, stop: CancellationToken) {
    let mut woken = service.jobs.subscribe();
    while !stop.is_cancelled() {
        woken.borrow_and_update();
        match take(&service, kind, None).await {
            Ok(Some(run)) => hold(run, kind, &stop).await,
            Ok(None) => {
                // In any case it looks again
                let _ = stop.run_until_cancelled(timeout(POLL, woken.changed())).await;
            }
            Err(error) => {
                tracing::debug!(
                    subgraph = service.name,
                    kind = kind.name,
                    error = error.message(),
                    "cannot look for jobs"
                );
                stop.run_until_cancelled(sleep(PAUSE)).await;
            }
        }
    }
}

/// Takes a job of this kind that nobody holds.
pub(super) async fn take(service: &Service, kind: Kind, id: Option<Uuid>) -> Result<Option<Run>> {
    let now = service.clock.now();
    // Not the service's own: two services of a test may have the same seed
    let worker = Random::System.uuid(now);
    let job = queue::claim(service.db.write(), kind.name, id, worker, now).await?;
    Ok(job.map(|start| Run { service: service.clone(), start, worker }))
}
