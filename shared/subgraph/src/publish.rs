//! Publishing what is in the outbox, as soon as it is there.

use crate::{db::Db, service::Service};
use events::{Relay, outbox};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How often it looks without being woken: for what another replica left behind when it was killed.
const POLL: Duration = Duration::from_secs(1);
/// How long it waits after a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often it makes sure, with nothing to publish, that the bus is still the log it was.
const MEET_INTERVAL: Duration = Duration::from_secs(5);

/// Publishes what comes into the outbox, for ever.
pub(crate) async fn publish(service: Service) {
    let (mut woken, mut wait) = (service.wake.subscribe(), BACKOFF.0);
    let mut met = None;
    loop {
        woken.borrow_and_update();
        let Err(error) = round(&service, &mut met).await else {
            wait = BACKOFF.0;
            service.metrics.events.outbox(0, 0.0);
            service.signals.publishing(None);
            // Either way it looks again
            let _ = timeout(POLL, woken.changed()).await;
            continue;
        };
        let error = format!("{error:#}");
        if service.signals.publishing(Some(&error)) {
            tracing::warn!(subgraph = service.name, error, "cannot publish events; they wait in the outbox");
        }
        met = None;
        look(&service).await;
        sleep(wait).await;
        wait = (wait * 2).min(BACKOFF.1);
    }
}

/// Which log the bus was when somebody last made sure of it.
type Met = Option<(Instant, String)>;

/// Publishes what there is now.
async fn round(service: &Service, met: &mut Met) -> anyhow::Result<()> {
    let relay = relay(service);
    let now = || service.clock.now();
    let log = match met.take().filter(|(at, _)| at.elapsed() < MEET_INTERVAL) {
        Some(known) => met.insert(known),
        None => met.insert((Instant::now(), meet(service, &relay).await?)),
    };
    let told = |rows: &[_], since| service.tracer.published(rows, since);
    let published = relay.publish(&log.1, now, told).await?;
    service.metrics.events.published.inc_by(published as u64);
    Ok(())
}

async fn meet(service: &Service, relay: &Relay) -> anyhow::Result<String> {
    let (log, again) = relay.meet_bus(service.clock.now()).await?;
    if again > 0 {
        tracing::warn!(subgraph = service.name, again, "the bus is a new one: publishing again what is kept");
    }
    Ok(log)
}

fn relay(service: &Service) -> Relay {
    let Db { read, write } = &service.db;
    Relay { bus: service.bus.clone(), read: read.clone(), write: write.clone() }
}

/// What is left when the service stops, if the bus takes it at once.
pub(crate) async fn flush(service: &Service) {
    if let Err(error) = round(service, &mut None).await {
        tracing::warn!(
            subgraph = service.name,
            error = format!("{error:#}"),
            "events wait in the outbox for the next start"
        );
    }
}

/// Shows how much waits, when some could not be published.
async fn look(service: &Service) {
    let now = service.clock.now();
    if let Ok(backlog) = outbox::backlog(service.db.read(), now).await {
        let age = backlog.oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64());
        service.metrics.events.outbox(backlog.depth, age);
    }
}
