//! Nothing waits, nothing is parked, nothing hangs, nothing is damaged.

use chrono::TimeDelta;
use sea_orm::{DbBackend, FromQueryResult};

use super::{Allowed, facts::Facts};
use crate::stack::Databases;
use crate::supergraph::SERVICES;

/// Longest time between a change and its publication.
const PUBLISHED_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// Transactions that do nothing for longer than this were forgotten.
const FORGOTTEN: &str = "SELECT pid || ' in ' || coalesce(query, '') AS said FROM pg_stat_activity \
    WHERE datname = current_database() AND state LIKE 'idle in transaction%' \
    AND state_change < now() - interval '1 second'";
const LOCKS: &str = "SELECT 'held by ' || pid || ' on ' || objid AS said FROM pg_locks \
    WHERE locktype = 'advisory' AND granted \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

#[derive(FromQueryResult)]
struct Finding {
    said: String,
}

#[derive(FromQueryResult)]
struct Damage {
    integrity_check: String,
}

pub(super) fn of_the_outboxes(facts: &Facts) -> Vec<String> {
    let waiting = facts.events().filter(|it| {
        it.row.published_at.is_none()
            && it.row.created_at < facts.now - PUBLISHED_WITHIN
            && it.row.keep_until.is_none_or(|until| until > facts.now)
    });
    waiting
        .map(|it| {
            let (source, age) = (&it.envelope.source, (facts.now - it.row.created_at).num_seconds());
            format!("{source} has not published {} {} for {age} s", it.row.kind, it.row.id)
        })
        .collect()
}

pub(super) fn of_the_parked(facts: &Facts, allowed: &Allowed) -> Vec<String> {
    let parked =
        facts.services.iter().flat_map(|(service, told)| told.parked.iter().map(move |it| (service, it)));
    let parked = parked.filter(|(_, it)| !allowed.parked.contains(&it.event_id));
    parked
        .map(|(service, it)| format!("{service} has parked {} {}: {}", it.kind, it.event_id, it.reason))
        .collect()
}

pub(super) async fn of_the_databases(databases: &Databases) -> Vec<String> {
    if databases.backend() == DbBackend::Sqlite {
        return damage(databases).await;
    }
    let mut broken = Vec::new();
    for (question, words) in [(FORGOTTEN, "a transaction is idle"), (LOCKS, "an advisory lock is left")] {
        match databases.rows::<Finding>("accounts", question).await {
            Ok(said) => broken.extend(said.into_iter().map(|it| format!("{words}: {}", it.said))),
            Err(error) => broken.push(format!("Postgres cannot be checked: {error}")),
        }
    }
    broken
}

/// Through new connections: in those that checked before, FTS5 compares the file with what it was then.
async fn damage(databases: &Databases) -> Vec<String> {
    let databases = databases.reopened();
    let mut broken = Vec::new();
    for service in SERVICES {
        match databases.rows::<Damage>(service, "PRAGMA integrity_check").await {
            Ok(said) => {
                let damage = said.into_iter().map(|it| it.integrity_check).filter(|it| it != "ok");
                broken.extend(damage.map(|it| format!("the file of {service} is damaged: {it}")));
            }
            Err(error) => broken.push(format!("the file of {service} cannot be checked: {error}")),
        }
    }
    databases.close().await;
    broken
}
