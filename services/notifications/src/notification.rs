//! A notification: one thing that happened, in words for a person.
//!
//! - Its text never changes; only whether it was read does, and that is common to all users.
//! - `sequence` grows without gaps in the order of delivery.
//! - The lead it speaks of may be gone: then it names none.

use crate::happened::take_turn;
use async_graphql::{ComplexObject, Context, Enum, ID, Object, SimpleObject, dataloader::Loader};
use events::contract::{self, BulkAction, NotificationDeleted, NotificationUpdated, NotificationsUpdated};
use sea_orm::{
    ActiveEnum, EntityTrait, IntoActiveModel, PaginatorTrait, QueryOrder, QuerySelect, Select,
    entity::prelude::*, sea_query::ExprTrait,
};
use serde::Serialize;
use std::collections::HashMap;
use subgraph::{ContextExt, Error, Id, Offset, Result, Service, diff};

/// One thing that happened. Every user sees every notification.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject, Serialize)]
#[sea_orm(table_name = "notification")]
#[graphql(name = "Notification", complex)]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    #[graphql(skip)]
    pub id: Uuid,
    /// What kind of thing happened.
    #[sea_orm(column_name = "type")]
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: NotificationType,
    /// What happened, in a few words.
    pub title: String,
    /// What happened, in a sentence.
    pub message: String,
    /// Whether somebody has read it.
    pub is_read: bool,
    /// The id of the lead it is about; null when it is about none, or that one was removed.
    pub related_lead_id: Option<i32>,
    /// Grows without gaps in the order of delivery.
    pub sequence: i32,
    /// When it happened.
    pub created_at: DateTimeUtc,
    /// When it was last marked as read, else when it happened.
    pub updated_at: DateTimeUtc,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(24))", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum NotificationType {
    /// Leads were added to the pipeline.
    LeadCreated,
    /// Somebody completed a task.
    TaskCompleted,
    /// A lead's score moved to another band, or all scores were calculated anew.
    ScoreUpdated,
    /// An interaction got new notes.
    CommentAdded,
}

/// No relations: a lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    fn newest_first() -> Select<Self> {
        Self::find().order_by_desc(Column::CreatedAt).order_by_desc(Column::Id)
    }

    /// The one that a client names, locked so that it can be changed.
    async fn named(id: &str, tx: &impl ConnectionTrait) -> Result<Model> {
        let unknown = || Error::not_found("Notification", shortened(id));
        let uuid = Uuid::parse_str(id).map_err(|_| unknown())?;
        Self::find_by_id(uuid).lock_exclusive().one(tx).await?.ok_or_else(unknown)
    }
}

/// As it is told to others.
impl From<&Model> for contract::Notification {
    fn from(row: &Model) -> Self {
        let Model { id, kind, title, message, is_read, related_lead_id, sequence, .. } = row.clone();
        let Model { created_at, updated_at, .. } = *row;
        let kind = kind.to_value();
        Self { id, kind, title, message, is_read, related_lead_id, sequence, created_at, updated_at }
    }
}

/// As it was told.
impl TryFrom<contract::Notification> for Model {
    type Error = Error;

    fn try_from(told: contract::Notification) -> Result<Self> {
        let contract::Notification { id, kind, title, message, is_read, related_lead_id, sequence, .. } =
            told;
        let kind = NotificationType::try_from_value(&kind)?;
        let (created_at, updated_at) = (told.created_at, told.updated_at);
        Ok(Self { id, kind, title, message, is_read, related_lead_id, sequence, created_at, updated_at })
    }
}

/// The condition of the index of unread notifications; `is_read = $1` could not use it.
fn unread() -> Expr {
    Column::IsRead.into_expr().not()
}

/// An id as it may stand in a message, however long the one was that the client sent.
fn shortened(id: &str) -> String {
    const LENGTH: usize = 36;
    let mut chars = id.chars();
    let start: String = chars.by_ref().take(LENGTH).collect();
    if chars.next().is_some() { format!("{start}…") } else { start }
}

/// The notification with this id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ByUuid(Uuid);

impl Loader<ByUuid> for Service {
    type Value = Model;
    type Error = Error;

    async fn load(&self, keys: &[ByUuid]) -> Result<HashMap<ByUuid, Model>> {
        let ids = keys.iter().map(|key| key.0);
        let rows = Entity::find().filter(Column::Id.is_in(ids)).all(self.db.read()).await?;
        Ok(rows.into_iter().map(|row| (ByUuid(row.id), row)).collect())
    }
}

/// A person who may become a customer.
#[derive(Clone, Copy, Debug, SimpleObject)]
#[graphql(unresolvable = "id")]
pub(crate) struct Lead {
    /// The lead's id.
    id: Id,
}

#[ComplexObject]
impl Model {
    /// UUID.
    async fn id(&self) -> ID {
        self.id.into()
    }

    /// The lead it is about; null when it is about none, or that one was removed.
    async fn related_lead(&self) -> Option<Lead> {
        self.related_lead_id.map(|id| Lead { id: Id(id) })
    }
}

#[derive(Debug, Default)]
pub(crate) struct NotificationQuery;

#[Object]
impl NotificationQuery {
    /// What happened, newest first.
    #[graphql(complexity = "Offset::cost(limit, child_complexity)")]
    async fn get_notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Leave out what was read.", default_with = "Some(false)")] unread_only: Option<bool>,
        #[graphql(desc = "How many, 1 to 500.", default = 50)] limit: Option<i32>,
        #[graphql(desc = "How many to leave out first, 0 to 10000.", default = 0)] offset: Option<i32>,
    ) -> Result<Vec<Model>> {
        let page = Offset::try_new(limit, offset)?;
        let list = Entity::newest_first().limit(page.limit).offset(page.offset);
        let list = if unread_only == Some(true) { list.filter(unread()) } else { list };
        Ok(list.all(ctx.db()).await?)
    }

    /// How many notifications nobody has read.
    async fn get_unread_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = Entity::find().filter(unread()).count(ctx.db()).await?;
        i32::try_from(count).map_err(Error::internal)
    }

    #[graphql(entity)]
    async fn notification_by_id(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Model>> {
        let Ok(id) = Uuid::parse_str(&id) else { return Ok(None) };
        ctx.load(ByUuid(id)).await
    }
}

#[derive(Debug, Default)]
pub(crate) struct NotificationMutation;

#[Object]
impl NotificationMutation {
    /// Marks one notification as read, for everybody. Doing it again changes nothing.
    async fn mark_as_read(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The notification's UUID.")] id: String,
    ) -> Result<Model> {
        let mut change = ctx.change().await?;
        let before = Entity::named(&id, change.tx()).await?;
        if before.is_read {
            return Ok(before);
        }
        let mut row = before.clone().into_active_model();
        row.is_read = sea_orm::Set(true);
        row.updated_at = sea_orm::Set(change.at());
        let after = row.update(change.tx()).await?;
        let told = NotificationUpdated { notification: (&after).into() };
        change.record_event("notification.read", after.id, &diff(&before, &after)?, &told)?;
        change.finish(after).await
    }

    /// Marks all notifications as read, for everybody, and tells how many were unread.
    async fn mark_all_as_read(&self, ctx: &Context<'_>) -> Result<i32> {
        let mut change = ctx.change().await?;
        // Many rows, as when a lead is removed: one after the other, or the two would wait for each other
        take_turn(&change).await?;
        let update = Entity::update_many().filter(unread()).col_expr(Column::IsRead, Expr::val(true));
        let update = update.col_expr(Column::UpdatedAt, Expr::val(change.at()));
        let count = i32::try_from(update.exec(change.tx()).await?.rows_affected).map_err(Error::internal)?;
        if count == 0 {
            return Ok(0);
        }
        let told = NotificationsUpdated { action: BulkAction::MarkAllRead, count };
        change.record_event("notification.read_all", "*", &serde_json::json!({ "count": count }), &told)?;
        change.finish(count).await
    }

    /// Deletes a notification, for everybody. True when it is gone.
    async fn delete_notification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The notification's UUID.")] id: String,
    ) -> Result<bool> {
        let mut change = ctx.change().await?;
        let row = Entity::named(&id, change.tx()).await?;
        row.clone().delete(change.tx()).await?;
        change.record_event("notification.deleted", row.id, &row, &NotificationDeleted { id: row.id })?;
        change.finish(true).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_repeats_an_id_but_no_book() {
        let uuid = "0190a000-0000-7000-8000-000000000001";
        assert_eq!(shortened(uuid), uuid);
        assert_eq!(shortened(&"é".repeat(5_000)), format!("{}…", "é".repeat(36)));
    }
}
