//! What this service adds to a lead: its score and its summary. Leads owns the lead itself; here it is an id.

use crate::{history, lead_score::LeadScore, score, summary};
use async_graphql::{Context, ID, Object};
use sea_orm::{QuerySelect, prelude::DateTimeUtc};
use subgraph::{ContextExt, CursorConnection, Id, Offset, Result};

/// A lead, as far as this service knows it: by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lead {
    pub(crate) id: Id,
}

impl Lead {
    /// The score of this lead, read once for all leads and fields of an answer.
    async fn row(&self, ctx: &Context<'_>) -> Result<Option<score::Model>> {
        ctx.by_id::<score::Entity>(self.id.0).await
    }
}

/// A person who may become a customer.
#[Object]
impl Lead {
    /// The lead's id.
    async fn id(&self) -> Id {
        self.id
    }

    /// 0 to 100 as of scoreCalculatedAt; null until first calculated.
    async fn activity_score(&self, ctx: &Context<'_>) -> Option<Result<i32>> {
        self.row(ctx).await.map(|row| Some(row?.activity_score)).transpose()
    }

    /// What is known about the lead in a few sentences; null until first written.
    async fn summary(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        let row = ctx.by_id::<summary::Entity>(self.id.0).await;
        row.map(|row| Some(row?.summary)).transpose()
    }

    /// True when something happened since the summary was written; null when there is none.
    async fn summary_stale(&self, ctx: &Context<'_>) -> Option<Result<bool>> {
        summary::is_stale(ctx, self.id.0).await.transpose()
    }

    /// When the summary was written; null when there is none.
    async fn summary_written_at(&self, ctx: &Context<'_>) -> Option<Result<DateTimeUtc>> {
        let row = ctx.by_id::<summary::Entity>(self.id.0).await;
        row.map(|row| Some(row?.written_at)).transpose()
    }

    /// Who wrote the summary: the name of a language model, or "built-in rules"; null when there is none.
    async fn summary_written_by(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        let row = ctx.by_id::<summary::Entity>(self.id.0).await;
        row.map(|row| Some(row?.written_by)).transpose()
    }

    /// When activityScore was calculated; null until first calculated.
    async fn score_calculated_at(&self, ctx: &Context<'_>) -> Option<Result<DateTimeUtc>> {
        self.row(ctx).await.map(|row| Some(row?.score_calculated_at)).transpose()
    }

    /// The score now, and what it is made of; null until first calculated.
    async fn score(&self, ctx: &Context<'_>) -> Option<Result<LeadScore>> {
        let row = self.row(ctx).await;
        row.map(|row| Some(LeadScore::new(row?, ctx.service()))).transpose()
    }

    /// How the score changed, newest first.
    #[graphql(complexity = "Offset::cost(first.or(Some(20)), child_complexity)")]
    async fn score_history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 500.", default = 20)] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<CursorConnection<history::Model>>> {
        Some(history::page(ctx, self.id.0, first, after).await)
    }
}

#[derive(Debug, Default)]
pub(crate) struct LeadQuery;

#[Object]
impl LeadQuery {
    /// Leads by their score now, best first; closed (won or lost) leads only on request. Leads without a score are
    /// not among them.
    #[graphql(complexity = "Offset::cost(limit.or(Some(20)), child_complexity)")]
    async fn top_leads(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 500.", default = 20)] limit: Option<i32>,
        #[graphql(desc = "Also won and lost leads.", default_with = "Some(false)")] include_closed: Option<
            bool,
        >,
    ) -> Result<Vec<Option<Lead>>> {
        let page = Offset::try_new(limit.or(Some(20)), None)?;
        let top = score::Entity::top(include_closed.unwrap_or_default(), page.limit);
        let top = top.select_only().column(score::Column::LeadId).into_tuple::<i32>().all(ctx.db()).await?;
        Ok(top.into_iter().map(|id| Some(Lead { id: Id(id) })).collect())
    }

    #[graphql(entity)]
    async fn lead_by_id(&self, id: ID) -> Result<Option<Lead>> {
        Ok(Id::parse(&id).map(|id| Lead { id }))
    }
}
