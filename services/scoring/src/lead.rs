//! What this service knows about a lead: one row for each lead that has something.
//!
//! - A lead without a row is one nothing is known about: every field is null, and nothing is wrong.
//! - A score is 0 to 100 and has the time it was calculated at; without a score there is no time.

use crate::score::{LeadScore, ScoreChange};
use async_graphql::{Context, ID, Object};
use sea_orm::entity::prelude::*;
use subgraph::{ContextExt, CursorConnection, Error, Id, Offset, PageRequest, Result};

/// What is stored about one lead.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lead_score")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub lead_id: i32,
    pub activity_score: Option<i32>,
    pub summary: Option<String>,
    pub score_calculated_at: Option<DateTimeUtc>,
}

/// No relations: the lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A lead, as far as this service knows it: by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lead {
    id: Id,
}

impl Lead {
    /// The row of this lead, read once for all leads and fields of an answer.
    async fn row(&self, ctx: &Context<'_>) -> Result<Option<Model>> {
        ctx.by_id::<Entity>(self.id.0).await
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
        self.row(ctx).await.map(|row| row?.activity_score).transpose()
    }

    /// What is known about the lead in a few sentences; null until first written.
    async fn summary(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        self.row(ctx).await.map(|row| row?.summary).transpose()
    }

    /// True when something happened since the summary was written; null when that is not known.
    async fn summary_stale(&self) -> Option<bool> {
        None
    }

    /// When activityScore was calculated; null until first calculated.
    async fn score_calculated_at(&self, ctx: &Context<'_>) -> Option<Result<DateTimeUtc>> {
        self.row(ctx).await.map(|row| row?.score_calculated_at).transpose()
    }

    /// The score now, and what it is made of; null until first calculated.
    async fn score(&self) -> Option<LeadScore> {
        None
    }

    /// How the score changed, newest first; null when that is not known.
    #[graphql(complexity = "Offset::cost(first.or(Some(20)), child_complexity)")]
    async fn score_history(
        &self,
        #[graphql(desc = "How many, 1 to 500.", default = 20)] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<CursorConnection<ScoreChange>>> {
        let list = format!("lead:{}:scoreHistory", self.id);
        PageRequest::try_new(list, (first, after), (None, None)).err().map(Err)
    }
}

#[derive(Debug, Default)]
pub(crate) struct LeadQuery;

#[Object]
impl LeadQuery {
    /// Leads by their score now, best first; closed (won or lost) leads only on request.
    #[graphql(complexity = "Offset::cost(limit.or(Some(20)), child_complexity)")]
    async fn top_leads(
        &self,
        #[graphql(desc = "How many, 1 to 500.", default = 20)] limit: Option<i32>,
        #[graphql(desc = "Also won and lost leads.", default_with = "Some(false)")] include_closed: Option<
            bool,
        >,
    ) -> Result<Vec<Option<Lead>>> {
        Offset::try_new(limit, None)?;
        let _ = include_closed;
        Err(Error::not_built_yet("Leads by their score"))
    }

    #[graphql(entity)]
    async fn lead_by_id(&self, id: ID) -> Result<Option<Lead>> {
        Ok(Id::parse(&id).map(|id| Lead { id }))
    }
}
