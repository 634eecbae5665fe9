//! Every event was applied exactly once by each service that it concerns.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Allowed, facts::Facts};

/// What each service has to hear of: all of sessions, and these.
const CONSUMERS: [(&str, &[&str]); 6] = [
    ("accounts", &[]),
    ("leads", &[]),
    ("interactions", &["lead.created", "lead.updated", "lead.removed"]),
    (
        "tasks",
        &[
            "lead.created",
            "lead.updated",
            "lead.removed",
            "interaction.created",
            "interaction.updated",
            "interaction.removed",
            "score.updated",
        ],
    ),
    (
        "scoring",
        &[
            "lead.created",
            "lead.updated",
            "lead.removed",
            "interaction.created",
            "interaction.updated",
            "interaction.removed",
        ],
    ),
    (
        "notifications",
        &[
            "lead.created",
            "lead.updated",
            "lead.removed",
            "task.completed",
            "interaction.created",
            "interaction.updated",
            "score.updated",
            "scores.recalculated",
        ],
    ),
];
/// Concerns everybody.
const REVOKED: &str = "session.revoked";

pub(super) fn broken(facts: &Facts, allowed: &Allowed) -> Vec<String> {
    CONSUMERS.iter().flat_map(|(service, kinds)| consumer(facts, allowed, service, kinds)).collect()
}

/// The inbox has a row for each event it should: no more can be applied, since its key is the event.
fn consumer(facts: &Facts, allowed: &Allowed, service: &str, kinds: &[&str]) -> Vec<String> {
    let inbox = &facts.services[service].inbox;
    let concerning = facts.events().filter(|it| it.row.kind == REVOKED || kinds.contains(&&*it.row.kind));
    let mut expected: BTreeSet<Uuid> = BTreeSet::new();
    let mut broken = Vec::new();
    for event in concerning {
        expected.insert(event.row.id);
        if event.row.published_at.is_some() && !inbox.contains_key(&event.row.id) {
            let (kind, id, subject) = (&event.row.kind, event.row.id, &event.envelope.subject);
            broken.push(format!("{service} has not applied {kind} {id} of {subject}"));
        }
    }
    let strange = inbox.values().filter(|it| {
        !expected.contains(&it.event_id)
            && !allowed.foreign.contains(&it.event_id)
            && !allowed.parked.contains(&it.event_id)
    });
    broken.extend(
        strange
            .map(|it| format!("{service} has applied {} {}, which nobody published", it.kind, it.event_id)),
    );
    broken
}
