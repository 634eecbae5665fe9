//! Jobs from the command line: done here, unless a running service does them already.

use super::{
    Job,
    attempts::hold,
    row::Model,
    runner::{Kind, take},
};
use crate::{
    builder::Subgraph,
    caller::Caller,
    change::Change,
    clock::{Clock, Random},
    config::Config,
    db::in_background,
    error::{Error, Result},
    service::Service,
};
use anyhow::{Context, anyhow};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often it shows how far a job is, and looks whether it has to be done here.
const LOOK: Duration = Duration::from_millis(250);

/// Shows how far a job is.
pub type Show<'a> = &'a (dyn Fn(&Model) + Send + Sync);

/// Waits until a job has succeeded or failed, and does it here unless somebody else does. Shows how far it is, either
/// way; dropped, it leaves the job to others.
///
/// # Errors
/// `NOT_FOUND` when there is no such job.
pub async fn work_off<J: Job>(service: &Service, id: Uuid, show: Show<'_>) -> Result<Model> {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut working = std::pin::pin!(in_background(keep_working::<J>(service, id)));
    loop {
        tokio::select! {
            ended = &mut working => {
                let job = ended?;
                show(&job);
                return Ok(job);
            }
            // What cannot be shown now is shown later
            _ = looks.tick() => if let Ok(Some(job)) = super::find::<J>(service.db.read(), id).await {
                show(&job);
            }
        }
    }
}

async fn keep_working<J: Job>(service: &Service, id: Uuid) -> Result<Model> {
    let mut woken = service.jobs.subscribe();
    loop {
        woken.borrow_and_update();
        let job = super::find::<J>(service.db.read(), id).await?;
        let job = job.ok_or_else(|| Error::not_found("Job", id))?;
        if job.status.is_final() {
            return Ok(job);
        }
        match take(service, Kind::of::<J>(), Some(id)).await? {
            Some(run) => hold(run, Kind::of::<J>(), &CancellationToken::new()).await,
            // In any case it looks again
            None => drop(timeout(LOOK, woken.changed()).await),
        }
    }
}

impl Subgraph {
    /// Asks for a job, or joins the one that has its key, and works it off in this process or waits for the running
    /// service that does it.
    ///
    /// # Errors
    /// In words for whoever asked: there is no database, or it does not answer. A job that has failed is no error.
    pub async fn work_off<J: Job>(&self, config: Config, job: &J, show: Show<'_>) -> anyhow::Result<Model> {
        let known = self.migrations.open(self.name, &config).await?;
        known.with_context(|| format!("{} has no database yet: start it first", self.name))?.close().await;
        let service = self.service(config, Clock::System, Random::System).await?;
        let worked = ask_and_work_off(&service, job, show).await;
        service.db.close().await;
        service.tracer.shut_down().await;
        worked.map_err(|error| anyhow!(error.message()))
    }
}

async fn ask_and_work_off<J: Job>(service: &Service, job: &J, show: Show<'_>) -> Result<Model> {
    let caller = Caller { request_id: "command line".into(), ..Caller::system() };
    let mut change = Change::begin(service, &caller).await?;
    let asked = change.enqueue(job).await?;
    let asked = change.finish(asked).await?;
    work_off::<J>(service, asked.id, show).await
}
