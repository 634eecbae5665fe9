//! What Socket.IO clients are told, in the form they have always got it.

use crate::live::action;
use chrono::{DateTime, SecondsFormat, Utc};
use events::contract::{self, NotificationsUpdated};
use sea_orm::prelude::Uuid;
use serde::{Serialize, Serializer};

/// One event, by name.
#[derive(Debug)]
pub(super) struct Told {
    /// The name that clients listen to.
    pub name: &'static str,
    /// What comes with it.
    pub data: Data,
}

impl Told {
    pub fn created(notification: contract::Notification) -> Self {
        Self { name: "notification:created", data: notification.into() }
    }

    pub fn updated(notification: contract::Notification) -> Self {
        Self { name: "notification:updated", data: notification.into() }
    }

    pub fn bulk_updated(event: &NotificationsUpdated) -> Self {
        let data = Data::Bulk { action: action(event.action), count: event.count };
        Self { name: "notifications:bulk-updated", data }
    }
}

/// What comes with an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Data {
    /// One notification.
    #[serde(rename_all = "camelCase")]
    Notification {
        id: Uuid,
        /// In small letters: `lead_created`.
        #[serde(rename = "type")]
        kind: String,
        title: String,
        message: String,
        is_read: bool,
        related_lead_id: Option<i32>,
        #[serde(serialize_with = "millis")]
        created_at: DateTime<Utc>,
        #[serde(serialize_with = "millis")]
        updated_at: DateTime<Utc>,
    },
    /// Many at once.
    Bulk { action: &'static str, count: i32 },
}

impl From<contract::Notification> for Data {
    fn from(told: contract::Notification) -> Self {
        let contract::Notification { id, kind, title, message, is_read, related_lead_id, .. } = told;
        let (created_at, updated_at) = (told.created_at, told.updated_at);
        let kind = kind.to_lowercase();
        Self::Notification { id, kind, title, message, is_read, related_lead_id, created_at, updated_at }
    }
}

/// As JavaScript writes times.
fn millis<S: Serializer>(at: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::{Event, contract::Notification};
    use serde_json::json;

    #[test]
    fn old_clients_get_what_they_know() {
        let told = Told::created(Notification::example());
        assert_eq!(told.name, "notification:created");
        let data = json!({
            "id": "0199b3f0-0000-7000-8000-000000000002",
            "type": "lead_created",
            "title": "New Lead Created",
            "message": "John Doe added to pipeline",
            "isRead": false,
            "relatedLeadId": 42,
            "createdAt": "2026-01-15T12:00:00.000Z",
            "updatedAt": "2026-01-15T12:00:00.000Z",
        });
        assert_eq!(serde_json::to_value(told.data).unwrap(), data);
        let told = Told::bulk_updated(&NotificationsUpdated::example());
        assert_eq!(told.name, "notifications:bulk-updated");
        assert_eq!(serde_json::to_value(told.data).unwrap(), json!({"action": "mark-all-read", "count": 12}));
    }
}
