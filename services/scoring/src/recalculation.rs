//! Recalculation: every lead's score anew from its interactions, one run at a time.
//!
//! A run is a job, so that it goes on after a restart and a second call joins it. It commits chunk by chunk; a lead
//! that cannot be calculated is logged and counted, and does not keep the others.

mod chunk;

use crate::model::ScoreModel;
use async_graphql::{Context, Object, SimpleObject};
use chunk::Chunk;
use events::contract::ScoresRecalculated;
use futures_util::stream::{Stream, unfold};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use subgraph::{
    Config, ContextExt, Error, LiveContext, Result, Service, Subgraph,
    jobs::{self, Job, Progress, Run, Status},
};
use tokio::time::{sleep, timeout};

/// Leads of one transaction, at most.
const CHUNK: i64 = 10_000;
/// Chunks between two lines in the log.
const LOG_EVERY: i64 = 10;
/// How long a call waits for the run: less than the limit of a request.
const PATIENCE: Duration = Duration::from_secs(55);
/// How often progress is looked at for those who follow it.
const LOOK: Duration = Duration::from_millis(250);
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

/// How far a recalculation is.
#[derive(Clone, Debug, PartialEq, SimpleObject)]
pub(crate) struct RecalculationProgress {
    /// Leads that were looked at.
    done: i32,
    /// Leads there are.
    total: i32,
    /// Whether the run is over.
    finished: bool,
}

/// Calculates every lead's score anew, with this model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalculation {
    /// The version of the model that asked for it.
    model: String,
}

impl Recalculation {
    fn with(model: &ScoreModel) -> Self {
        Self { model: model.version() }
    }
}

impl Job for Recalculation {
    const KIND: &'static str = "recalculation";

    fn key(&self) -> Option<String> {
        Some("all".into())
    }

    async fn run(&self, run: &Run) -> Result<()> {
        let same = self == &Self::with(run.service().state());
        let mut at = if same { Position::resumed(run).await? } else { Position::beginning(run).await? };
        let (mut limit, mut chunks) = (CHUNK, 0);
        while let Some(chunk) = Chunk::next(run.service().db.read(), at.after, limit).await? {
            match at.take(run, &chunk).await {
                Ok(()) => {
                    limit = CHUNK.min(limit * 2);
                    chunks += 1;
                    if chunks % LOG_EVERY == 0 {
                        at.log(run, "recalculating scores");
                    }
                }
                Err(Error::Unavailable(why)) => return Err(Error::Unavailable(why)),
                Err(error) if chunk.leads == 1 => at.skip(run, &chunk, &error).await?,
                // One of them is the cause: fewer at once find it
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
    /// Of a run that another model began, what it did is of no use.
    async fn beginning(run: &Run) -> Result<Self> {
        Ok(Self { after: 0, done: 0, failed: 0, total: total(run.service().db.read()).await?, ended: false })
    }

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
    async fn take(&mut self, run: &Run, chunk: &Chunk) -> Result<()> {
        let change = run.change().await?;
        chunk.calculate(&change, run.id()).await?;
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
        let [count, failed] = [self.done - self.failed, self.failed].map(int);
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
        tracing::info!(run = %run.id(), done, failed, total, "{what}");
    }
}

/// How many leads there are.
async fn total(db: &impl ConnectionTrait) -> Result<i64> {
    let all = leadview::Entity::find().filter(leadview::Column::RemovedAt.is_null());
    Ok(i64::try_from(all.count(db).await?).unwrap_or(i64::MAX))
}

fn int(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Starts a run by itself when the scores that are there were made by another model.
pub(crate) async fn when_the_model_changed(service: Service) -> Result<()> {
    use crate::score::Entity;
    let asked = Recalculation::with(service.state());
    let known = match jobs::latest::<Recalculation>(service.db.read()).await? {
        Some(job) => serde_json::from_str(&job.payload).is_ok_and(|last: Recalculation| last == asked),
        None => {
            Entity::find().one(service.db.read()).await?.is_none_or(|row| row.model_version == asked.model)
        }
    };
    if known {
        return Ok(());
    }
    tracing::info!(model = asked.model, "the score model is another one: calculating every score anew");
    let mut change = subgraph::Change::begin(&service, &subgraph::Caller::system()).await?;
    let job = change.enqueue(&asked).await?;
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
    let asked = Recalculation::with(&ScoreModel::configured(&config)?);
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
        let mut change = ctx.change().await?;
        let job = change.enqueue(&Recalculation::with(service.state())).await?;
        let job = change.finish(job).await?;
        match timeout(PATIENCE, jobs::wait::<Recalculation>(service, job.id)).await {
            Ok(job) => outcome(&job?),
            Err(_) => Err(Error::Unavailable(
                "The recalculation takes longer and goes on; call again to join it".into(),
            )),
        }
    }
}

fn outcome(job: &jobs::Model) -> Result<RecalculateScoresResult> {
    if job.status != Status::Succeeded {
        let why = job.error.as_deref().unwrap_or("it was given up");
        return Err(Error::Unavailable(format!("The recalculation failed: {why}")));
    }
    let duration = job.started_at.zip(job.finished_at).map(|(start, end)| (end - start).num_milliseconds());
    let [count, failed, duration_ms] =
        [job.done - job.failed, job.failed, duration.unwrap_or_default()].map(int);
    Ok(RecalculateScoresResult { count, failed, duration_ms })
}

#[derive(Debug, Default)]
pub(crate) struct RecalculationSubscription;

#[async_graphql::Subscription]
impl RecalculationSubscription {
    /// How far the recalculation under way is, until it is finished; when there is none, of the next one.
    async fn recalculation_progress(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<RecalculationProgress>>> {
        let last = jobs::latest::<Recalculation>(ctx.db()).await?;
        let over = last.filter(|job| job.status.is_final()).map(|job| job.id);
        let following = Following { service: ctx.service().clone(), over, shown: None };
        ctx.own_stream(|| unfold(Some(following), Following::next))
    }
}

/// Somebody who follows a run.
struct Following {
    service: Service,
    /// The last run, which was over before.
    over: Option<uuid::Uuid>,
    shown: Option<RecalculationProgress>,
}

impl Following {
    /// Waits until there is something to show; nothing follows on the end of the run.
    async fn next(following: Option<Self>) -> Option<(Result<RecalculationProgress>, Option<Self>)> {
        let following = following?;
        loop {
            let job = match jobs::latest::<Recalculation>(following.service.db.read()).await {
                Ok(job) => job.filter(|job| Some(job.id) != following.over),
                Err(error) => return Some((Err(error), None)),
            };
            let now = job.map(|job| RecalculationProgress {
                done: int(job.done),
                total: int(job.total.unwrap_or_default()),
                finished: job.status.is_final(),
            });
            match now {
                Some(now) if following.shown.as_ref() != Some(&now) => {
                    let goes_on = (!now.finished).then(|| Self { shown: Some(now.clone()), ..following });
                    return Some((Ok(now), goes_on));
                }
                _ => sleep(LOOK).await,
            }
        }
    }
}
