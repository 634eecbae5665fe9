//! Recalculation: every lead's score anew from its interactions, one run at a time.
//!
//! A run is a job, so that it goes on after a restart and a second call joins it. It commits chunk by chunk; a lead
//! that cannot be calculated is logged and counted, and does not keep the others.

mod chunk;
mod progress;

use crate::{model::ScoreModel, score::Entity};
use async_graphql::{Context, Object, SimpleObject};
use chrono::TimeDelta;
use chunk::Chunk;
use events::contract::{InteractionUpdated, ScoresRecalculated};
pub(crate) use progress::RecalculationSubscription;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use subgraph::{
    Caller, Change, Config, ContextExt, Error, Result, Service, Subgraph,
    jobs::{self, Job, Progress, Run, Status},
    to_int,
};
use tokio::time::timeout;

/// Leads of one transaction, at most.
const CHUNK: i64 = 10_000;
/// Leads that no database takes long for.
const FEW: i64 = 100;
/// Chunks between two lines in the log.
const LOG_EVERY: i64 = 10;
/// How long a call waits for the run: less than the limit of a request.
const PATIENCE: Duration = Duration::from_secs(55);
/// How long after its end a run that nobody could wait for answers those who call again.
const AGAIN: TimeDelta = TimeDelta::seconds(30);
/// The position of a run that is over.
const END: &str = "end";

/// What a recalculation did.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct RecalculateScoresResult {
    /// Leads whose score was saved.
    count: i32,
    /// Leads whose score could not be calculated or saved; the log says why.
    failed: i32,
    /// How long it took, in milliseconds.
    duration_ms: i32,
}

/// Calculates every lead's score anew, with this model: whoever does it, also a process that was configured otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recalculation {
    model: ScoreModel,
}

impl Job for Recalculation {
    const KIND: &'static str = "recalculation";

    fn key(&self) -> Option<String> {
        Some("all".into())
    }

    async fn run(&self, run: &Run) -> Result<()> {
        let mut at = Position::resumed(run).await?;
        let (mut limit, mut chunks) = (CHUNK, 0);
        while let Some(chunk) = Chunk::next(run.service().db.read(), at.after, limit).await? {
            match at.take(run, &chunk, &self.model).await {
                Ok(()) => {
                    limit = CHUNK.min(limit * 2);
                    chunks += 1;
                    if chunks % LOG_EVERY == 0 {
                        at.log(run, "recalculating scores");
                    }
                }
                // So few take no time that the database does not give
                Err(Error::Unavailable(why)) if chunk.leads <= FEW => return Err(Error::Unavailable(why)),
                Err(error) if chunk.leads == 1 => at.skip(run, &chunk, &error).await?,
                // One of them is the cause, or they are too much work at once: fewer find it
                Err(_) => limit = (chunk.leads / 2).max(1),
            }
        }
        at.finish(run).await
    }
}

/// How far a run is.
struct Position {
    after: i32,
    done: i64,
    failed: i64,
    total: i64,
    ended: bool,
}

impl Position {
    /// Where the run that is taken over was, or the beginning.
    async fn resumed(run: &Run) -> Result<Self> {
        let job = run.at_start();
        let position = job.position.as_deref();
        let total = match job.total {
            Some(total) => total,
            None => total(run.service().db.read()).await?,
        };
        let ended = position == Some(END);
        let after =
            if ended { i32::MAX } else { position.and_then(|at| at.parse().ok()).unwrap_or_default() };
        Ok(Self { after, done: job.done, failed: job.failed, total, ended })
    }

    fn progress(&self) -> Progress {
        let position = if self.ended { END.into() } else { self.after.to_string() };
        let total = Some(if self.ended { self.done } else { self.total.max(self.done) });
        Progress { position: Some(position), done: self.done, failed: self.failed, total }
    }

    /// Calculates a chunk; nothing has moved when that fails.
    async fn take(&mut self, run: &Run, chunk: &Chunk, model: &ScoreModel) -> Result<()> {
        let change = run.change().await?;
        chunk.calculate(&change, run.id(), model).await?;
        let moved = Self { after: chunk.last, done: self.done + chunk.leads, ..*self };
        run.commit(change, moved.progress()).await?;
        *self = moved;
        Ok(())
    }

    /// Leaves a lead out that cannot be calculated.
    async fn skip(&mut self, run: &Run, chunk: &Chunk, error: &Error) -> Result<()> {
        let Chunk { last: lead, .. } = *chunk;
        tracing::error!(run = %run.id(), lead, error = error.message(), "cannot calculate the score of a lead");
        *self = Self { after: lead, done: self.done + 1, failed: self.failed + 1, ..*self };
        run.commit(run.change().await?, self.progress()).await
    }

    /// Tells others that it is over, once.
    async fn finish(mut self, run: &Run) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        let mut change = run.change().await?;
        let [count, failed] = [self.done - self.failed, self.failed].map(to_int);
        let details = json!({ "count": count, "failed": failed });
        change.record_event(
            "score.recalculated",
            run.id(),
            &details,
            &ScoresRecalculated { count, failed },
        )?;
        run.commit(change, self.progress()).await?;
        self.log(run, "recalculated scores");
        Ok(())
    }

    fn log(&self, run: &Run, what: &str) {
        let Self { done, failed, total, .. } = *self;
        tracing::info!(target: "leadgraph", run = %run.id(), done, failed, total, "{what}");
    }
}

/// How many leads there are.
async fn total(db: &impl ConnectionTrait) -> Result<i64> {
    let all = leadview::Entity::find().filter(leadview::Column::RemovedAt.is_null());
    Ok(i64::try_from(all.count(db).await?).unwrap_or(i64::MAX))
}

/// Starts a run by itself when there are scores that another model made. One whose view of interactions is still to
/// be filled comes when that is done.
pub(crate) async fn when_the_model_changed(service: Service) -> Result<()> {
    if service.waits_for::<InteractionUpdated>().await? {
        return Ok(());
    }
    if Entity::has_others(service.db.read(), service.state()).await? {
        tracing::info!(target: "leadgraph", "there are scores of another model: calculating every score anew");
        request(&service).await?;
    }
    Ok(())
}

/// Asks for a run, by nobody in particular.
pub(crate) async fn request(service: &Service) -> Result<()> {
    let mut change = Change::begin(service, &Caller::system()).await?;
    let job = change.enqueue(&Recalculation { model: service.state::<ScoreModel>().clone() }).await?;
    change.finish(job).await.map(drop)
}

/// Runs a recalculation from the command line, or joins the one under way, and says how many leads were saved and how
/// many failed. `show` is told of done, total.
///
/// # Errors
/// In words for whoever asked: there is no database, it does not answer, or the run was given up.
pub async fn recalculate(
    subgraph: &Subgraph,
    config: Config,
    show: &(dyn Fn(i64, i64) + Send + Sync),
) -> anyhow::Result<(i64, i64)> {
    let asked = Recalculation { model: ScoreModel::configured(&config)? };
    let show = |job: &jobs::Model| show(job.done, job.total.unwrap_or_default());
    let job = subgraph.work_off(config, &asked, &show).await?;
    anyhow::ensure!(
        job.status == Status::Succeeded,
        job.error.unwrap_or_else(|| "the run was given up".into())
    );
    Ok((job.done - job.failed, job.failed))
}

#[derive(Debug, Default)]
pub(crate) struct RecalculationMutation;

#[Object]
impl RecalculationMutation {
    /// Calculates every lead's score anew. One run at a time: a second call joins it. UNAVAILABLE
    /// when it takes longer than a request may; the run goes on, and calling again joins it.
    async fn recalculate_all_scores(&self, ctx: &Context<'_>) -> Result<RecalculateScoresResult> {
        let service = ctx.service();
        if let Some(job) = just_ended(service).await? {
            return outcome(&job);
        }
        let mut change = ctx.change().await?;
        let job = change.enqueue(&Recalculation { model: service.state::<ScoreModel>().clone() }).await?;
        let job = change.finish(job).await?;
        match timeout(PATIENCE, jobs::wait::<Recalculation>(service, job.id)).await {
            Ok(job) => outcome(&job?),
            Err(_) => Err(Error::Unavailable(
                "The recalculation takes longer and goes on; call again to join it".into(),
            )),
        }
    }
}

/// A run that took longer than anybody waits and has ended since: whoever was told to call again wants that one.
async fn just_ended(service: &Service) -> Result<Option<jobs::Model>> {
    let last = jobs::latest::<Recalculation>(service.db.read()).await?;
    Ok(last.filter(|job| {
        let (asked, ended) = (job.created_at, job.finished_at);
        job.status == Status::Succeeded
            && ended.is_some_and(|at| {
                (at - asked).to_std().is_ok_and(|took| took > PATIENCE) && service.clock.now() - at < AGAIN
            })
    }))
}

fn outcome(job: &jobs::Model) -> Result<RecalculateScoresResult> {
    if job.status != Status::Succeeded {
        let why = job.error.as_deref().unwrap_or("it was given up");
        return Err(Error::Unavailable(format!("The recalculation failed: {why}")));
    }
    let duration = job.started_at.zip(job.finished_at).map(|(start, end)| (end - start).num_milliseconds());
    let [count, failed, duration_ms] =
        [job.done - job.failed, job.failed, duration.unwrap_or_default()].map(to_int);
    Ok(RecalculateScoresResult { count, failed, duration_ms })
}
