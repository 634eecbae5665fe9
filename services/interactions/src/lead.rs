//! What this service adds to a lead: the interactions with it. Leads owns the lead itself.

use crate::interaction::{Column, Entity, Model};
use async_graphql::{Context, ID, Object, dataloader::Loader};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use std::collections::HashMap;
use subgraph::{
    Child, Children, ContextExt, CursorConnection, Error, Id, Newest, Offset, PageRequest, Result, Service,
    sql, to_int,
};

/// A lead, by its id.
pub(crate) struct Lead {
    /// Which one.
    pub(crate) id: Id,
}

/// A person who may become a customer.
#[Object]
impl Lead {
    /// The lead's id.
    async fn id(&self) -> Id {
        self.id
    }

    /// What happened with the lead, newest first. Null means unknown now.
    #[graphql(complexity = "Offset::cost(limit, child_complexity)")]
    async fn interactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50, desc = "How many, 1 to 500.")] limit: Option<i32>,
        #[graphql(default = 0, desc = "How many to leave out first, 0 to 10,000.")] offset: Option<i32>,
    ) -> Option<Result<Vec<Model>>> {
        let page = Offset::try_new(limit, offset);
        Some(async { self.newest(ctx, page?).await }.await)
    }

    /// What happened with the lead, newest first, by cursor: each page costs the same, however
    /// deep. Null means unknown now.
    #[graphql(complexity = "Offset::cost(first.or(last), child_complexity)")]
    async fn interactions_connection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many, 1 to 500.")] first: Option<i32>,
        #[graphql(desc = "Only after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many, 1 to 500.")] last: Option<i32>,
        #[graphql(desc = "Only before this cursor.")] before: Option<String>,
    ) -> Option<Result<CursorConnection<Model, InteractionTotal>>> {
        Some(self.page(ctx, (first, after), (last, before)).await)
    }

    /// When something last happened with the lead; null when nothing did yet.
    async fn last_interaction_at(&self, ctx: &Context<'_>) -> Option<Result<DateTime<Utc>>> {
        let newest = self.newest(ctx, Offset { limit: 1, offset: 0 }).await;
        newest.map(|rows| rows.first().map(|row| row.date)).transpose()
    }
}

impl Lead {
    async fn newest(&self, ctx: &Context<'_>, page: Offset) -> Result<Vec<Model>> {
        Ok(ctx.load(Children::<Model>::of(self.id.0, list(page))).await?.unwrap_or_default())
    }

    async fn page(
        &self,
        ctx: &Context<'_>,
        forward: (Option<i32>, Option<String>),
        backward: (Option<i32>, Option<String>),
    ) -> Result<CursorConnection<Model, InteractionTotal>> {
        let sort = Entity::newest(format!("lead:{}:interactions", self.id));
        let page = PageRequest::try_new(sort.name.clone(), forward, backward)?;
        let under = (self.id.0, list(Offset { limit: page.limit, offset: 0 }));
        let rows = sort.page_under(ctx, under, Entity::of_lead(self.id.0), &page).await?;
        Ok(rows.into_connection(InteractionTotal(self.id.0)))
    }
}

/// What a page of a lead's interactions says beside its rows.
pub(crate) struct InteractionTotal(i32);

#[Object]
impl InteractionTotal {
    /// How many interactions with the lead there are in all pages. Counted only when selected.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(ctx.load(CountOfLead(self.0)).await?.unwrap_or_default())
    }
}

/// Queries for leads.
#[derive(Default)]
pub struct LeadQuery;

#[Object]
impl LeadQuery {
    /// A lead for other subgraphs, which know whether it exists.
    #[graphql(entity)]
    async fn find_lead_by_id(&self, id: ID) -> Result<Option<Lead>> {
        Ok(Id::parse(&id).map(|id| Lead { id }))
    }
}

impl Child for Model {
    fn parent(&self) -> i32 {
        self.lead_id
    }
}

/// Some of the interactions with a lead, newest first.
fn list(page: Offset) -> Newest {
    let Offset { limit, offset } = page;
    Newest {
        table: "interaction",
        parent: "lead_id",
        by: "date",
        only: String::new(),
        oldest: false,
        limit,
        offset,
    }
}

/// How many interactions with a lead there are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CountOfLead(i32);

impl Loader<CountOfLead> for Service {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[CountOfLead]) -> Result<HashMap<CountOfLead, i32>> {
        let leads: Vec<i32> = keys.iter().map(|key| key.0).collect();
        let counts =
            Entity::find().select_only().column(Column::LeadId).column_as(Column::Id.count(), "count");
        let counts =
            counts.filter(sql::any(self.db.backend(), Column::LeadId, &leads)).group_by(Column::LeadId);
        let counts: Vec<(i32, i64)> = counts.into_tuple().all(self.db.read()).await?;
        let counts = counts.into_iter().map(|(lead, n)| (CountOfLead(lead), to_int(n)));
        Ok(counts.collect())
    }
}
