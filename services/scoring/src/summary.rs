//! Summaries: what is known about a lead, in a few sentences.
//!
//! They are written by a language model when one is configured, else and whenever that fails by built-in rules, and
//! always when somebody asks for it; but the rules leave alone what a model wrote as long as nothing has happened since.
//! A summary knows how often the lead's interactions had changed when it was written: when they have changed more often
//! since, it is stale.

mod draft;
mod facts;
mod job;
mod patience;
mod provider;
mod rules;
mod selection;

use crate::{lead::Lead, score};
use async_graphql::{Context, ID, Object};
use draft::Draft;
pub(crate) use job::Summarise;
use job::SummaryJob;
use sea_orm::entity::prelude::*;
use selection::{Selection, SummaryFilter};
use subgraph::{ContextExt, Id, Result, RowId};

/// What was written about one lead.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lead_summary")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub lead_id: i32,
    pub summary: String,
    /// How often the lead's interactions had changed when it was written.
    pub touched: i32,
    /// Who wrote it: a model's name, or the built-in rules.
    pub written_by: String,
    pub written_at: DateTimeUtc,
}

/// No relations: the lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Whether something happened with the lead since its summary was written; nothing when there is none.
pub(crate) async fn is_stale(ctx: &Context<'_>, lead: i32) -> Result<Option<bool>> {
    let Some(summary) = ctx.by_id::<Entity>(lead).await? else { return Ok(None) };
    let score = ctx.by_id::<score::Entity>(lead).await?;
    Ok(Some(score.is_some_and(|score| score.touched > summary.touched)))
}

#[derive(Debug, Default)]
pub(crate) struct SummaryQuery;

#[Object]
impl SummaryQuery {
    /// One job, to see how far it is; null when there is none with this id. Jobs are kept for 30 days after they have
    /// ended.
    async fn summary_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The job's id.")] id: ID,
    ) -> Result<Option<SummaryJob>> {
        SummaryJob::find(ctx.service(), &id).await
    }
}

#[derive(Debug, Default)]
pub(crate) struct SummaryMutation;

#[Object]
impl SummaryMutation {
    /// Writes a lead's summary anew, and calculates its score as of now. When the language model fails, its last summary
    /// stays unless something happened since; then, and when there is none, built-in rules write.
    async fn generate_summary(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lead's id.")] lead_id: RowId,
    ) -> Result<Lead> {
        let draft = Draft::write(ctx.service(), lead_id.0, None).await?;
        let mut change = ctx.change().await?;
        draft.save(&mut change).await?;
        change.finish(()).await?;
        Ok(Lead { id: Id(lead_id.0) })
    }

    /// Writes the summaries of many leads in the background. While a job that goes through all leads, or through all
    /// whose summary is stale, waits or runs, asking for the same gives that one.
    async fn regenerate_summaries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which leads; without it all whose summary is stale.")] filter: Option<
            SummaryFilter,
        >,
    ) -> Result<SummaryJob> {
        let selection = filter.map_or(Ok(Selection::Stale), SummaryFilter::selection)?;
        let mut change = ctx.change().await?;
        let job = change.enqueue(&Summarise(selection)).await?;
        change.finish(job).await.map(SummaryJob::from)
    }
}
