//! Which leads' summaries to write, page by page.

use super::{Column, Entity};
use crate::score;
use async_graphql::InputObject;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Select, sea_query::ExprTrait,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use subgraph::{Result, RowId, Service, sql, validate::Validator};

/// Leads that can be named at once.
const MAX_LEADS: usize = 500;
/// Leads looked up at once.
const PAGE: u64 = 100;

/// Which leads' summaries to write.
#[derive(Clone, Debug, InputObject)]
pub(crate) struct SummaryFilter {
    /// Only these leads, 500 at most; all when absent.
    lead_ids: Option<Vec<RowId>>,
    /// Leaves out leads whose summary is up to date. When no leads are named, also those that have none.
    #[graphql(default_with = "Some(true)")]
    stale_only: Option<bool>,
}

/// The same, as a job keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Selection {
    /// All leads whose summary is stale.
    Stale,
    /// All leads.
    All,
    /// These leads, each once and in order; without those whose summary is up to date, if so wished.
    Named { leads: Vec<i32>, stale_only: bool },
}

impl SummaryFilter {
    /// What is to be written.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` when too many leads are named.
    pub fn selection(self) -> Result<Selection> {
        let stale_only = self.stale_only.unwrap_or(true);
        let Some(leads) = self.lead_ids else {
            return Ok(if stale_only { Selection::Stale } else { Selection::All });
        };
        let mut v = Validator::default();
        if leads.len() > MAX_LEADS {
            v.fault("leadIds", format!("has more than {MAX_LEADS} entries"));
        }
        v.finish()?;
        let mut leads: Vec<_> = leads.into_iter().map(|RowId(id)| id).collect();
        leads.sort_unstable();
        leads.dedup();
        Ok(Selection::Named { leads, stale_only })
    }
}

impl Selection {
    /// What two jobs have in common that go through all leads. Those that name leads are short.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Stale => Some("stale"),
            Self::All => Some("all"),
            Self::Named { .. } => None,
        }
    }

    /// The next leads after this one, by id; none when there are no more.
    pub async fn page(&self, service: &Service, after: i32) -> Result<Vec<i32>> {
        let db = service.db.read();
        Ok(match self {
            Self::Stale => {
                let next = stale().filter(Column::LeadId.gt(after)).order_by_asc(Column::LeadId).limit(PAGE);
                next.select_only().column(Column::LeadId).into_tuple().all(db).await?
            }
            Self::All => {
                let next = all().filter(leadview::Column::Id.gt(after));
                let next = next.order_by_asc(leadview::Column::Id).limit(PAGE);
                next.select_only().column(leadview::Column::Id).into_tuple().all(db).await?
            }
            Self::Named { leads, stale_only } => named(service, leads, *stale_only, after).await?,
        })
    }

    /// How many leads there are to write about.
    pub async fn count(&self, service: &Service) -> Result<i64> {
        let db = service.db.read();
        let count = match self {
            Self::Stale => stale().count(db).await?,
            Self::All => all().count(db).await?,
            Self::Named { leads, stale_only } => named(service, leads, *stale_only, 0).await?.len() as u64,
        };
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// With the score of the lead, if there is one.
fn with_score() -> Select<Entity> {
    let score = Entity::belongs_to(score::Entity).from(Column::LeadId).to(score::Column::LeadId).into();
    Entity::find().join(JoinType::LeftJoin, score)
}

/// Summaries since which something happened: what [`super::is_stale`] says of one.
fn stale() -> Select<Entity> {
    with_score().filter(score::Column::Touched.into_expr().gt(Column::Touched.into_expr()))
}

/// Summaries since which nothing happened.
fn up_to_date() -> Select<Entity> {
    let same = score::Column::Touched.into_expr().lte(Column::Touched.into_expr());
    with_score().filter(Condition::any().add(score::Column::LeadId.is_null()).add(same))
}

/// Leads that are there.
fn all() -> Select<leadview::Entity> {
    leadview::Entity::find().filter(leadview::Column::RemovedAt.is_null())
}

/// Those of these leads that come after this one.
async fn named(service: &Service, leads: &[i32], stale_only: bool, after: i32) -> Result<Vec<i32>> {
    let mut leads: Vec<_> = leads.iter().copied().filter(|lead| *lead > after).collect();
    if stale_only {
        let among = sql::any(service.db.backend(), Column::LeadId, &leads);
        let known = up_to_date().filter(among).select_only().column(Column::LeadId).into_tuple();
        let known: HashSet<i32> = known.all(service.db.read()).await?.into_iter().collect();
        leads.retain(|lead| !known.contains(lead));
    }
    Ok(leads)
}
