//! Every event that people are to be told of has exactly one notification, and their sequence has no gap.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::Allowed;
use super::facts::{Facts, Notification, Row};

/// A notification that there has to be.
struct Demand {
    kind: &'static str,
    title: &'static str,
    /// Where what happened fixes it.
    message: Option<String>,
    lead: Option<i32>,
    /// All leads it speaks of are gone: what arrives late for one is dropped.
    may_be_missing: bool,
}

impl Demand {
    fn of(kind: &'static str, title: &'static str, message: Option<String>) -> Self {
        Self { kind, title, message, lead: None, may_be_missing: false }
    }

    fn about(self, facts: &Facts, lead: &Value) -> Self {
        let lead = lead.as_i64().and_then(|id| i32::try_from(id).ok());
        Self { lead, may_be_missing: lead.is_some_and(|id| facts.removed.contains(&id)), ..self }
    }
}

/// What a notification tells of: an event, or a piece of bulk work.
type Cause = Uuid;

pub(super) fn broken(facts: &Facts, allowed: &Allowed) -> Vec<String> {
    let mut broken = sequences(facts);
    let (demands, causes) = demands(facts, allowed);
    let mut made: BTreeMap<Cause, Vec<Uuid>> = BTreeMap::new();
    let created =
        facts.services["notifications"].audit.values().filter(|it| it.action == "notification.created");
    for change in created {
        let event = change.request_id.strip_prefix("event:").and_then(|id| id.parse::<Uuid>().ok());
        let notification = change.entity_id.parse::<Uuid>().ok();
        match (event.and_then(|id| causes.get(&id).copied()), notification) {
            (Some(cause), Some(notification)) => made.entry(cause).or_default().push(notification),
            _ if event.is_some_and(|id| allowed.foreign.contains(&id)) => {}
            _ => broken.push(format!(
                "the notification {} tells of no event ({})",
                change.entity_id, change.request_id
            )),
        }
    }
    for (cause, demand) in &demands {
        let made = made.get(cause).map_or(&[][..], Vec::as_slice);
        match (demand, made) {
            (None, []) => {}
            (Some(demand), []) if demand.may_be_missing => {}
            (Some(demand), []) => broken.push(format!("nobody was told of {cause}: {}", demand.title)),
            (None, [first, ..]) => {
                broken.push(format!("the notification {first} tells of {cause}, which concerns nobody"));
            }
            (Some(demand), [one]) => {
                broken.extend(facts.notifications.get(one).and_then(|it| misfit(facts, demand, it)));
            }
            (_, [_, _, ..]) => broken.push(format!("{} notifications tell of {cause}: {made:?}", made.len())),
        }
    }
    broken
}

/// What has to be told, by its cause; and the cause that each event belongs to.
fn demands(facts: &Facts, allowed: &Allowed) -> (BTreeMap<Cause, Option<Demand>>, BTreeMap<Uuid, Cause>) {
    let (mut demands, mut causes) = (BTreeMap::<Cause, Option<Demand>>::new(), BTreeMap::new());
    for event in
        facts.events().filter(|it| it.row.published_at.is_some() && !allowed.parked.contains(&it.row.id))
    {
        let demand = demand(facts, event);
        let bulk = event.envelope.batch.filter(|_| demand.as_ref().is_some_and(|it| it.lead.is_none()));
        let cause = bulk.unwrap_or(event.row.id);
        causes.insert(event.row.id, cause);
        match (demands.get_mut(&cause), demand) {
            // One lead of a batch is enough
            (Some(Some(known)), Some(new)) => known.may_be_missing &= new.may_be_missing,
            (_, demand) => {
                demands.insert(cause, demand);
            }
        }
    }
    (demands, causes)
}

/// What people are told of one event.
fn demand(facts: &Facts, event: &Row) -> Option<Demand> {
    let (data, alone) = (&event.envelope.data, event.envelope.batch.is_none());
    match &*event.row.kind {
        "lead.created" => lead_created(facts, event),
        "task.completed" if alone => {
            let task = &data["task"];
            let words = |name| Some(format!("{} completed for {name}", task["title"].as_str()?));
            let message = task["leadName"].as_str().and_then(words);
            Some(Demand::of("TASK_COMPLETED", "Task Completed", message).about(facts, &task["leadId"]))
        }
        "interaction.created" | "interaction.updated" if alone => {
            let interaction = &data["interaction"];
            let changed = data.get("changed").and_then(Value::as_array);
            let noted = changed.is_none_or(|fields| fields.iter().any(|it| it == "notes"));
            interaction["notes"].as_str().filter(|_| noted)?;
            let message = interaction["leadName"].as_str().map(|name| format!("Note added to {name}"));
            Some(Demand::of("COMMENT_ADDED", "Note Added", message).about(facts, &interaction["leadId"]))
        }
        "score.updated" if alone => {
            let moved = data["previousBand"] != data["band"];
            let scores = !data["previousScore"].is_null() && !data["score"].is_null();
            let demand =
                Demand::of("SCORE_UPDATED", "Lead Score Updated", None).about(facts, &data["leadId"]);
            Some(demand).filter(|_| moved && scores)
        }
        "scores.recalculated" => Some(Demand::of("SCORE_UPDATED", "Lead Scores Recalculated", None)),
        _ => None,
    }
}

fn lead_created(facts: &Facts, event: &Row) -> Option<Demand> {
    let lead = &event.envelope.data["lead"];
    if let Some(size) = event.envelope.batchsize.filter(|size| *size > 1) {
        let message = format!("{size} leads added to pipeline");
        let demand = Demand::of("LEAD_CREATED", "New Leads Created", Some(message)).about(facts, &lead["id"]);
        return Some(Demand { lead: None, ..demand });
    }
    let message = format!("{} {} added to pipeline", lead["firstName"].as_str()?, lead["lastName"].as_str()?);
    Some(Demand::of("LEAD_CREATED", "New Lead Created", Some(message)).about(facts, &lead["id"]))
}

/// How a notification differs from what it should say.
fn misfit(facts: &Facts, demand: &Demand, notification: &Notification) -> Option<String> {
    let lead = demand.lead.filter(|id| facts.leads.contains_key(id));
    let fits = notification.kind == demand.kind
        && notification.title == demand.title
        && notification.related_lead_id == lead
        && demand.message.as_ref().is_none_or(|it| *it == notification.message);
    let wanted = (demand.kind, demand.title, &demand.message, lead);
    (!fits).then(|| format!("the notification {notification:?} should say {wanted:?}"))
}

/// From 1 on without a gap, in the order of the outbox; each is there or was deleted.
fn sequences(facts: &Facts) -> Vec<String> {
    let told = &facts.services["notifications"];
    let of_kind = |kind: &'static str| told.outbox.iter().filter(move |it| it.row.kind == kind);
    let deleted: BTreeSet<_> = of_kind("notification.deleted")
        .filter_map(|it| it.envelope.data["id"].as_str()?.parse::<Uuid>().ok())
        .collect();
    let mut broken = Vec::new();
    let mut count = 0;
    for (event, expected) in of_kind("notification.created").zip(1..) {
        let notification = &event.envelope.data["notification"];
        let id = notification["id"].as_str().and_then(|it| it.parse::<Uuid>().ok()).unwrap_or_default();
        if event.envelope.sequence.as_deref() != Some(&*i32::to_string(&expected)) {
            let sequence = &event.envelope.sequence;
            broken.push(format!(
                "the notification {id} has the sequence {sequence:?} in the place of {expected}"
            ));
        }
        match (facts.notifications.get(&id), deleted.contains(&id)) {
            (Some(row), false) if row.sequence == expected => {}
            (None, true) => {}
            (row, _) => {
                let row = row.map(|it| it.sequence);
                broken.push(format!("the notification {id} of sequence {expected} is stored as {row:?}"));
            }
        }
        count = expected;
    }
    let strangers = facts.notifications.values().filter(|it| it.sequence > count);
    broken.extend(strangers.map(|it| format!("the notification {} has no event", it.id)));
    if facts.notification_counter != i64::from(count) {
        broken.push(format!("{count} notifications were made, and counted {}", facts.notification_counter));
    }
    broken
}
