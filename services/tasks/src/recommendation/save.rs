//! Saving suggestions: none twice, and nothing that people have decided on.

use super::{kind::Kind, plan::Plan, provider::MOST, standing::Standing};
use crate::task::{Entity, Model, event, to_insert};
use sea_orm::{ActiveEnum, EntityTrait, sea_query::OnConflict};
use std::cmp::Reverse;
use subgraph::{Change, Result};

/// What is suggested for a lead.
pub(super) struct Saved {
    /// One to three tasks, the most urgent first; none when nothing applies.
    pub tasks: Vec<Model>,
    /// Whether any of them is new. Otherwise there is nothing to commit.
    pub any_new: bool,
}

/// Saves what is planned, in the change's transaction. What was suggested already, and nobody has decided on, is not
/// saved again but is part of the answer; what was decided on is left out.
pub(super) async fn save(change: &mut Change, plan: Plan) -> Result<Saved> {
    // Whoever does the same at this moment waits here, and finds what this one has saved
    let lead = plan.lead.hold_alone(change).await?;
    let standing = Standing::of(change.tx(), lead.id).await?;
    let waiting = plan.fresh.map(|since| standing.waiting(since)).unwrap_or_default();
    if !waiting.is_empty() {
        return Ok(Saved { tasks: most_urgent(waiting), any_new: false });
    }
    let (mut tasks, mut new) = (Vec::new(), Vec::new());
    for draft in plan.drafts.into_iter().filter(|draft| standing.allows(draft)).take(MOST) {
        let kind = draft.kind;
        if let Some(task) = standing.undecided(kind) {
            tasks.push(task.clone());
        } else if let Some(task) = add(change, draft.into_task(lead.id, change.at())).await? {
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
    let any_new = !new.is_empty();
    tasks.extend(new);
    Ok(Saved { tasks: most_urgent(tasks), any_new })
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
