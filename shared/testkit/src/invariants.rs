//! What must hold in the databases of all services whatever broke before, once everything has settled.
//!
//! - Every change has exactly one event, and every event its change; those of one subject are in order.
//! - Every event was applied exactly once by each service that it concerns, and has its effect once.
//! - Views equal what the owner has, and scores what they are made of; nothing belongs to a lead that is gone.
//! - Nothing waits to be published, nothing is parked, no transaction hangs, no lock is left, no file is damaged.

mod applied;
mod changes;
mod condition;
mod facts;
mod notifications;
mod scores;
mod views;

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::stack::Databases;
use facts::Facts;

/// What is not as usual because a test wants it so.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Events that may be parked, which then have had no effect.
    pub parked: BTreeSet<Uuid>,
    /// Events that were on the bus and that no service published.
    pub foreign: BTreeSet<Uuid>,
}

/// Checks everything. Nobody may change anything meanwhile.
///
/// # Errors
/// All that is wrong, each naming the ids concerned.
pub async fn check(databases: &Databases, allowed: &Allowed) -> Result<(), Vec<String>> {
    let facts = Facts::load(databases).await.map_err(|error| vec![format!("cannot read: {error}")])?;
    let mut broken = changes::broken(&facts);
    broken.extend(applied::broken(&facts, allowed));
    broken.extend(notifications::broken(&facts, allowed));
    broken.extend(views::broken(&facts));
    broken.extend(scores::broken(&facts));
    broken.extend(condition::of_the_outboxes(&facts));
    broken.extend(condition::of_the_parked(&facts, allowed));
    broken.extend(condition::of_the_databases(databases).await);
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}
