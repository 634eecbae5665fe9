//! Views equal what the owner has, and nothing belongs to what is gone.

use super::facts::{Facts, Lead};

pub(super) fn broken(facts: &Facts) -> Vec<String> {
    let mut broken: Vec<_> =
        facts.views.iter().flat_map(|(service, view)| views(facts, service, view)).collect();
    broken.extend(orphans(facts));
    broken.extend(revocations(facts));
    broken
}

/// A view has the owner's leads, a tombstone for each that was removed, and nothing else.
fn views(facts: &Facts, service: &str, view: &std::collections::BTreeMap<i32, Lead>) -> Vec<String> {
    let mut broken = Vec::new();
    for (id, lead) in &facts.leads {
        match view.get(id) {
            None => broken.push(format!("{service} does not know the lead {id}")),
            Some(seen) if seen != lead => {
                broken.push(format!("{service} sees another lead {id}: {seen:?} instead of {lead:?}"));
            }
            Some(_) => {}
        }
    }
    for id in &facts.removed {
        if view.get(id).is_none_or(|seen| seen.removed_at.is_none()) {
            broken.push(format!("{service} has no tombstone of the lead {id}"));
        } else if view[id].is_personal() {
            broken.push(format!("{service} still knows who the removed lead {id} was"));
        }
    }
    let unknown = view.keys().filter(|id| !facts.leads.contains_key(id) && !facts.removed.contains(id));
    broken.extend(unknown.map(|id| format!("{service} sees a lead {id} that never was")));
    broken
}

fn orphans(facts: &Facts) -> Vec<String> {
    let orphans = facts.belongings.iter().filter(|it| !facts.leads.contains_key(&it.lead_id));
    orphans
        .map(|it| format!("{} {} belongs to the lead {}, which is gone", it.table, it.id, it.lead_id))
        .collect()
}

/// Everybody knows the sessions that accounts ended, as long as tokens of theirs could still count.
fn revocations(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    let ended = facts.services["accounts"].outbox.iter().filter(|it| it.row.kind == "session.revoked");
    for event in ended {
        let data = &event.envelope.data;
        let (session, expires_at) = (data["session"].as_str(), data["expiresAt"].as_str());
        let expires_at = expires_at.and_then(|it| it.parse::<chrono::DateTime<chrono::Utc>>().ok());
        let (Some(session), Some(expires_at)) = (session, expires_at) else {
            broken.push(format!("accounts: the event session.revoked {} names no session", event.row.id));
            continue;
        };
        let unaware = facts.revoked.iter().filter(|(_, known)| known.get(session) != Some(&expires_at));
        if expires_at > facts.now {
            broken.extend(
                unaware.map(|(it, _)| format!("{it} does not know that the session {session} ended")),
            );
        }
    }
    let known = &facts.revoked["accounts"];
    for (service, sessions) in &facts.revoked {
        let strange = sessions.iter().filter(|(it, end)| **end > facts.now && !known.contains_key(*it));
        broken.extend(
            strange.map(|(it, _)| format!("{service} says that the session {it} ended; accounts does not")),
        );
    }
    broken
}
