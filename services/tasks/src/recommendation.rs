//! Recommendations: tasks that are suggested for a lead, and what became of them.
//!
//! A suggestion is a task with a kind; this aggregate is how they come to be. Nothing makes any yet:
//! every operation here says so.

use crate::task::Model;
use async_graphql::{Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use subgraph::{Error, Result, RowId};

/// What became of the suggestions of one kind.
#[derive(Clone, Debug, SimpleObject)]
struct TaskRecommendationStats {
    /// The kind of recommendation.
    kind: String,
    /// How many were suggested.
    suggested: i32,
    /// How many of them were accepted.
    accepted: i32,
    /// How many of them were dismissed.
    dismissed: i32,
    /// How many of them were completed.
    completed: i32,
    /// The share of accepted ones among those somebody decided on, 0 to 1; null when there is none.
    acceptance_rate: Option<f64>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
enum JobStatus {
    /// It waits for its turn.
    Queued,
    /// It is being done.
    Running,
    /// It is done.
    Succeeded,
    /// It could not be done.
    Failed,
}

/// Recommendations for one lead, made in the background.
#[derive(Clone, Debug, SimpleObject)]
struct TaskRecommendationJob {
    /// The job's id.
    id: ID,
    /// The id of the lead.
    lead_id: i32,
    /// Where the job stands.
    status: JobStatus,
    /// The tasks it suggested; none until it succeeded.
    tasks: Vec<Model>,
    /// Why it failed, in words.
    error: Option<String>,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When it succeeded or failed.
    finished_at: Option<DateTime<Utc>>,
}

fn not_built_yet() -> Error {
    Error::not_built_yet("Task recommendations")
}

/// Queries for recommendations.
#[derive(Default)]
pub struct RecommendationQuery;

#[Object]
impl RecommendationQuery {
    /// What became of the suggestions: one row per kind of recommendation.
    async fn task_recommendation_stats(&self) -> Result<Vec<TaskRecommendationStats>> {
        Err(not_built_yet())
    }

    /// One job, or null when there is none with this id.
    async fn task_recommendation_job(
        &self,
        #[graphql(desc = "The job's id.")] id: ID,
    ) -> Result<Option<TaskRecommendationJob>> {
        drop(id);
        Err(not_built_yet())
    }
}

/// Mutations of recommendations.
#[derive(Default)]
pub struct RecommendationMutation;

#[Object]
impl RecommendationMutation {
    /// Suggests one to three tasks for a lead and saves them; an empty list when nothing applies.
    async fn generate_task_recommendations(
        &self,
        #[graphql(desc = "The lead's id.")] lead_id: RowId,
    ) -> Result<Vec<Model>> {
        let _ = lead_id;
        Err(not_built_yet())
    }

    /// The same in the background.
    async fn request_task_recommendations(
        &self,
        #[graphql(desc = "The lead's id.")] lead_id: RowId,
    ) -> Result<TaskRecommendationJob> {
        let _ = lead_id;
        Err(not_built_yet())
    }
}
