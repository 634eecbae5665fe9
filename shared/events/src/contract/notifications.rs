//! What happens to notifications. They are told live to everybody who is signed in.

use super::{event, example_time};
use crate::envelope::Event;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A notification, as it is after what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// The notification's id.
    pub id: Uuid,
    /// `LEAD_CREATED`, `TASK_COMPLETED`, `SCORE_UPDATED` or `COMMENT_ADDED`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in a few words.
    pub title: String,
    /// What happened, in a sentence.
    pub message: String,
    /// Whether somebody has read it.
    pub is_read: bool,
    /// The lead it is about.
    pub related_lead_id: Option<i32>,
    /// Grows without gaps in the order of delivery.
    pub sequence: i32,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// When it was last marked as read, else when it happened.
    pub updated_at: DateTime<Utc>,
}

impl Notification {
    /// One as it could be.
    pub fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0199_b3f0_0000_7000_8000_0000_0000_0002),
            kind: "LEAD_CREATED".into(),
            title: "New Lead Created".into(),
            message: "John Doe added to pipeline".into(),
            is_read: false,
            related_lead_id: Some(42),
            sequence: 16,
            created_at: example_time(),
            updated_at: example_time(),
        }
    }

    /// It is made, may be read, and may be deleted: each makes a version.
    fn version(&self) -> i32 {
        1 + i32::from(self.is_read)
    }
}

/// Somebody is to be told of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationCreated {
    /// The new notification.
    pub notification: Notification,
}

/// A notification was marked as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationUpdated {
    /// The notification after the change.
    pub notification: Notification,
}

/// A notification was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationDeleted {
    /// The id it had.
    pub id: Uuid,
}

/// Many notifications were changed at once. There is no event for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationsUpdated {
    /// What was done.
    pub action: BulkAction,
    /// How many changed.
    pub count: i32,
}

/// What is done to many notifications at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BulkAction {
    /// All that were unread were marked as read.
    MarkAllRead,
}

impl Event for NotificationCreated {
    const TYPE: &'static str = "notification.created";
    const PRODUCER: &'static str = "notifications";

    fn subject(&self) -> String {
        format!("notification/{}", self.notification.id)
    }

    fn version(&self) -> Option<i32> {
        Some(self.notification.version())
    }

    fn sequence(&self) -> Option<i32> {
        Some(self.notification.sequence)
    }

    fn example() -> Self {
        Self { notification: Notification::example() }
    }
}

event!(NotificationUpdated, "notification.updated" by "notifications",
    |it| format!("notification/{}", it.notification.id), |it| Some(it.notification.version()),
    Self { notification: Notification { is_read: true, ..Notification::example() } });
event!(NotificationDeleted, "notification.deleted" by "notifications",
    |it| format!("notification/{}", it.id), |_| Some(3), Self { id: Notification::example().id });
event!(NotificationsUpdated, "notifications.updated" by "notifications", |_| "notifications".into(), |_| None,
    Self { action: BulkAction::MarkAllRead, count: 12 });
