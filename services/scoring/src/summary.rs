//! Summaries: what is known about a lead, in a few sentences.

use crate::lead::Lead;
use async_graphql::{Enum, ID, InputObject, Object, SimpleObject};
use sea_orm::prelude::DateTimeUtc;
use subgraph::{Error, Result, RowId};

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum JobStatus {
    /// It waits for its turn.
    Queued,
    /// It is under way.
    Running,
    /// It is over; single leads may have failed.
    Succeeded,
    /// It is over and could not do its work.
    Failed,
}

/// Writing the summaries of many leads.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct SummaryJob {
    /// The job's id.
    id: ID,
    /// How far it is.
    status: JobStatus,
    /// Leads whose summary was written.
    done: i32,
    /// Leads whose summary could not be written.
    failed: i32,
    /// Leads it is to look at.
    total: i32,
    /// When it was asked for.
    created_at: DateTimeUtc,
    /// When it was over; null until then.
    finished_at: Option<DateTimeUtc>,
}

/// Which leads' summaries to write.
#[derive(Clone, Debug, InputObject)]
pub(crate) struct SummaryFilter {
    /// Only these leads; all when absent.
    lead_ids: Option<Vec<RowId>>,
    /// Only leads to which something happened since their summary was written.
    #[graphql(default_with = "Some(true)")]
    stale_only: Option<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct SummaryQuery;

#[Object]
impl SummaryQuery {
    /// One job, to see how far it is; null when there is none with this id.
    async fn summary_job(&self, #[graphql(desc = "The job's id.")] id: ID) -> Result<Option<SummaryJob>> {
        let _ = id;
        Err(Error::not_built_yet("Jobs that write summaries"))
    }
}

#[derive(Debug, Default)]
pub(crate) struct SummaryMutation;

#[Object]
impl SummaryMutation {
    /// Writes a lead's summary anew, and calculates its score when it has none.
    async fn generate_summary(&self, #[graphql(desc = "The lead's id.")] lead_id: RowId) -> Result<Lead> {
        let _ = lead_id;
        Err(Error::not_built_yet("Summaries"))
    }

    /// Writes the summaries of many leads in the background.
    async fn regenerate_summaries(
        &self,
        #[graphql(desc = "Which leads; without it all whose summary is stale.")] filter: Option<
            SummaryFilter,
        >,
    ) -> Result<SummaryJob> {
        let SummaryFilter { lead_ids, stale_only } =
            filter.unwrap_or(SummaryFilter { lead_ids: None, stale_only: Some(true) });
        let _ = (lead_ids, stale_only);
        Err(Error::not_built_yet("Jobs that write summaries"))
    }
}
