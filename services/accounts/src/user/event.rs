//! What the other services are told about users.

use super::Model;
use events::contract::{User, UserCreated, UserUpdated};
use sea_orm::ActiveEnum;
use subgraph::changed;

/// That a user was created.
pub(crate) fn created(user: &Model) -> UserCreated {
    UserCreated { user: user.into() }
}

/// That a user was changed.
pub(super) fn updated(old: &Model, new: &Model) -> UserUpdated {
    UserUpdated { user: new.into(), changed: differences(old, new) }
}

impl From<&Model> for User {
    fn from(user: &Model) -> Self {
        let Model {
            id,
            // Personal, and of no use to the others
            email: _,
            email_key: _,
            name,
            role,
            active,
            password_hash: _,
            version,
            created_at: _,
            updated_at: _,
        } = user;
        Self { id: id.0, version: *version, name: name.clone(), role: role.to_value(), active: *active }
    }
}

/// The fields a change changed; it can change no others.
fn differences(old: &Model, new: &Model) -> Vec<String> {
    changed([
        ("name", old.name != new.name),
        ("role", old.role != new.role),
        ("active", old.active != new.active),
    ])
}
