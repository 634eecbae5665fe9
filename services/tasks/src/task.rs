//! A task: one thing to do next with a lead.
//!
//! It belongs to one lead, who existed when it was made, and never moves to another one. It is
//! completed exactly when it has a time of completion. People make tasks; a suggested one has a
//! kind of suggestion, and is theirs once accepted. A dismissed task is kept. Sales reps do all of
//! this; managers also remove.

pub(crate) mod event;
mod input;
mod list;
mod mutation;

use crate::lead::Lead;
use async_graphql::{ComplexObject, Context, Enum, ID, Object, SimpleObject};
pub(crate) use input::{MAX_DESCRIPTION, MAX_TITLE, to_insert};
pub(crate) use list::condition;
use list::{TaskFilter, TaskOrder};
pub(crate) use mutation::{TaskMutation, store, tell};
use schemars::JsonSchema;
use sea_orm::{DatabaseTransaction, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};
use subgraph::{ContextExt, Error, Id, MAX_LIMIT, Offset, Result, RowId};

/// One thing to do next with a lead.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject, Serialize, Deserialize)]
#[sea_orm(table_name = "task")]
#[graphql(name = "Task", complex)]
pub struct Model {
    /// The task's id.
    #[sea_orm(primary_key)]
    pub id: Id,
    /// What to do, 1 to 255 characters.
    pub title: String,
    /// What there is to know for it.
    pub description: Option<String>,
    /// When it should be done.
    pub due_date: Option<DateTimeUtc>,
    /// Whether it is done.
    pub completed: bool,
    /// When it was done; null while it is not.
    pub completed_at: Option<DateTimeUtc>,
    /// Whose idea it is, and what became of it.
    pub source: TaskSource,
    /// The kind of recommendation; null for tasks people made.
    #[graphql(skip)]
    pub suggestion_kind: Option<String>,
    /// What was known of the lead when this was suggested; null for what people made or changed.
    #[graphql(skip)]
    #[serde(skip)]
    pub suggested_from: Option<String>,
    /// Why this was suggested; null for tasks people made.
    pub ai_reasoning: Option<String>,
    /// How much it matters; null when nobody said.
    pub priority: Option<TaskPriority>,
    /// The id of the lead it is about.
    pub lead_id: i32,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
    /// Grows by one with each change. Answers that were kept before there were versions have none.
    #[graphql(skip)]
    #[serde(default)]
    pub version: i32,
}

/// No relations: a lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Whose idea a task is, and what became of it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskSource {
    /// A person made it, or accepted it.
    Manual,
    /// It was suggested, and nobody has accepted or dismissed it yet.
    AiSuggested,
    /// A person does not want it. It is kept.
    Dismissed,
}

/// How much a task matters, in this order.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Enum,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskPriority {
    /// It can wait.
    Low,
    /// It should be done.
    Medium,
    /// It comes first.
    High,
}

impl Entity {
    /// The one a client names, locked so that it can be changed.
    async fn locked(tx: &DatabaseTransaction, RowId(id): RowId) -> Result<Model> {
        let row = Self::find_by_id(Id(id)).lock_exclusive().one(tx).await?;
        row.ok_or_else(|| Error::not_found("Task", id))
    }
}

impl Model {
    /// This task done at `at`, or not done. One that is done already keeps its time. Whoever does what was suggested
    /// accepts it, also if it was not done after all.
    fn with_completed(mut self, completed: bool, at: DateTimeUtc) -> Self {
        if completed && !self.completed && self.source == TaskSource::AiSuggested {
            self.source = TaskSource::Manual;
        }
        self.completed = completed;
        self.completed_at = completed.then(|| self.completed_at.unwrap_or(at));
        self
    }

    /// This task accepted, dismissed or as it was suggested.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for making a suggestion of what nobody suggested.
    fn with_source(mut self, source: TaskSource) -> Result<Self> {
        if source == TaskSource::AiSuggested && self.suggestion_kind.is_none() {
            return Err(Error::invalid("source", "cannot be AI_SUGGESTED: this task was never suggested"));
        }
        self.source = source;
        Ok(self)
    }

    /// This task, if it may be removed. A suggestion that is not there any more would be made again.
    ///
    /// # Errors
    /// `CONFLICT` for a suggestion that nobody accepted.
    fn removable(self) -> Result<Self> {
        let id = self.id;
        match self.source {
            TaskSource::AiSuggested => Err(Error::conflict(format!(
                "Task {id} is a suggestion, which would be made again: dismiss it instead"
            ))),
            TaskSource::Dismissed if self.suggestion_kind.is_some() => Err(Error::conflict(format!(
                "Task {id} is a dismissed suggestion, which is kept so that it is not made again"
            ))),
            _ => Ok(self),
        }
    }
}

#[ComplexObject]
impl Model {
    /// The lead it is about.
    async fn lead(&self) -> Option<Lead> {
        Some(Lead { id: Id(self.lead_id) })
    }
}

/// Queries for tasks.
#[derive(Default)]
pub struct TaskQuery;

#[Object]
impl TaskQuery {
    /// One task, or null when there is none with this id.
    async fn task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task's id.")] id: RowId,
    ) -> Result<Option<Model>> {
        ctx.by_id::<Entity>(id.0).await
    }

    /// The newest 500 tasks about one lead, newest first; none for a lead that does not exist. Go
    /// deeper with tasks and its filter leadId.
    #[graphql(complexity = "500 * child_complexity")]
    async fn tasks_by_lead_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lead's id.")] lead_id: RowId,
    ) -> Result<Vec<Model>> {
        let page = Offset::try_new(Some(MAX_LIMIT), None)?;
        TaskOrder::sort(None).offset(ctx.db(), TaskFilter::of_lead(lead_id).select(), page).await
    }

    /// Tasks, newest first unless ordered otherwise.
    #[graphql(complexity = "Offset::cost(limit, child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "All given conditions must hold.")] filter: Option<TaskFilter>,
        #[graphql(desc = "Newest first when absent.")] order_by: Option<TaskOrder>,
        #[graphql(default = 50, desc = "How many, 1 to 500.")] limit: Option<i32>,
        #[graphql(default = 0, desc = "How many to leave out first, 0 to 10,000.")] offset: Option<i32>,
    ) -> Result<Vec<Model>> {
        let page = Offset::try_new(limit, offset)?;
        TaskOrder::sort(order_by).offset(ctx.db(), filter.unwrap_or_default().select(), page).await
    }

    /// One task for other subgraphs.
    #[graphql(entity)]
    async fn find_task_by_id(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Model>> {
        match Id::parse(&id) {
            Some(id) => ctx.by_id::<Entity>(id.0).await,
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    const NOW: DateTimeUtc = DateTimeUtc::UNIX_EPOCH;

    fn task() -> Model {
        input::tests::input().into_task(NOW).unwrap()
    }

    #[test]
    fn completing_twice_keeps_the_first_time_and_undoing_clears_it() {
        let done = task().with_completed(true, NOW);
        assert_eq!((done.completed, done.completed_at), (true, Some(NOW)));
        assert_eq!(done.clone().with_completed(true, NOW + TimeDelta::hours(1)), done);
        assert_eq!(done.with_completed(false, NOW), task());
    }

    #[test]
    fn whoever_does_what_was_suggested_accepts_it() {
        let suggested = |source| Model { suggestion_kind: Some("FOLLOW_UP".into()), source, ..task() };
        let done = suggested(TaskSource::AiSuggested).with_completed(true, NOW);
        assert_eq!((done.source, done.completed), (TaskSource::Manual, true));
        assert_eq!(done.clone().with_completed(false, NOW).source, TaskSource::Manual);
        let undecided = done.with_source(TaskSource::AiSuggested).unwrap();
        assert_eq!(undecided.clone().with_completed(true, NOW), undecided, "done already");
        let dismissed = suggested(TaskSource::Dismissed).with_completed(true, NOW);
        assert_eq!(dismissed.source, TaskSource::Dismissed);
    }

    #[test]
    fn only_what_is_not_suggested_again_is_removed() {
        let suggested = |source| Model { suggestion_kind: Some("FOLLOW_UP".into()), source, ..task() };
        for source in [TaskSource::AiSuggested, TaskSource::Dismissed] {
            assert_eq!(suggested(source).removable().unwrap_err().code(), "CONFLICT", "{source:?}");
        }
        assert!(suggested(TaskSource::Manual).removable().is_ok());
        assert!(Model { source: TaskSource::Dismissed, ..task() }.removable().is_ok(), "a person's idea");
    }

    #[test]
    fn only_a_suggested_task_goes_back_to_being_a_suggestion() {
        let dismissed = task().with_source(TaskSource::Dismissed).unwrap();
        assert_eq!(dismissed.clone().with_source(TaskSource::Manual).unwrap(), task());
        assert_eq!(dismissed.with_source(TaskSource::AiSuggested).unwrap_err().code(), "BAD_USER_INPUT");
        let suggested = Model { suggestion_kind: Some("FOLLOW_UP".into()), ..task() };
        assert_eq!(suggested.with_source(TaskSource::AiSuggested).unwrap().source, TaskSource::AiSuggested);
    }
}
