//! Changes of users.

use super::{
    Entity, Model, event,
    input::{CreateUserInput, UpdateUserInput},
};
use crate::{
    password::Passwords,
    session::{self, Reason},
};
use async_graphql::{Context, Object};
use sea_orm::{ActiveModelTrait, DbErr, IntoActiveModel, SqlErr};
use subgraph::{ContextExt, Error, Result, Service, diff, validate::fold};

/// Mutations of users.
#[derive(Default)]
pub(crate) struct UserMutation;

#[Object]
impl UserMutation {
    /// Creates a user, who can sign in at once.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new user.")] input: CreateUserInput,
    ) -> Result<Model> {
        let (service, new) = (ctx.service(), input.check()?);
        let hash = Passwords::hash(service, new.password.clone()).await?;
        let mut change = ctx.change().await?;
        let row = new.into_row(hash, change.at());
        match row.clone().insert(change.tx()).await {
            Ok(user) => {
                change.record_event("user.created", user.id, &user, &event::created(&user))?;
                change.finish(user).await
            }
            Err(error) => {
                drop(change);
                Err(taken(service, row.email.as_ref(), error).await)
            }
        }
    }

    /// Changes a user. Deactivation and a changed role end the user's sessions. The last active
    /// administrator stays one.
    async fn update_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateUserInput,
    ) -> Result<Model> {
        let (mut change, id) = (ctx.change().await?, input.id);
        let locked = Entity::with_administrators(id).all(change.tx()).await?;
        let old = locked.iter().find(|user| user.id == id).ok_or_else(|| Error::not_found("User", id))?;
        let new = input.apply(old)?;
        if new == *old {
            return Ok(new);
        }
        keeps_an_administrator(&locked, old, &new)?;
        let new = Model { version: old.version + 1, updated_at: change.at(), ..new };
        let new = new.into_active_model().reset_all().update(change.tx()).await?;
        if let Some(reason) = ends_sessions(old, &new) {
            session::revoke_all(&mut change, id, None, reason).await?;
        }
        change.record_event("user.updated", id, &diff(old, &new)?, &event::updated(old, &new))?;
        change.finish(new).await
    }
}

/// Refuses what would leave nobody who can manage users.
fn keeps_an_administrator(locked: &[Model], old: &Model, new: &Model) -> Result<()> {
    let others = locked.iter().any(|user| user.id != old.id && user.administers());
    if old.administers() && !new.administers() && !others {
        return Err(Error::conflict("This is the last active administrator; make someone else one first"));
    }
    Ok(())
}

/// Why a change of a user ends their sessions, if it does.
fn ends_sessions(old: &Model, new: &Model) -> Option<Reason> {
    match (old.active && !new.active, old.role != new.role) {
        (true, _) => Some(Reason::Deactivated),
        (false, true) => Some(Reason::Role),
        (false, false) => None,
    }
}

/// What a failed insert means: usually that the e-mail is taken, and by whom.
async fn taken(service: &Service, email: &str, error: DbErr) -> Error {
    if !matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
        return error.into();
    }
    let existing = match Entity::by_email(&fold(email)).one(service.db.read()).await {
        Ok(existing) => existing.map(|user| user.id.to_string()),
        Err(error) => return error.into(),
    };
    let id = existing.as_deref().unwrap_or("unknown");
    Error::Conflict { message: format!("A user with this e-mail exists: ID {id}"), existing_id: existing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use subgraph::{Id, Role};

    fn user(id: i32, role: Role, active: bool) -> Model {
        let (created_at, updated_at) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
        let (email, email_key, password_hash) = (String::new(), String::new(), String::new());
        let (id, name, version) = (Id(id), None, 1);
        Model { id, email, email_key, name, role, active, password_hash, version, created_at, updated_at }
    }

    #[test]
    fn the_last_active_administrator_stays_one() {
        let (admin, other) = (user(1, Role::Admin, true), user(2, Role::Admin, true));
        let (demoted, inactive) = (user(1, Role::Manager, true), user(1, Role::Admin, false));
        for new in [demoted, inactive] {
            assert!(keeps_an_administrator(&[admin.clone(), other.clone()], &admin, &new).is_ok());
            assert!(keeps_an_administrator(std::slice::from_ref(&admin), &admin, &new).is_err());
            let gone = user(2, Role::Admin, false);
            assert!(keeps_an_administrator(&[admin.clone(), gone], &admin, &new).is_err());
        }
    }

    #[test]
    fn sessions_end_with_deactivation_and_another_role_only() {
        let rep = user(3, Role::SalesRep, true);
        assert_eq!(ends_sessions(&rep, &user(3, Role::SalesRep, false)), Some(Reason::Deactivated));
        assert_eq!(ends_sessions(&rep, &user(3, Role::Manager, true)), Some(Reason::Role));
        assert_eq!(ends_sessions(&user(3, Role::SalesRep, false), &rep), None);
        assert_eq!(ends_sessions(&rep, &Model { name: Some("x".into()), ..rep.clone() }), None);
    }
}
