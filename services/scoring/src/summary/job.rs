//! Summaries of many leads, written in the background.

use super::{draft::Draft, patience::Patience, selection::Selection};
use async_graphql::{ID, SimpleObject};
use futures_util::future::join_all;
use sea_orm::prelude::{DateTimeUtc, Uuid};
use serde::{Deserialize, Serialize};
use subgraph::{
    Result, Service,
    jobs::{self, Job, Progress, Run, Status},
    to_int,
};

/// How many leads are written about at the same time.
const AT_ONCE: usize = 4;

/// Writes the summaries of the leads that are selected, by their ids.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Summarise(pub(super) Selection);

impl Job for Summarise {
    const KIND: &'static str = "summaries";

    fn key(&self) -> Option<String> {
        self.0.name().map(Into::into)
    }

    async fn run(&self, run: &Run) -> Result<()> {
        let mut progress = self.progress(run).await?;
        let patience = Patience::default();
        loop {
            let after = progress.position.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default();
            let leads = self.0.page(run.service(), after).await?;
            if leads.is_empty() {
                return Ok(());
            }
            for leads in leads.chunks(AT_ONCE) {
                let drafts = leads.iter().map(|lead| Draft::write(run.service(), *lead, Some(&patience)));
                // Stored in their order, so that the position says which are done
                for (lead, draft) in leads.iter().zip(join_all(drafts).await) {
                    progress = keep(run, *lead, draft, progress).await?;
                }
            }
        }
    }
}

impl Summarise {
    /// How far it is when this run begins. The first one says how much there is to do.
    async fn progress(&self, run: &Run) -> Result<Progress> {
        let start = run.at_start().clone();
        let progress =
            Progress { position: start.position, done: start.done, failed: start.failed, total: start.total };
        if progress.total.is_some() {
            return Ok(progress);
        }
        let progress = Progress { total: Some(self.0.count(run.service()).await?), ..progress };
        run.commit(run.change().await?, progress.clone()).await?;
        Ok(progress)
    }
}

/// Stores what was written about a lead; or that nothing could be, which stops nobody. What it answers is committed.
async fn keep(run: &Run, lead: i32, draft: Result<Draft>, before: Progress) -> Result<Progress> {
    let after = Progress { position: Some(lead.to_string()), done: before.done + 1, ..before };
    let Err(error) = store(run, draft, after.clone()).await else { return Ok(after) };
    // Fails too when the database is gone, or the job is somebody else's by now: then this lead has not failed
    let after = Progress { failed: after.failed + 1, ..after };
    run.commit(run.change().await?, after.clone()).await?;
    tracing::warn!(job = %run.id(), lead, reason = error.message(), "a lead's summary could not be written");
    Ok(after)
}

async fn store(run: &Run, draft: Result<Draft>, progress: Progress) -> Result<()> {
    let draft = draft?;
    let mut change = run.change().await?;
    draft.save(&mut change).await?;
    run.commit(change, progress).await
}

/// Writing the summaries of many leads.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct SummaryJob {
    /// The job's id.
    id: ID,
    /// How far it is.
    status: Status,
    /// Leads whose summary was written.
    done: i32,
    /// Leads whose summary could not be written; the log says why.
    failed: i32,
    /// Leads it has to write about, as far as it was known when it began; 0 until then.
    total: i32,
    /// Why the job as a whole failed, in words.
    error: Option<String>,
    /// When it was asked for.
    created_at: DateTimeUtc,
    /// When it was over; null until then.
    finished_at: Option<DateTimeUtc>,
}

impl SummaryJob {
    /// The job with this id, if there is one.
    pub async fn find(service: &Service, id: &str) -> Result<Option<Self>> {
        let Ok(id) = Uuid::try_parse(id) else { return Ok(None) };
        Ok(jobs::find::<Summarise>(service.db.read(), id).await?.map(Self::from))
    }
}

impl From<jobs::Model> for SummaryJob {
    fn from(job: jobs::Model) -> Self {
        Self {
            id: job.id.to_string().into(),
            status: job.status,
            done: to_int(job.done - job.failed),
            failed: to_int(job.failed),
            total: to_int(job.total.unwrap_or_default()),
            error: job.error,
            created_at: job.created_at,
            finished_at: job.finished_at,
        }
    }
}
