//! Work in the background that survives restarts: asked for in a change, done once, by whichever process has time.
//!
//! A job is a row. It is made in the transaction of the change that asks for it, so that it exists exactly when that
//! change was committed. Each process has a runner for each kind it knows. A runner takes the oldest job that nobody
//! does and holds it with a lease, which it renews while it works; when the process dies, the lease ends and another
//! one goes on from the last position that was kept. Who has lost the lease cannot commit any more, since each step of
//! the work makes sure of it in its own transaction ([`Run::advance`]).

mod attempts;
mod caretaker;
mod command;
mod queue;
mod row;
mod run;
mod runner;

use crate::{
    change::Change,
    error::{Error, Result},
    service::Service,
};
pub use command::work_off;
pub use row::{Column, Entity, Model, Status};
pub use run::{Progress, Run};
pub(crate) use runner::{Kind, Workers};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;

/// How often those look who were not woken: for what other processes ask for and end.
const POLL: Duration = Duration::from_secs(2);

/// One kind of work in the background; a value of it is what is to be done.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in the database and in the metrics; for ever the same.
    const KIND: &'static str;

    /// What two jobs of this kind have in common that would do the same: while one of them waits or runs, asking for
    /// another gives that one.
    fn key(&self) -> Option<String> {
        None
    }

    /// Does it, or what is left of it after a restart: from `run.at_start().position` on. It can be cancelled at any
    /// `await`, and may run again when its end could not be noted.
    ///
    /// # Errors
    /// `UNAVAILABLE` is tried again, some times; any other error is the end of the job, and its message is shown to
    /// whoever asks for the job.
    fn run(&self, run: &Run) -> impl Future<Output = Result<()>> + Send;
}

/// Tells those who wait in this process that jobs were asked for or have ended.
#[derive(Debug, Default)]
pub(crate) struct Wake(watch::Sender<u64>);

impl Wake {
    pub fn all(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl Change {
    /// Asks for work in the background, which begins once the change is committed. When a job of this kind and key
    /// waits or runs already, it is that one.
    pub async fn enqueue<J: Job>(&mut self, job: &J) -> Result<Model> {
        let asked = row::asked(self, job)?;
        let (job, action) = queue::add(self.tx(), asked).await?;
        let details = serde_json::json!({ "kind": job.kind, "key": job.key });
        self.record(action, job.id, &details)?;
        self.wake_jobs();
        Ok(job)
    }
}

/// The job of this kind with that id.
pub async fn find<J: Job>(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).filter(Column::Kind.eq(J::KIND)).one(db).await?)
}

/// The job of this kind that was asked for last.
pub async fn latest<J: Job>(db: &impl ConnectionTrait) -> Result<Option<Model>> {
    let newest = Entity::find().filter(Column::Kind.eq(J::KIND));
    Ok(newest.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).one(db).await?)
}

/// Waits until somebody in this process asked for a job or has ended one, or others may have.
pub async fn changed(service: &Service) {
    let _ = timeout(POLL, service.jobs.subscribe().changed()).await;
}

/// Waits until a job has succeeded or failed, whoever does it.
///
/// # Errors
/// `NOT_FOUND` when there is no such job.
pub async fn wait<J: Job>(service: &Service, id: Uuid) -> Result<Model> {
    let mut woken = service.jobs.subscribe();
    loop {
        woken.borrow_and_update();
        let job = find::<J>(service.db.read(), id).await?;
        let job = job.ok_or_else(|| Error::not_found("Job", id))?;
        if job.status.is_final() {
            return Ok(job);
        }
        // Either way it looks again
        let _ = timeout(POLL, woken.changed()).await;
    }
}
