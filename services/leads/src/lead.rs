//! A lead: a person who may become a customer.
//!
//! Its e-mail is unique whatever its case and surrounding space. Its version grows by one with
//! each change, so that two people who edit at once notice. Sales reps create and update; managers
//! also assign to others, remove, and create in bulk.

mod bulk;
mod email;
mod event;
mod input;
mod list;
mod mutation;
mod snapshot;

use crate::{money::Cents, owner::User};
use async_graphql::{ComplexObject, Context, Enum, ID, MergedObject, Object, SimpleObject};
use input::fold_line;
pub(crate) use input::{CreateLeadInput, to_insert};
use list::{LeadFilter, LeadOrder, LeadTotal};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
pub(crate) use snapshot::snapshot;
use subgraph::{ContextExt, CursorConnection, Id, Offset, PageRequest, Result, RowId, validate::fold};

/// A person who may become a customer.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject, Serialize, Deserialize)]
#[sea_orm(table_name = "lead")]
#[graphql(name = "Lead", complex)]
pub struct Model {
    /// The lead's id.
    #[sea_orm(primary_key)]
    pub id: Id,
    /// First name, 1 to 100 characters.
    pub first_name: String,
    /// The first name as it is compared.
    #[graphql(skip)]
    #[serde(skip)]
    pub first_name_key: String,
    /// Last name, 1 to 100 characters.
    pub last_name: String,
    /// The last name as it is compared.
    #[graphql(skip)]
    #[serde(skip)]
    pub last_name_key: String,
    /// Unique, compared without case and surrounding space.
    pub email: String,
    /// The e-mail as it is compared; unique.
    #[graphql(skip)]
    #[serde(skip)]
    pub email_key: String,
    /// Telephone number as it was given.
    pub phone: Option<String>,
    /// 0 to 99,999,999.99, exact to two decimals.
    pub budget: Option<Cents>,
    /// Where the lead is, up to 200 characters.
    pub location: Option<String>,
    /// The location as it is compared.
    #[graphql(skip)]
    #[serde(skip)]
    pub location_key: Option<String>,
    /// Where the lead stands in the pipeline.
    pub status: LeadStatus,
    /// The user the lead belongs to.
    #[graphql(skip)]
    pub owner_id: Option<i32>,
    /// Grows by one with each change.
    pub version: i32,
    /// When the lead was created.
    pub created_at: DateTimeUtc,
    /// When the lead was last changed.
    pub updated_at: DateTimeUtc,
}

/// Other services own what belongs to a lead.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Where a lead stands in the pipeline, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LeadStatus {
    /// Nobody has spoken to the lead yet.
    New,
    /// First contact was made.
    Contacted,
    /// There is a real need and a real budget.
    Qualified,
    /// Became a customer.
    Won,
    /// Will not become a customer.
    Lost,
}

impl Model {
    /// This lead with its comparison columns as they must be.
    fn with_keys(mut self) -> Self {
        self.first_name_key = fold(&self.first_name);
        self.last_name_key = fold(&self.last_name);
        self.email_key = fold(&self.email);
        self.location_key = self.location.as_deref().map(fold_line);
        self
    }
}

#[ComplexObject]
impl Model {
    /// The person the lead belongs to.
    async fn owner(&self) -> Option<User> {
        self.owner_id.map(|id| User { id: Id(id) })
    }
}

/// Mutations of leads.
#[derive(Default, MergedObject)]
#[graphql(name = "Mutation")]
pub struct LeadMutation(mutation::SingleMutation, bulk::BulkMutation);

/// Queries for leads.
#[derive(Default)]
pub struct LeadQuery;

#[Object(name = "Query")]
impl LeadQuery {
    /// Leads, newest first unless ordered otherwise.
    #[graphql(complexity = "Offset::cost(limit, child_complexity)")]
    async fn leads(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "All given conditions must hold.")] filter: Option<LeadFilter>,
        #[graphql(desc = "Newest first when absent.")] order_by: Option<LeadOrder>,
        #[graphql(default = 50, desc = "How many, 1 to 500.")] limit: Option<i32>,
        #[graphql(
            default = 0,
            desc = "How many to leave out first, 0 to 10,000; go deeper with leadsConnection."
        )]
        offset: Option<i32>,
    ) -> Result<Vec<Model>> {
        let page = Offset::try_new(limit, offset)?;
        let select = LeadFilter::select(filter, ctx.db().get_database_backend())?;
        LeadOrder::sort(order_by).offset(ctx.db(), select, page).await
    }

    /// Leads by cursor: each page costs the same, however deep.
    #[expect(clippy::too_many_arguments, reason = "these are the arguments of the graph")]
    #[graphql(complexity = "Offset::cost(first.or(last), child_complexity)")]
    async fn leads_connection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "All given conditions must hold.")] filter: Option<LeadFilter>,
        #[graphql(desc = "Newest first when absent.")] order_by: Option<LeadOrder>,
        #[graphql(desc = "The first so many, 1 to 500.")] first: Option<i32>,
        #[graphql(desc = "Only after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many, 1 to 500.")] last: Option<i32>,
        #[graphql(desc = "Only before this cursor.")] before: Option<String>,
    ) -> Result<CursorConnection<Model, LeadTotal>> {
        let sort = LeadOrder::sort(order_by);
        let page = PageRequest::try_new(sort.name.clone(), (first, after), (last, before))?;
        let select = LeadFilter::select(filter, ctx.db().get_database_backend())?;
        let rows = sort.page(ctx.db(), select.clone(), &page).await?;
        Ok(rows.into_connection(LeadTotal(select)))
    }

    /// One lead, or null when there is none with this id.
    async fn lead(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lead's id.")] id: RowId,
    ) -> Result<Option<Model>> {
        ctx.by_id::<Entity>(id.0).await
    }

    /// One lead for other subgraphs.
    #[graphql(entity)]
    async fn find_lead_by_id(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Model>> {
        match Id::parse(&id) {
            Some(id) => ctx.by_id::<Entity>(id.0).await,
            None => Ok(None),
        }
    }
}
