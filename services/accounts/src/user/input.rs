//! What clients send about a user, checked.

use super::{ActiveModel, Model};
use crate::password;
use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::NotSet, IntoActiveModel};
use subgraph::{
    Id, Patch, Result, Role,
    validate::{Validator, fold},
};

/// Characters of a name.
const MAX_NAME: usize = 100;

/// A new user.
#[derive(InputObject)]
pub(crate) struct CreateUserInput {
    /// Unique among all users, whatever its case.
    email: String,
    /// What to call them, up to 100 characters.
    name: Option<String>,
    /// What they may do.
    role: Role,
    /// 8 to 128 characters.
    password: String,
}

/// Absent means unchanged, null clears (role and active refuse null).
#[derive(InputObject)]
pub(crate) struct UpdateUserInput {
    /// Which user.
    pub(super) id: Id,
    /// What to call them, up to 100 characters.
    name: MaybeUndefined<String>,
    /// What they may do. A changed role ends their sessions.
    role: MaybeUndefined<Role>,
    /// Whether they may sign in. Deactivation ends their sessions.
    active: MaybeUndefined<bool>,
}

/// A user who is well but has no hash yet: that takes time, and is done outside the transaction.
pub(crate) struct NewUser {
    email: String,
    name: Option<String>,
    role: Role,
    /// The password as it was given.
    pub(crate) password: String,
}

impl NewUser {
    /// Checks everything about a new user.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` with every fault there is.
    pub(crate) fn check(email: &str, name: Option<&str>, role: Role, password: String) -> Result<Self> {
        let mut v = Validator::default();
        let email = v.email("email", email);
        let name = name.and_then(|name| v.optional_line("name", name, MAX_NAME));
        password::check_new(&mut v, "password", &password);
        v.finish()?;
        Ok(Self { email, name, role, password })
    }

    /// The row to insert, whose id the database gives.
    pub(crate) fn into_row(self, password_hash: String, now: DateTime<Utc>) -> ActiveModel {
        let Self { email, name, role, password: _ } = self;
        let email_key = fold(&email);
        let (id, active, version) = (Id(0), true, 1);
        let (created_at, updated_at) = (now, now);
        let user = Model {
            id,
            email,
            email_key,
            name,
            role,
            active,
            password_hash,
            version,
            created_at,
            updated_at,
        };
        ActiveModel { id: NotSet, ..user.into_active_model().reset_all() }
    }
}

impl CreateUserInput {
    /// The user this makes.
    pub(super) fn check(self) -> Result<NewUser> {
        let Self { email, name, role, password } = self;
        NewUser::check(&email, name.as_deref(), role, password)
    }
}

impl UpdateUserInput {
    /// The user as they are after this update; the same when nothing changes.
    pub(super) fn apply(self, user: &Model) -> Result<Model> {
        let Self { id: _, name, role, active } = self;
        let (mut v, mut new) = (Validator::default(), user.clone());
        if let Some(name) = name.clearable() {
            new.name = name.and_then(|name| v.optional_line("name", &name, MAX_NAME));
        }
        v.finish()?;
        new.role = role.required("role")?.unwrap_or(user.role);
        new.active = active.required("active")?.unwrap_or(user.active);
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::TryIntoModel;
    use subgraph::Error;

    fn user() -> Model {
        let new =
            NewUser::check(" Ada@Example.com ", Some(" Ada "), Role::Manager, "12345678".into()).unwrap();
        let mut row = new.into_row("hash".into(), DateTime::UNIX_EPOCH);
        row.id = sea_orm::ActiveValue::Set(Id(7));
        row.try_into_model().unwrap()
    }

    fn unchanged() -> UpdateUserInput {
        let (name, role, active) =
            (MaybeUndefined::Undefined, MaybeUndefined::Undefined, MaybeUndefined::Undefined);
        UpdateUserInput { id: Id(7), name, role, active }
    }

    #[test]
    fn text_is_trimmed_and_the_key_is_folded() {
        let user = user();
        assert_eq!((&*user.email, &*user.email_key), ("Ada@Example.com", "ada@example.com"));
        assert_eq!(user.name.as_deref(), Some("Ada"));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let faults = NewUser::check("x", Some("a\0"), Role::Admin, "short".into());
        let Err(Error::Invalid(faults)) = faults else { panic!("accepted") };
        assert_eq!(faults.iter().map(|f| &*f.field).collect::<Vec<_>>(), ["email", "name", "password"]);
    }

    #[test]
    fn absent_leaves_null_clears_and_required_refuses_null() {
        assert_eq!(unchanged().apply(&user()).unwrap(), user());
        let cleared = UpdateUserInput { name: MaybeUndefined::Null, ..unchanged() }.apply(&user()).unwrap();
        assert_eq!(cleared.name, None);
        for refused in [
            UpdateUserInput { role: MaybeUndefined::Null, ..unchanged() },
            UpdateUserInput { active: MaybeUndefined::Null, ..unchanged() },
        ] {
            assert_eq!(refused.apply(&user()).unwrap_err().code(), "BAD_USER_INPUT");
        }
    }

    #[test]
    fn what_is_recorded_of_a_user_holds_no_hash() {
        let json = serde_json::to_string(&user()).unwrap();
        assert!(!json.contains("hash"), "{json}");
    }
}
