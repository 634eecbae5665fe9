//! Live delivery: notifications as they come, over WebSocket.

use crate::notification::Model;
use async_graphql::{ID, SimpleObject};
use futures_util::stream::{Empty, Stream};
use subgraph::{Error, Result};

/// Many notifications changed at once.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct BulkUpdate {
    /// What was done: `mark-all-read`.
    action: String,
    /// How many notifications changed.
    count: i32,
}

fn not_yet<T>() -> Result<Empty<T>> {
    Err(Error::not_built_yet("Live delivery"))
}

#[derive(Debug, Default)]
pub(crate) struct LiveSubscription;

#[async_graphql::Subscription]
impl LiveSubscription {
    /// New notifications, live; with afterSequence, first everything after it. NOT_FOUND when that
    /// is older than what is kept: query and start afresh.
    async fn notification_created(
        &self,
        #[graphql(desc = "The sequence of the last notification the client has.")] after_sequence: Option<
            i32,
        >,
    ) -> Result<impl Stream<Item = Model>> {
        let _ = after_sequence;
        not_yet()
    }

    /// Notifications that somebody marked as read.
    async fn notification_updated(&self) -> Result<impl Stream<Item = Model>> {
        not_yet()
    }

    /// The ids of notifications that somebody deleted.
    async fn notification_deleted(&self) -> Result<impl Stream<Item = ID>> {
        not_yet()
    }

    /// Changes of many notifications at once.
    async fn notifications_bulk_updated(&self) -> Result<impl Stream<Item = BulkUpdate>> {
        not_yet()
    }
}
