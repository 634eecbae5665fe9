//! What cannot wait for its turn: every replica reads the bus once more, beside applying it, for what it only has to
//! know. A session that was ended is refused at once, though events before that are still being applied, or cannot be;
//! and who delivers live looks into the outbox when another replica wrote to it.

use crate::service::Service;
use anyhow::Context;
use events::{Entry, Envelope, Event, contract::SessionRevoked, cursor};
use futures_util::StreamExt;
use std::{convert::Infallible, time::Duration};

/// How long it waits before it reads the bus anew. That the bus is away is said by who applies events.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads the bus from where the service is with applying it, for ever.
pub(crate) async fn overhear(service: Service) {
    let mut heard = None;
    loop {
        let Err(error) = listen(&service, &mut heard).await;
        tracing::debug!(subgraph = service.name, error = format!("{error:#}"), "cannot overhear the bus");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Goes on where this process was, which may be behind what another replica has applied.
async fn listen(service: &Service, heard: &mut Option<(String, i64)>) -> anyhow::Result<Infallible> {
    let log = service.bus.identity().await?;
    if heard.as_ref().is_none_or(|(known, _)| *known != log) {
        *heard = Some((log.clone(), cursor::read_to(service.db.read(), &log).await?));
    }
    let after = heard.as_ref().map_or(0, |(_, position)| *position);
    let mut entries = service.bus.read(&log, after).await?;
    loop {
        let entry = entries.next().await.context("the bus ended")??;
        take(service, &entry);
        *heard = Some((log.clone(), entry.position));
    }
}

fn take(service: &Service, entry: &Entry) {
    // Most concern nobody here, and are not worth reading as JSON
    let is_live = service.live_kinds.iter().any(|kind| entry.envelope.contains(kind));
    if !is_live && !entry.envelope.contains(SessionRevoked::TYPE) {
        return;
    }
    let Ok(envelope) = serde_json::from_str::<Envelope>(&entry.envelope) else { return };
    if envelope.kind == SessionRevoked::TYPE
        && let Ok(SessionRevoked { session, expires_at, .. }) = envelope.event()
    {
        service.revocations.learn(session, expires_at);
    }
    if envelope.is_from(service.name) && service.live_kinds.contains(&&*envelope.kind) {
        service.wake.outbox();
    }
}
