//! What clients send about a task, checked.

use super::{ActiveModel, Model, TaskPriority, TaskSource};
use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::NotSet, IntoActiveModel};
use serde::Serialize;
use subgraph::{Id, Patch, Result, RowId, validate::Validator};

/// Characters of a title, at most.
pub(crate) const MAX_TITLE: usize = 255;
/// Characters of a description, at most.
pub(crate) const MAX_DESCRIPTION: usize = 10_000;
/// Nothing is due later: the beginning of 2200, in seconds since 1970.
const LATEST: DateTime<Utc> = match DateTime::from_timestamp(7_258_118_400, 0) {
    Some(latest) => latest,
    None => DateTime::UNIX_EPOCH,
};

/// A new task.
#[derive(Clone, Debug, InputObject, Serialize)]
pub(crate) struct CreateTaskInput {
    /// What to do, 1 to 255 characters.
    title: String,
    /// What there is to know for it, up to 10,000 characters. Empty is the same as null.
    description: Option<String>,
    /// When it should be done, from 1970 to 2200.
    due_date: Option<DateTime<Utc>>,
    /// How much it matters.
    priority: Option<TaskPriority>,
    /// The id of the lead it is about.
    pub(super) lead_id: RowId,
}

impl CreateTaskInput {
    /// The task this makes at `now`. Its id is the database's to give.
    pub(super) fn into_task(self, now: DateTime<Utc>) -> Result<Model> {
        let Self { title, description, due_date, priority, lead_id } = self;
        let mut v = Validator::default();
        let task = Model {
            id: Id(0),
            title: v.line("title", &title, MAX_TITLE),
            description: description.and_then(|text| v.text("description", &text, MAX_DESCRIPTION)),
            due_date: due_date.map(|at| v.instant("dueDate", at, LATEST)),
            completed: false,
            completed_at: None,
            source: TaskSource::Manual,
            suggestion_kind: None,
            suggested_from: None,
            ai_reasoning: None,
            priority,
            lead_id: lead_id.0,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        v.finish()?;
        Ok(task)
    }
}

/// A row to insert, whose id the database gives.
pub(crate) fn to_insert(task: Model) -> ActiveModel {
    ActiveModel { id: NotSet, ..task.into_active_model().reset_all() }
}

/// Absent means unchanged, null clears (title and completed refuse null).
#[derive(Clone, Debug, InputObject)]
pub(crate) struct UpdateTaskInput {
    /// Which task.
    pub(super) id: RowId,
    /// What to do, 1 to 255 characters.
    title: MaybeUndefined<String>,
    /// What there is to know for it, up to 10,000 characters. Empty is the same as null.
    description: MaybeUndefined<String>,
    /// When it should be done, from 1970 to 2200.
    due_date: MaybeUndefined<DateTime<Utc>>,
    /// How much it matters.
    priority: MaybeUndefined<TaskPriority>,
    /// Whether it is done. True notes the time, once, and accepts what was suggested; false clears it.
    completed: MaybeUndefined<bool>,
}

impl UpdateTaskInput {
    /// The task as it is after this update at `now`; the same when nothing changes.
    pub(super) fn apply(self, old: &Model, now: DateTime<Utc>) -> Result<Model> {
        let Self { id: _, title, description, due_date, priority, completed } = self;
        let (mut v, mut new) = (Validator::default(), old.clone());
        if let Some(title) = title.required("title")? {
            new.title = v.line("title", &title, MAX_TITLE);
        }
        if let Some(text) = description.clearable() {
            new.description = text.and_then(|text| v.text("description", &text, MAX_DESCRIPTION));
        }
        if let Some(at) = due_date.clearable() {
            new.due_date = at.map(|at| v.instant("dueDate", at, LATEST));
        }
        if let Some(priority) = priority.clearable() {
            new.priority = priority;
        }
        if !says_the_same(old, &new) {
            // It is not what was suggested any more
            new.suggested_from = None;
        }
        if let Some(completed) = completed.required("completed")? {
            new = new.with_completed(completed, now);
        }
        v.finish()?;
        Ok(new)
    }
}

fn says_the_same(one: &Model, other: &Model) -> bool {
    (&one.title, &one.description, one.due_date, one.priority)
        == (&other.title, &other.description, other.due_date, other.priority)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use chrono::TimeDelta;
    use subgraph::Error;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    pub(in crate::task) fn input() -> CreateTaskInput {
        let (description, due_date) = (Some("one\n\ttwo".to_owned()), Some(NOW));
        CreateTaskInput { title: " Call ".into(), description, due_date, priority: None, lead_id: RowId(1) }
    }

    fn unchanged() -> UpdateTaskInput {
        UpdateTaskInput {
            id: RowId(1),
            title: MaybeUndefined::Undefined,
            description: MaybeUndefined::Undefined,
            due_date: MaybeUndefined::Undefined,
            priority: MaybeUndefined::Undefined,
            completed: MaybeUndefined::Undefined,
        }
    }

    #[test]
    fn a_new_task_is_a_persons_and_not_done() {
        let task = input().into_task(NOW).unwrap();
        assert_eq!((&*task.title, task.source, task.completed_at), ("Call", TaskSource::Manual, None));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let (description, due_date) = (Some("\u{7}".into()), Some(LATEST + TimeDelta::microseconds(1)));
        let bad = CreateTaskInput { title: "é".repeat(256), description, due_date, ..input() };
        let Err(Error::Invalid(faults)) = bad.into_task(NOW) else { panic!("accepted") };
        assert_eq!(faults.iter().map(|f| &*f.field).collect::<Vec<_>>(), ["title", "description", "dueDate"]);
    }

    #[test]
    fn due_dates_end_with_the_beginning_of_2200() {
        assert_eq!(LATEST.to_rfc3339(), "2200-01-01T00:00:00+00:00");
        assert!(CreateTaskInput { due_date: Some(LATEST), ..input() }.into_task(NOW).is_ok());
    }

    #[test]
    fn absent_leaves_null_clears_and_required_refuses_null() {
        let task = Model { priority: Some(TaskPriority::High), ..input().into_task(NOW).unwrap() };
        assert_eq!(unchanged().apply(&task, NOW).unwrap(), task);
        let (description, due_date, priority) =
            (MaybeUndefined::Null, MaybeUndefined::Null, MaybeUndefined::Null);
        let cleared =
            UpdateTaskInput { description, due_date, priority, ..unchanged() }.apply(&task, NOW).unwrap();
        assert_eq!((cleared.description, cleared.due_date, cleared.priority), (None, None, None));
        let untitled = UpdateTaskInput { title: MaybeUndefined::Null, ..unchanged() };
        let undecided = UpdateTaskInput { completed: MaybeUndefined::Null, ..unchanged() };
        for refused in [untitled, undecided] {
            assert_eq!(refused.apply(&task, NOW).unwrap_err().code(), "BAD_USER_INPUT");
        }
    }
    #[test]
    fn what_a_person_changed_is_not_what_was_suggested() {
        let task = Model { suggested_from: Some("1".into()), ..input().into_task(NOW).unwrap() };
        let done = UpdateTaskInput { completed: MaybeUndefined::Value(true), ..unchanged() };
        assert_eq!(done.apply(&task, NOW).unwrap().suggested_from, task.suggested_from);
        for changed in [
            UpdateTaskInput { title: MaybeUndefined::Value("Write".into()), ..unchanged() },
            UpdateTaskInput { description: MaybeUndefined::Null, ..unchanged() },
            UpdateTaskInput { due_date: MaybeUndefined::Null, ..unchanged() },
            UpdateTaskInput { priority: MaybeUndefined::Value(TaskPriority::Low), ..unchanged() },
        ] {
            assert_eq!(changed.apply(&task, NOW).unwrap().suggested_from, None);
        }
    }
}
