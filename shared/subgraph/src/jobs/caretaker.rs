//! Keeps the table of jobs small, and shows how many wait.

use super::{POLL, queue};
use crate::service::Service;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often jobs that ended long ago are removed.
const CLEANING_INTERVAL: Duration = Duration::from_hours(1);

/// Does it for ever.
pub(super) async fn take_care(service: Service) {
    let (mut cleaning, mut counting) = (interval(CLEANING_INTERVAL), interval(POLL));
    counting.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = cleaning.tick() => clean(&service).await,
            _ = counting.tick() => count(&service).await,
        }
    }
}

async fn clean(service: &Service) {
    if let Err(error) = queue::clean(service.db.write(), service.clock.now()).await {
        tracing::warn!(
            subgraph = service.name,
            error = error.message(),
            "cannot remove jobs that ended long ago"
        );
    }
}

async fn count(service: &Service) {
    match queue::waiting(service.db.read()).await {
        Ok(waiting) => service.metrics.jobs.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX)),
        Err(error) => {
            tracing::debug!(
                subgraph = service.name,
                error = error.message(),
                "cannot count the jobs that wait"
            );
        }
    }
}
