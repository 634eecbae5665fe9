//! Live delivery: notifications as they come, over WebSocket.

use crate::{
    happened::SEQUENCE,
    notification::{Column, Entity, Model},
};
use async_graphql::{Context, ID, SimpleObject};
use events::contract::{
    BulkAction, NotificationCreated, NotificationDeleted, NotificationUpdated, NotificationsUpdated,
};
use futures_util::stream::{Stream, StreamExt};
use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*};
use subgraph::{Error, LiveContext, Result, Service, counter};

/// How far back a client can go on: beyond it, the lists are the better way to catch up.
const KEPT: i64 = 10_000;

/// Many notifications changed at once.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct BulkUpdate {
    /// What was done: `mark-all-read`.
    action: String,
    /// How many notifications changed.
    count: i32,
}

impl From<NotificationsUpdated> for BulkUpdate {
    fn from(event: NotificationsUpdated) -> Self {
        Self { action: action(event.action).into(), count: event.count }
    }
}

/// What clients call what was done.
pub(crate) fn action(action: BulkAction) -> &'static str {
    match action {
        BulkAction::MarkAllRead => "mark-all-read",
    }
}

#[derive(Debug, Default)]
pub(crate) struct LiveSubscription;

#[async_graphql::Subscription]
impl LiveSubscription {
    /// New notifications, live; with afterSequence, first everything after it. NOT_FOUND when that
    /// is older than what is kept: query and start afresh.
    async fn notification_created(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The sequence of the last notification the client has.")] after_sequence: Option<
            i32,
        >,
    ) -> Result<impl Stream<Item = Result<Model>>> {
        if after_sequence.is_some_and(|after| after < 0) {
            return Err(Error::invalid("afterSequence", "must not be negative"));
        }
        let created = ctx.follow_from::<NotificationCreated, _>(after_sequence, missed)?;
        Ok(created.map(|event| event.notification.try_into()))
    }

    /// Notifications that somebody marked as read.
    async fn notification_updated(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Result<Model>>> {
        let updated = ctx.follow::<NotificationUpdated>()?;
        Ok(updated.map(|event| event.notification.try_into()))
    }

    /// The ids of notifications that somebody deleted.
    async fn notification_deleted(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = ID>> {
        Ok(ctx.follow::<NotificationDeleted>()?.map(|event| event.id.into()))
    }

    /// Changes of many notifications at once.
    async fn notifications_bulk_updated(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = BulkUpdate>> {
        Ok(ctx.follow::<NotificationsUpdated>()?.map(Into::into))
    }
}

/// What a client missed after a sequence: the notifications there are, as they are now.
async fn missed(service: Service, after: i32, limit: u64) -> Result<Vec<(i32, NotificationCreated)>> {
    let db = service.db.read();
    let last = counter::Entity::find_by_id(SEQUENCE).one(db).await?.map_or(0, |counter| counter.value);
    can_go_on(after, last)?;
    let rows = Entity::find().filter(Column::Sequence.gt(after)).order_by_asc(Column::Sequence);
    let rows = rows.limit(limit).all(db).await?;
    let told = |row: &Model| (row.sequence, NotificationCreated { notification: row.into() });
    Ok(rows.iter().map(told).collect())
}

/// Whether what comes after a sequence is kept, when `last` is the last one there is. One after that was never
/// given: the client knows another database.
fn can_go_on(after: i32, last: i64) -> Result<()> {
    if !(0..=KEPT).contains(&(last - i64::from(after))) {
        let why = format!("What follows sequence {after} is not kept; query and start afresh");
        return Err(Error::NotFound(why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_goes_on_where_nothing_is_lost() {
        for (after, last) in [(0, 0), (7, 7), (0, KEPT), (1, KEPT + 1)] {
            assert_eq!(can_go_on(after, last), Ok(()), "{after} of {last}");
        }
        for (after, last) in [(1, 0), (8, 7), (0, KEPT + 1), (i32::MAX, 0)] {
            assert_eq!(can_go_on(after, last).unwrap_err().code(), "NOT_FOUND", "{after} of {last}");
        }
    }
}
