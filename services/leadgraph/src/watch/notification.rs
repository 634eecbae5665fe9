//! One notification, as it is shown.

use std::io;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::table::{plain, print};

/// What is asked of each notification.
pub(super) const SELECTION: &str = "{ id type title message isRead relatedLeadId sequence createdAt }";

/// What it takes to show one, and to go on after it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notification {
    pub sequence: i32,
    created_at: DateTime<Utc>,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    message: String,
}

impl Notification {
    pub fn read(value: &Value) -> serde_json::Result<Self> {
        Self::deserialize(value)
    }

    fn line(&self) -> String {
        let Self { created_at, kind, title, message, .. } = self;
        let at = created_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!("{at}  {:<14}  {}: {}", plain(kind), plain(title), plain(message))
    }
}

/// How notifications are shown.
pub(super) struct Output {
    pub json: bool,
}

impl Output {
    /// Shows one. Says whether somebody still reads.
    pub fn show(&self, notification: &Notification, value: &Value) -> io::Result<bool> {
        print(&[if self.json { value.to_string() } else { notification.line() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_is_one_line() {
        let value = json!({
            "id": "0199b3f0-0000-7000-8000-000000000002", "type": "LEAD_CREATED", "title": "New Lead Created",
            "message": "John\nDoe added to pipeline", "isRead": false, "relatedLeadId": "42", "sequence": 16,
            "createdAt": "2026-01-15T12:00:00.123456Z",
        });
        let line = Notification::read(&value).unwrap().line();
        assert_eq!(
            line,
            "2026-01-15T12:00:00Z  LEAD_CREATED    New Lead Created: John Doe added to pipeline"
        );
    }
}
