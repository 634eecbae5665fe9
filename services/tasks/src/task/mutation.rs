//! Changes of tasks.

use super::{
    Column, Entity, Model, TaskSource, event,
    input::{CreateTaskInput, UpdateTaskInput, to_insert},
};
use async_graphql::{Context, Object};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, SqlErr, sea_query::Expr,
};
use subgraph::{Change, ContextExt, Error, Result, RowId, Service, diff};

/// Mutations of tasks.
#[derive(Default)]
pub struct TaskMutation;

#[Object]
impl TaskMutation {
    /// Makes a task about a lead.
    async fn create_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new task.")] input: CreateTaskInput,
        #[graphql(desc = "The same key answers as the first time, for 24 hours.")] idempotency_key: Option<
            String,
        >,
    ) -> Result<Model> {
        let key = idempotency_key.as_deref();
        if let Some(task) = ctx.replayed("createTask", key, &input).await? {
            return Ok(task);
        }
        let new = input.clone().into_task(ctx.service().clock.now())?;
        let lead = leadview::known(ctx.service(), new.lead_id).await?;
        let mut change = ctx.change().await?;
        if let Some(task) = change.replay("createTask", key, &input).await? {
            return Ok(task);
        }
        let lead = lead.hold(&change).await?;
        let task = to_insert(new).insert(change.tx()).await?;
        change.record_event("task.created", task.id, &task, &event::created(&task, lead.name()))?;
        change.finish(task).await
    }

    /// Changes a task. One that stays the same keeps its updatedAt.
    async fn update_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateTaskInput,
    ) -> Result<Model> {
        let change = ctx.change().await?;
        let old = Entity::locked(change.tx(), input.id).await?;
        let new = input.apply(&old, change.at())?;
        save(change, old, new).await
    }

    /// Marks a task as done, and accepts it if it was suggested. Doing it again changes nothing.
    async fn complete_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task's id.")] id: RowId,
    ) -> Result<Model> {
        let change = ctx.change().await?;
        let old = Entity::locked(change.tx(), id).await?;
        let new = old.clone().with_completed(true, change.at());
        save(change, old, new).await
    }

    /// MANUAL accepts, DISMISSED dismisses (kept, never deleted), AI_SUGGESTED undoes either; only
    /// what was suggested can be AI_SUGGESTED. Doing it again changes nothing.
    async fn update_task_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task's id.")] task_id: RowId,
        #[graphql(desc = "What becomes of it.")] source: TaskSource,
    ) -> Result<Model> {
        let change = ctx.change().await?;
        let old = Entity::locked(change.tx(), task_id).await?;
        let new = old.clone().with_source(source)?;
        save(change, old, new).await
    }

    /// Removes a task, for good. True when it is gone. A suggestion that nobody accepted is CONFLICT: it would be made
    /// again. Dismiss it instead; what was dismissed is kept, and goes with the lead.
    async fn remove_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task's id.")] id: RowId,
    ) -> Result<bool> {
        let mut change = ctx.change().await?;
        let task = Entity::locked(change.tx(), id).await?.removable()?;
        Entity::delete_by_id(task.id).exec(change.tx()).await?;
        change.record_event("task.removed", task.id, &task, &event::removed(&task))?;
        change.finish(true).await
    }
}

/// Saves `new` in the place of `old`; nothing happens when they are the same. Whatever makes a task done is its
/// completion.
async fn save(mut change: Change, old: Model, new: Model) -> Result<Model> {
    if new == old {
        return Ok(old);
    }
    let new = match store(&change, &old, new).await {
        Err(error) if is_taken(&error) => {
            let service = change.service().clone();
            drop(change);
            return Err(suggested_already(&service, &old).await);
        }
        stored => stored?,
    };
    tell(&mut change, &old, &new).await?;
    change.finish(new).await
}

/// Stores `new` in the place of `old`, which is locked, as its next version.
pub(crate) async fn store(change: &Change, old: &Model, new: Model) -> Result<Model, DbErr> {
    let new = Model { version: old.version + 1, updated_at: change.at(), ..new };
    new.into_active_model().reset_all().update(change.tx()).await
}

/// Records and tells that `old` became `new`.
pub(crate) async fn tell(change: &mut Change, old: &Model, new: &Model) -> Result<()> {
    let lead = leadview::name(change.tx(), new.lead_id).await?;
    let details = diff(old, new)?;
    if new.completed && !old.completed {
        change.record_event("task.completed", new.id, &details, &event::completed(new, lead))
    } else {
        change.record_event("task.updated", new.id, &details, &event::updated(old, new, lead))
    }
}

/// Whether the lead has another suggestion of this kind that nobody has decided on: the only thing that is unique.
fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Says which suggestion is in the way of one that was to become undecided again.
async fn suggested_already(service: &Service, task: &Model) -> Error {
    let undecided = Expr::cust("source = 'AI_SUGGESTED' AND NOT completed");
    let other = Entity::find().filter(undecided).filter(Column::LeadId.eq(task.lead_id));
    let other = other.filter(Column::SuggestionKind.eq(task.suggestion_kind.as_deref()));
    match other.one(service.db.read()).await {
        Ok(Some(Model { id, .. })) => Error::Conflict {
            message: format!("Task {id} suggests the same, and nobody has decided on it yet"),
            existing_id: Some(id.to_string()),
        },
        // Somebody has, in this moment
        Ok(None) => Error::Unavailable("Something else was suggested at the same moment; try again".into()),
        Err(error) => error.into(),
    }
}
