//! What this service adds to a lead: the tasks about it. Leads owns the lead itself.

use crate::task::{Model, TaskSource, condition};
use async_graphql::{Context, ID, Object};
use subgraph::{Child, Children, ContextExt, Id, Newest, Offset, Result};

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

    /// What is to be done with the lead, newest first. Null means unknown now.
    #[graphql(complexity = "Offset::cost(limit, child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "One of these sources. An empty list lets nothing through.")] source: Option<
            Vec<TaskSource>,
        >,
        #[graphql(desc = "Done, or not done.")] completed: Option<bool>,
        #[graphql(default = 50, desc = "How many, 1 to 500.")] limit: Option<i32>,
        #[graphql(default = 0, desc = "How many to leave out first, 0 to 10,000.")] offset: Option<i32>,
    ) -> Option<Result<Vec<Model>>> {
        let list =
            Offset::try_new(limit, offset).map(|page| list(condition(source.as_deref(), completed), page));
        Some(async { Ok(ctx.load(Children::<Model>::of(self.id.0, list?)).await?.unwrap_or_default()) }.await)
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

/// One page of a lead's tasks that meet a condition, newest first.
fn list(only: String, page: Offset) -> Newest {
    let Offset { limit, offset } = page;
    Newest { table: "task", parent: "lead_id", by: "created_at", only, oldest: false, limit, offset }
}
