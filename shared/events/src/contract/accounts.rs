//! What happens to users and their sessions.

use super::{event, example_time};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A user, as they are after what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user's id.
    pub id: i32,
    /// Grows by one with each change.
    pub version: i32,
    /// What to call them.
    pub name: Option<String>,
    /// `SALES_REP`, `MANAGER` or `ADMIN`.
    pub role: String,
    /// Whether they may sign in.
    pub active: bool,
}

impl User {
    /// One as it could be.
    pub fn example() -> Self {
        Self { id: 1, version: 1, name: Some("Ada".into()), role: "ADMIN".into(), active: true }
    }
}

/// A user was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserCreated {
    /// The new user.
    pub user: User,
}

/// A user was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserUpdated {
    /// The user after the change.
    pub user: User,
    /// The fields that changed, by their names in `user`.
    pub changed: Vec<String>,
}

/// A session was ended: its tokens count no longer, anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRevoked {
    /// The session, as the `sid` of its tokens names it.
    pub session: String,
    /// Whose it was: `user:1` or `key:1`.
    pub holder: String,
    /// Why: `LOGOUT`, `DEACTIVATED`, `ROLE`, `PASSWORD`, `REPLAY` or `API_KEY`.
    pub reason: String,
    /// When the last of its tokens ends by itself.
    pub expires_at: DateTime<Utc>,
}

event!(UserCreated, "user.created" by "accounts", |it| format!("user/{}", it.user.id), |it| Some(it.user.version),
    Self { user: User::example() });
event!(UserUpdated, "user.updated" by "accounts", |it| format!("user/{}", it.user.id), |it| Some(it.user.version),
    Self { user: User { version: 2, active: false, ..User::example() }, changed: vec!["active".into()] });
event!(SessionRevoked, "session.revoked" by "accounts", |it| format!("session/{}", it.session), |_| Some(2),
Self {
    session: "0199b3f0-0000-7000-8000-000000000001".into(),
    holder: "user:1".into(),
    reason: "LOGOUT".into(),
    expires_at: example_time(),
});
