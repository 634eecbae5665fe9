//! Recommendations: tasks that are suggested for a lead, and what became of them.
//!
//! A suggestion is a task with a kind. It is made by a language model when one is configured, else and whenever that
//! fails by built-in rules. A lead has at most one suggestion of a kind that nobody has decided on: who asks again is
//! shown that one, brought up to date. What was accepted is not suggested while it is to be done, and what was
//! dismissed never again.

mod context;
mod draft;
mod job;
mod kind;
mod plan;
mod provider;
mod rules;
mod save;
mod standing;
mod stats;

use crate::task::Model;
use async_graphql::{Context, ID, Object};
pub(crate) use job::Recommend;
use job::TaskRecommendationJob;
use plan::Plan;
use save::{Saved, save};
use stats::TaskRecommendationStats;
use subgraph::{ContextExt, Result, RowId};

/// Queries for recommendations.
#[derive(Default)]
pub struct RecommendationQuery;

#[Object]
impl RecommendationQuery {
    /// What became of the suggestions: one row per kind of recommendation, by kind.
    #[graphql(complexity = "5 * child_complexity")]
    async fn task_recommendation_stats(&self, ctx: &Context<'_>) -> Result<Vec<TaskRecommendationStats>> {
        Ok(stats::all(ctx.db()).await?)
    }

    /// One job, or null when there is none with this id. Jobs are kept for 30 days after they have ended.
    async fn task_recommendation_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The job's id.")] id: ID,
    ) -> Result<Option<TaskRecommendationJob>> {
        TaskRecommendationJob::find(ctx.service(), &id).await
    }
}

/// Mutations of recommendations.
#[derive(Default)]
pub struct RecommendationMutation;

#[Object]
impl RecommendationMutation {
    /// Suggests one to three tasks for a lead and saves them, the most urgent first; an empty list when nothing
    /// applies. What was suggested already, and nobody has decided on, is not suggested twice but brought up to date,
    /// unless a person has changed it, and stays when it does not apply any more. What was dismissed is not suggested
    /// again.
    #[graphql(complexity = "3 * child_complexity")]
    async fn generate_task_recommendations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lead's id.")] lead_id: RowId,
    ) -> Result<Vec<Model>> {
        let plan = Plan::of(ctx.service(), lead_id.0).await?;
        let mut change = ctx.change().await?;
        let Saved { tasks, any_changed } = save(&mut change, plan).await?;
        if any_changed { change.finish(tasks).await } else { Ok(tasks) }
    }

    /// The same in the background. While a job for the lead waits or runs, it is that one.
    async fn request_task_recommendations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lead's id.")] lead_id: RowId,
    ) -> Result<TaskRecommendationJob> {
        let lead = leadview::known(ctx.service(), lead_id.0).await?;
        let mut change = ctx.change().await?;
        lead.hold(&change).await?;
        let job = change.enqueue(&Recommend { lead_id: lead_id.0 }).await?;
        let job = change.finish(job).await?;
        TaskRecommendationJob::of(ctx.service(), job).await
    }
}
