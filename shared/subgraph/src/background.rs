//! What a running service does beside answering: it publishes and applies events, does jobs, and keeps clean.

use crate::{
    consume::{Consumers, consume},
    db::in_background,
    error::Error,
    idempotency, jobs,
    metrics::push::{Pushing, Target},
    overhear::overhear,
    publish::{flush, publish},
    rebuild::{AnyView, fill_new_views},
    server::AbortOnDropHandle,
    service::Service,
};
use events::{inbox, outbox};
use std::time::Duration;
use tokio::time::{Instant, interval, interval_at, timeout};

/// How often expired rows are removed.
const CLEANING_INTERVAL: Duration = Duration::from_hours(1);
/// How long a key that was taken back may still count.
const KEYS_INTERVAL: Duration = Duration::from_mins(5);
/// How long a session that another process noted as ended may still count.
const REVOCATIONS_INTERVAL: Duration = Duration::from_secs(2);
/// How long publishing what is left may take when the service stops.
const FLUSH: Duration = Duration::from_secs(3);

/// Everything that runs beside the server. It ends with this.
pub(crate) struct Background {
    service: Service,
    running: AbortOnDropHandle,
    jobs: Option<jobs::Workers>,
    pushing: Option<Pushing>,
}

impl Background {
    /// Starts it all, with what delivers live.
    pub fn start(
        service: &Service,
        consumers: Consumers,
        views: Vec<AnyView>,
        kinds: &[jobs::Kind],
        live: impl Future<Output = ()> + Send + 'static,
        metrics: Option<Target>,
    ) -> Self {
        let own = service.clone();
        // A task of its own: no other work holds up what is live
        let live = AbortOnDropHandle(tokio::spawn(in_background(live)));
        let running = tokio::spawn(in_background(async move {
            let _live = live;
            tokio::join!(
                publish(own.clone()),
                fill_new_views(own.clone(), consumers.clone(), views),
                consume(own.clone(), consumers),
                overhear(own.clone()),
                keep_clean(own)
            );
        }));
        let jobs = jobs::Workers::start(service, kinds);
        let pushing = metrics.map(|target| Pushing::start(service, target));
        Self { service: service.clone(), running: AbortOnDropHandle(running), jobs, pushing }
    }

    /// Ends it all, after what is in the outbox was published if the bus takes it.
    pub async fn stop(self) {
        let Self { service, running, jobs, pushing } = self;
        drop(running);
        if let Some(jobs) = jobs {
            jobs.stop().await;
        }
        if timeout(FLUSH, flush(&service)).await.is_err() {
            tracing::warn!(
                subgraph = service.name,
                "the bus does not answer: events wait in the outbox for the next start"
            );
        }
        // Last: it tells of all the others
        if let Some(pushing) = pushing {
            pushing.stop().await;
        }
    }
}

async fn keep_clean(service: Service) {
    let mut cleaning = interval(CLEANING_INTERVAL);
    // Not at once: services that start together would find accounts not there yet
    let mut keys = interval_at(Instant::now() + KEYS_INTERVAL, KEYS_INTERVAL);
    let mut revocations = interval_at(Instant::now() + REVOCATIONS_INTERVAL, REVOCATIONS_INTERVAL);
    loop {
        tokio::select! {
            _ = cleaning.tick() => clean(&service).await,
            _ = keys.tick() => service.auth.refresh_keys().await,
            _ = revocations.tick() => if let Err(error) = service.revocations.refresh(&service.db, service.clock.now()).await {
                tracing::debug!(subgraph = service.name, error = error.message(), "cannot look for ended sessions");
            },
        }
    }
}

/// Removes what has expired: each by itself, so that what fails with one does not keep the others.
async fn clean(service: &Service) {
    let (db, now) = (service.db.write(), service.clock.now());
    let said = |what, error: Error| {
        tracing::warn!(subgraph = service.name, what, error = error.message(), "cannot remove expired rows");
    };
    let _ = idempotency::clean(db, now).await.map_err(|error| said("idempotency keys", error));
    let _ = outbox::clean(db, now).await.map_err(|error| said("events of its own", error.into()));
    let _ = inbox::clean(db, now).await.map_err(|error| said("events of others", error.into()));
    let _ = service.revocations.clean(&service.db, now).await.map_err(|error| said("sessions", error));
}
