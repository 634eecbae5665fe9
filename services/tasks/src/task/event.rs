//! What other services are told about tasks.

use super::Model;
use events::contract::{Task, TaskCompleted, TaskCreated, TaskRemoved, TaskUpdated};
use sea_orm::ActiveEnum;
use subgraph::changed;

/// That a task was made.
pub(crate) fn created(task: &Model, lead_name: Option<String>) -> TaskCreated {
    TaskCreated { task: told(task, lead_name) }
}

/// That a task was changed.
pub(super) fn updated(old: &Model, new: &Model, lead_name: Option<String>) -> TaskUpdated {
    TaskUpdated { task: told(new, lead_name), changed: differences(old, new) }
}

/// That a task was done.
pub(super) fn completed(task: &Model, lead_name: Option<String>) -> TaskCompleted {
    TaskCompleted { task: told(task, lead_name) }
}

/// That a task was removed.
pub(super) fn removed(task: &Model) -> TaskRemoved {
    TaskRemoved { id: task.id.0, version: task.version + 1, lead_id: task.lead_id }
}

fn told(task: &Model, lead_name: Option<String>) -> Task {
    Task {
        id: task.id.0,
        version: task.version,
        title: task.title.clone(),
        due_date: task.due_date,
        completed: task.completed,
        completed_at: task.completed_at,
        source: task.source.to_value(),
        suggestion_kind: task.suggestion_kind.clone(),
        priority: task.priority.map(|priority| priority.to_value()),
        lead_id: task.lead_id,
        lead_name,
        created_at: task.created_at,
        updated_at: task.updated_at,
    }
}

/// The fields a change changed; it can change no others.
fn differences(old: &Model, new: &Model) -> Vec<String> {
    changed([
        ("title", old.title != new.title),
        ("description", old.description != new.description),
        ("dueDate", old.due_date != new.due_date),
        ("completed", old.completed != new.completed),
        ("completedAt", old.completed_at != new.completed_at),
        ("source", old.source != new.source),
        ("aiReasoning", old.ai_reasoning != new.ai_reasoning),
        ("priority", old.priority != new.priority),
    ])
}
