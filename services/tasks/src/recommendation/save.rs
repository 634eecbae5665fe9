//! Saving suggestions: none twice, and nothing that people have decided on.

use super::{draft::Draft, kind::Kind, plan::Plan, provider::MOST, standing::Standing};
use crate::task::{self, Entity, Model, event, to_insert};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveEnum, EntityTrait, sea_query::OnConflict};
use std::{cmp::Reverse, collections::BTreeSet};
use subgraph::{Change, Result};

/// What is suggested for a lead.
pub(super) struct Saved {
    /// One to three tasks, the most urgent first; none when nothing applies.
    pub tasks: Vec<Model>,
    /// Whether any of them is new or was brought up to date. Otherwise there is nothing to commit.
    pub any_changed: bool,
}

/// Saves what is planned, in the change's transaction. Where something of a kind was suggested already, and nobody has
/// decided on it, that one is brought up to date instead, unless a person has changed it; what was decided on is left
/// out. Suggestions that do not apply any more stay as they are until somebody decides, and are no part of the answer.
pub(super) async fn save(change: &mut Change, plan: Plan) -> Result<Saved> {
    let Plan { lead, drafts, basis, has_provider } = plan;
    // Whoever does the same at this moment waits here, and finds what this one has saved
    let lead = lead.hold_alone(change).await?;
    let standing = Standing::held(change, lead.id).await?;
    let waiting = if has_provider { standing.waiting(&basis) } else { Vec::new() };
    if !waiting.is_empty() {
        return Ok(Saved { tasks: most_urgent(waiting), any_changed: false });
    }
    let (mut tasks, mut new, mut any_changed) = (Vec::new(), Vec::new(), false);
    for draft in chosen(drafts, &standing) {
        let (kind, now) = (draft.kind, change.at());
        let task = Model { suggested_from: Some(basis.facts.clone()), ..draft.into_task(lead.id, now) };
        if let Some(old) = standing.undecided(kind) {
            let is_outdated = is_outdated(old, &task, now);
            tasks.push(if is_outdated { renew(change, old, task).await? } else { old.clone() });
            any_changed |= is_outdated;
        } else if let Some(task) = add(change, task).await? {
            new.push(task);
        } else {
            tasks.extend(Standing::of(change.tx(), lead.id).await?.undecided(kind).cloned());
        }
    }
    if new.len() > 1 {
        change.begin_batch(new.len());
    }
    for task in &new {
        change.record_event("task.created", task.id, task, &event::created(task, lead.name()))?;
    }
    any_changed |= !new.is_empty();
    tasks.extend(new);
    Ok(Saved { tasks: most_urgent(tasks), any_changed })
}

/// The first one of each kind that may be suggested.
fn chosen(drafts: Vec<Draft>, standing: &Standing) -> impl Iterator<Item = Draft> {
    let mut kinds = BTreeSet::new();
    let allowed = drafts.into_iter().filter(|draft| standing.allows(draft));
    allowed.filter(move |draft| kinds.insert(draft.kind)).take(MOST)
}

/// Whether a suggestion that nobody has decided on says something else than it would now, or is late itself. What a
/// person has changed is theirs.
fn is_outdated(old: &Model, new: &Model, now: DateTime<Utc>) -> bool {
    let says_the_same = (&old.title, &old.ai_reasoning) == (&new.title, &new.ai_reasoning);
    let is_late = old.due_date.is_some_and(|due| due < now);
    old.suggested_from.is_some() && (!says_the_same || is_late)
}

/// Brings a suggestion up to date.
async fn renew(change: &mut Change, old: &Model, new: Model) -> Result<Model> {
    let new = task::store(change, old, Model { id: old.id, created_at: old.created_at, ..new }).await?;
    task::tell(change, old, &new).await?;
    Ok(new)
}

/// Adds a suggestion, unless somebody has opened an older one of its kind again in this moment.
async fn add(change: &Change, task: Model) -> Result<Option<Model>> {
    let unless_there = OnConflict::new().do_nothing().to_owned();
    // As if they were many: for none, the insertion of one row has an error that says something else
    let rows = Entity::insert_many([to_insert(task)]).on_conflict(unless_there);
    Ok(rows.exec_with_returning(change.tx()).await?.pop())
}

/// By what matters most, then by kind.
fn most_urgent(mut tasks: Vec<Model>) -> Vec<Model> {
    let kind = |task: &Model| task.suggestion_kind.as_ref().and_then(|kind| Kind::try_from_value(kind).ok());
    tasks.sort_by_key(|task| (Reverse(task.priority), kind(task), task.id));
    tasks.truncate(MOST);
    tasks
}
