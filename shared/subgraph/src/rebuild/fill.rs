//! Filling views that came with a new version of the program: what they show was told before anybody listened.
//!
//! The migration that makes such a view leaves a note in the table of counters when the database is in use already.
//! The service then asks the owner, as often as it takes, and removes the note.

use super::{AnyView, Rebuilding, Rebuilt};
use crate::{consume::Consumers, counter, error::Result, service::Service};
use anyhow::anyhow;
use events::Event;
use sea_orm::EntityTrait;
use std::time::Duration;
use tokio::time::sleep;

/// How long it waits before it asks again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Fills the views that were noted, and ends.
pub(crate) async fn fill_new_views(service: Service, consumers: Consumers, views: Vec<AnyView>) {
    let rebuilding = Rebuilding { forgets: false, ..Rebuilding::of(&service, &consumers, false, &|_| {}) };
    for view in views.iter().filter(|view| view.owner != service.name) {
        let mut wait = BACKOFF.0;
        while let Err(error) = fill(&rebuilding, view).await {
            let (subgraph, kind) = (service.name, view.kind);
            tracing::warn!(
                subgraph,
                kind,
                error = format!("{error:#}"),
                "cannot fill a new view; trying again"
            );
            sleep(wait).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }
}

impl Service {
    /// Whether the view of what events `E` tell of came with this version, and is not filled yet.
    pub async fn waits_for<E: Event>(&self) -> Result<bool> {
        is_noted(self, E::TYPE).await
    }
}

/// As migrations name it.
fn note(kind: &str) -> String {
    format!("fill {kind}")
}

async fn is_noted(service: &Service, kind: &str) -> Result<bool> {
    Ok(counter::Entity::find_by_id(note(kind)).one(service.db.read()).await?.is_some())
}

async fn fill(rebuilding: &Rebuilding<'_>, view: &AnyView) -> anyhow::Result<()> {
    let service = rebuilding.service;
    if !is_noted(service, view.kind).await.map_err(|error| anyhow!(error.message()))? {
        return Ok(());
    }
    let Rebuilt { owner, kind, rows, .. } = (view.run)(rebuilding).await?;
    counter::Entity::delete_by_id(note(view.kind)).exec(service.db.write()).await?;
    tracing::info!(target: "leadgraph", subgraph = service.name, owner, kind, rows, "filled a new view");
    Ok(())
}
