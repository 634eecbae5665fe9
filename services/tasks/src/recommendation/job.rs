//! Recommendations in the background.

use super::{plan::Plan, save::save};
use crate::task::{self, Model};
use async_graphql::{ID, SimpleObject};
use chrono::{DateTime, Utc};
use sea_orm::{EntityTrait, QueryFilter, prelude::Uuid};
use serde::{Deserialize, Serialize};
use subgraph::{
    Error, Id, Result, Service,
    jobs::{self, Job, Progress, Run, Status},
    sql,
};

/// Suggests tasks for a lead and saves them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recommend {
    /// The lead.
    pub lead_id: i32,
}

impl Job for Recommend {
    const KIND: &'static str = "task_recommendations";

    fn key(&self) -> Option<String> {
        Some(self.lead_id.to_string())
    }

    async fn run(&self, run: &Run) -> Result<()> {
        // It was saved already, and only its end could not be noted
        if run.at_start().position.is_some() {
            return Ok(());
        }
        let plan = Plan::of(run.service(), self.lead_id).await?;
        let mut change = run.change().await?;
        let saved = save(&mut change, plan).await?;
        run.commit(change, progress(&saved.tasks)?).await
    }
}

/// All is done at once: what is kept of it is what it suggested.
fn progress(tasks: &[Model]) -> Result<Progress> {
    let ids: Vec<_> = tasks.iter().map(|task| task.id).collect();
    let position = serde_json::to_string(&ids).map_err(Error::internal)?;
    Ok(Progress { position: Some(position), done: 1, failed: 0, total: Some(1) })
}

/// Recommendations for one lead, made in the background.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct TaskRecommendationJob {
    /// The job's id.
    id: ID,
    /// The id of the lead.
    lead_id: i32,
    /// Where the job stands.
    status: Status,
    /// The tasks it suggested; none until it succeeded.
    tasks: Vec<Model>,
    /// Why it failed, in words.
    error: Option<String>,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When it succeeded or failed.
    finished_at: Option<DateTime<Utc>>,
}

impl TaskRecommendationJob {
    /// The job with this id, if there is one.
    pub async fn find(service: &Service, id: &str) -> Result<Option<Self>> {
        let Ok(id) = Uuid::try_parse(id) else { return Ok(None) };
        match jobs::find::<Recommend>(service.db.read(), id).await? {
            Some(job) => Self::of(service, job).await.map(Some),
            None => Ok(None),
        }
    }

    /// A job as people see it.
    pub async fn of(service: &Service, job: jobs::Model) -> Result<Self> {
        let asked: Recommend = serde_json::from_str(&job.payload).map_err(Error::internal)?;
        let saved = job.position.filter(|_| job.status == Status::Succeeded);
        Ok(Self {
            id: job.id.to_string().into(),
            lead_id: asked.lead_id,
            status: job.status,
            tasks: match saved {
                Some(ids) => tasks(service, &ids).await?,
                None => Vec::new(),
            },
            error: job.error,
            created_at: job.created_at,
            finished_at: job.finished_at,
        })
    }
}

/// The tasks that a job suggested, in its order; without those that were removed since.
async fn tasks(service: &Service, ids: &str) -> Result<Vec<Model>> {
    let ids: Vec<i32> = serde_json::from_str(ids).map_err(Error::internal)?;
    let found = task::Entity::find().filter(sql::any(service.db.backend(), task::Column::Id, &ids));
    let mut tasks = found.all(service.db.read()).await?;
    tasks.sort_by_key(|Model { id: Id(id), .. }| ids.iter().position(|other| other == id));
    Ok(tasks)
}
