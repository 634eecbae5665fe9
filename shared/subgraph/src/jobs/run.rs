//! One run of a job, as the job sees it.

use super::{queue, row::Model};
use crate::{
    caller::{Actor, Caller},
    change::Change,
    error::{Error, Result},
    service::Service,
};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

/// How far a job has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where to go on after a restart, in the job's own words.
    pub position: Option<String>,
    /// How much is done, what failed included.
    pub done: i64,
    /// How much of that failed.
    pub failed: i64,
    /// How much there is to do, if that is known.
    pub total: Option<i64>,
}

/// One run of a job. It holds the job until somebody else has to take it over. Cheap to clone.
#[derive(Clone)]
pub struct Run {
    pub(super) service: Service,
    pub(super) start: Model,
    /// Names this run: nobody else was ever given the job under it.
    pub(super) worker: Uuid,
}

impl Run {
    /// The service whose job it is.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The job's id.
    pub fn id(&self) -> Uuid {
        self.start.id
    }

    /// The job as it was when this run began; what was done before is in its position and counts.
    pub fn at_start(&self) -> &Model {
        &self.start
    }

    /// Begins a change by whoever asked for the job, in the request in which that was.
    pub async fn change(&self) -> Result<Change> {
        Change::begin(&self.service, &self.caller()).await
    }

    fn caller(&self) -> Caller {
        let actor = Actor::parse(&self.start.actor).unwrap_or(Actor::System);
        Caller { actor, ..Caller::anonymous(self.start.request_id.clone()) }
    }

    /// Notes in a transaction how far the job has come with it, and makes sure that it is still this run that does the
    /// job. It belongs into every transaction of a job, late in it: from here to its end nobody can take the job over,
    /// and the lease cannot be renewed.
    ///
    /// # Errors
    /// `UNAVAILABLE` when another run does the job: the transaction must not be committed.
    pub async fn advance(&self, tx: &impl ConnectionTrait, progress: Progress) -> Result<()> {
        if queue::advance(tx, self, progress).await? {
            return Ok(());
        }
        Err(Error::Unavailable("This job has been taken over by another worker".into()))
    }

    /// Commits a change that brought the job so far. It need not have an audit record: that is the one of the job.
    ///
    /// # Errors
    /// As [`Run::advance`]; then nothing was committed.
    pub async fn commit(&self, change: Change, progress: Progress) -> Result<()> {
        self.advance(change.tx(), progress).await?;
        change.finish_applied().await
    }
}
