//! What happens to tasks.

use super::{event, example_time};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A task, as it is after what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The task's id.
    pub id: i32,
    /// Grows by one with each change.
    pub version: i32,
    /// What to do.
    pub title: String,
    /// When it should be done.
    pub due_date: Option<DateTime<Utc>>,
    /// Whether it is done.
    pub completed: bool,
    /// When it was done.
    pub completed_at: Option<DateTime<Utc>>,
    /// `MANUAL`, `AI_SUGGESTED` or `DISMISSED`.
    pub source: String,
    /// The kind of recommendation it was, where it was one.
    pub suggestion_kind: Option<String>,
    /// `LOW`, `MEDIUM` or `HIGH`.
    pub priority: Option<String>,
    /// The lead it is about.
    pub lead_id: i32,
    /// What the lead was called, where that was known.
    pub lead_name: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Task {
    /// One as it could be.
    pub fn example() -> Self {
        Self {
            id: 49,
            version: 1,
            title: "Send proposal".into(),
            due_date: Some(example_time()),
            completed: false,
            completed_at: None,
            source: "MANUAL".into(),
            suggestion_kind: None,
            priority: Some("HIGH".into()),
            lead_id: 42,
            lead_name: Some("John Doe".into()),
            created_at: example_time(),
            updated_at: example_time(),
        }
    }
}

/// A task was made or suggested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCreated {
    /// The new task.
    pub task: Task,
}

/// A task was changed, accepted, dismissed or opened again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskUpdated {
    /// The task after the change.
    pub task: Task,
    /// The fields that changed, by their names in `task`, or in the graph for those that are not here.
    pub changed: Vec<String>,
}

/// A task was done, whatever else changed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCompleted {
    /// The task after it was done.
    pub task: Task,
}

/// A task was removed by itself; those of a lead that is removed go with it unmentioned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskRemoved {
    /// The id it had.
    pub id: i32,
    /// The version after its last one.
    pub version: i32,
    /// The lead it was about.
    pub lead_id: i32,
}

event!(TaskCreated, "task.created" by "tasks", |it| format!("task/{}", it.task.id), |it| Some(it.task.version),
    Self { task: Task::example() });
event!(TaskUpdated, "task.updated" by "tasks", |it| format!("task/{}", it.task.id), |it| Some(it.task.version),
    Self { task: Task { version: 2, ..Task::example() }, changed: vec!["title".into()] });
event!(TaskCompleted, "task.completed" by "tasks", |it| format!("task/{}", it.task.id), |it| Some(it.task.version),
    Self { task: Task { version: 3, completed: true, completed_at: Some(example_time()), ..Task::example() } });
event!(TaskRemoved, "task.removed" by "tasks", |it| format!("task/{}", it.id), |it| Some(it.version),
    Self { id: 49, version: 4, lead_id: 42 });
