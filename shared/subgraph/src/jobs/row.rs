//! The table of jobs.

use super::Job;
use crate::{
    change::Change,
    error::{Error, Result},
    telemetry::Carried,
};
use async_graphql::Enum;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[graphql(name = "JobStatus")]
pub enum Status {
    /// It waits until somebody has time for it.
    Queued,
    /// It is being done.
    Running,
    /// It is done.
    Succeeded,
    /// It was given up.
    Failed,
}

impl Status {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "job")]
pub struct Model {
    /// Ordered by time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What kind of work.
    pub kind: String,
    /// While it waits or runs, there is no other of its kind with this key.
    pub key: Option<String>,
    /// What is to be done, as JSON.
    pub payload: String,
    /// Who asked for it first.
    pub actor: String,
    /// The request in which that was.
    pub request_id: String,
    /// How far it has come.
    pub status: Status,
    /// How often it was begun since it last got further.
    pub attempts: i32,
    /// How much is done, in the job's own unit; what failed included.
    pub done: i64,
    /// How much of that failed.
    pub failed: i64,
    /// How much there is to do, once that is known.
    pub total: Option<i64>,
    /// Where to go on after a restart, in the job's own words.
    pub position: Option<String>,
    /// Why it failed, in words for whoever asked for it.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTimeUtc,
    /// When it was begun first.
    pub started_at: Option<DateTimeUtc>,
    /// When it succeeded or failed.
    pub finished_at: Option<DateTimeUtc>,
    /// The run that does it.
    pub worker: Option<Uuid>,
    /// Until when no other run may do it.
    pub lease_until: Option<DateTimeUtc>,
    /// The trace in which it was asked for.
    #[serde(default)]
    pub traceparent: Option<String>,
}

/// No relations: a job may outlive what it speaks of.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A new job, as a change asks for it.
pub(super) fn asked<J: Job>(change: &Change, job: &J) -> Result<Model> {
    Ok(Model {
        id: change.service().random.uuid(change.at()),
        kind: J::KIND.into(),
        key: job.key(),
        payload: serde_json::to_string(job).map_err(Error::internal)?,
        actor: change.actor().to_string(),
        request_id: change.request_id().into(),
        status: Status::Queued,
        attempts: 0,
        done: 0,
        failed: 0,
        total: None,
        position: None,
        error: None,
        created_at: change.at(),
        started_at: None,
        finished_at: None,
        worker: None,
        lease_until: None,
        traceparent: Carried::current().parent,
    })
}
