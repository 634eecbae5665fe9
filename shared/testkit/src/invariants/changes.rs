//! Every change has exactly one event, every event its change, and those of one subject are in order.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::facts::{Facts, Told};

/// What the audit log calls a change, and the events that tell of it: exactly one of them each time.
const CHANGES: [(&str, &str, &[&str]); 21] = [
    ("accounts", "user.created", &["user.created"]),
    ("accounts", "user.updated", &["user.updated"]),
    ("accounts", "session.revoked", &["session.revoked"]),
    ("accounts", "api_key.revoked", &["session.revoked"]),
    ("leads", "lead.created", &["lead.created"]),
    ("leads", "lead.updated", &["lead.updated"]),
    ("leads", "lead.assigned", &["lead.updated"]),
    ("leads", "lead.removed", &["lead.removed"]),
    ("interactions", "interaction.created", &["interaction.created"]),
    ("interactions", "interaction.updated", &["interaction.updated"]),
    ("interactions", "interaction.removed", &["interaction.removed"]),
    ("tasks", "task.created", &["task.created"]),
    ("tasks", "task.updated", &["task.updated", "task.completed"]),
    ("tasks", "task.completed", &["task.completed"]),
    ("tasks", "task.removed", &["task.removed"]),
    ("scoring", "score.updated", &["score.updated"]),
    ("scoring", "score.recalculated", &["scores.recalculated"]),
    ("notifications", "notification.created", &["notification.created"]),
    ("notifications", "notification.read", &["notification.updated"]),
    ("notifications", "notification.read_all", &["notifications.updated"]),
    ("notifications", "notification.deleted", &["notification.deleted"]),
];
/// How long events are kept at least.
const KEPT: TimeDelta = TimeDelta::days(7);
/// The subjects whose versions grow by exactly one with each event.
const GAPLESS: [&str; 4] = ["lead/", "interaction/", "task/", "user/"];

pub(super) fn broken(facts: &Facts) -> Vec<String> {
    let each = facts.services.iter();
    each.flat_map(|(service, told)| {
        let mut broken = silent_changes(service, told, facts);
        broken.extend(invented_events(service, told));
        broken.extend(disorder(service, told));
        broken
    })
    .collect()
}

fn kinds(service: &str, action: &str) -> Option<&'static [&'static str]> {
    CHANGES.iter().find(|it| it.0 == service && it.1 == action).map(|it| it.2)
}

/// Changes that nobody was told of.
fn silent_changes(service: &str, told: &Told, facts: &Facts) -> Vec<String> {
    let published: BTreeSet<_> = told.outbox.iter().map(|it| it.row.id).collect();
    let changes = told.audit.values().filter(|it| it.at > facts.now - KEPT);
    let changes = changes.filter(|it| kinds(service, &it.action).is_some() && !published.contains(&it.id));
    changes
        .map(|it| format!("{service}: {} of {} ({}) has no event", it.action, it.entity_id, it.id))
        .collect()
}

/// Events of changes that nobody made, or of others than it says.
fn invented_events(service: &str, told: &Told) -> Vec<String> {
    let wrong = told.outbox.iter().filter_map(|it| {
        let (id, kind) = (it.row.id, &it.row.kind);
        if it.envelope.id != id || it.envelope.kind != *kind || !it.envelope.is_from(service) {
            return Some(format!("{service}: the event {id} is not the {kind} of {service} that it says"));
        }
        match told.audit.get(&id) {
            None => Some(format!("{service}: the event {kind} {id} has no change")),
            Some(change) if kinds(service, &change.action).is_some_and(|it| it.contains(&&**kind)) => None,
            Some(change) => Some(format!("{service}: the event {kind} {id} tells of {}", change.action)),
        }
    });
    wrong.collect()
}

/// Events of one subject whose versions do not grow as they should.
fn disorder(service: &str, told: &Told) -> Vec<String> {
    let mut versions: BTreeMap<&str, i32> = BTreeMap::new();
    let mut broken = Vec::new();
    for event in told.outbox.iter().map(|it| &it.envelope) {
        let Some(version) = event.aggregateversion else { continue };
        let before = versions.insert(&event.subject, version);
        let gapless = GAPLESS.iter().any(|it| event.subject.starts_with(it));
        if before.is_some_and(|before| version <= before || gapless && version != before + 1) {
            let before = before.unwrap_or_default();
            broken.push(format!(
                "{service}: {} has version {version} after {before} ({} {})",
                event.subject, event.kind, event.id
            ));
        }
    }
    broken
}
