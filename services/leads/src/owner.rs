//! The people leads belong to. Accounts owns them; here is only which one.

use async_graphql::SimpleObject;
use subgraph::{Actor, Caller, Error, Id, Result, Role, Service};

/// A person a lead can belong to.
#[derive(SimpleObject)]
#[graphql(unresolvable)]
pub(crate) struct User {
    /// The user's id.
    pub id: Id,
}

/// Whether `caller` may make `new` the owner of a lead that belongs to `current`.
///
/// Managers assign to anyone; everyone else takes leads that nobody owns.
pub(crate) fn may_assign(caller: &Caller, current: Option<i32>, new: Option<i32>) -> Result<()> {
    let own = match caller.actor {
        Actor::User(id) => Some(id),
        _ => None,
    };
    if caller.has(Role::Manager) || new == current || (current.is_none() && new == own) {
        return Ok(());
    }
    Err(Error::Forbidden("You may only take leads that nobody owns; managers assign them to others".into()))
}

/// Whether the owner is an active user.
///
/// # Errors
/// `NOT_FOUND` when unknown or inactive, `UNAVAILABLE` when accounts cannot say.
pub(crate) async fn must_exist(service: &Service, caller: &Caller, owner: i32) -> Result<()> {
    // A caller with a valid token needs no further proof, and can so take leads while accounts is down
    if caller.actor == Actor::User(owner) {
        return Ok(());
    }
    let user = service.entity("accounts", "User", owner, "{ id active }").await?;
    let active = user.is_some_and(|user| user["active"] == true);
    if active { Ok(()) } else { Err(Error::not_found("User", owner)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(actor: Actor, role: Role) -> Caller {
        Caller { actor, role: Some(role), ..Caller::anonymous("r".into()) }
    }

    #[test]
    fn a_sales_rep_takes_unowned_leads_and_nothing_else() {
        let rep = caller(Actor::User(3), Role::SalesRep);
        assert!(may_assign(&rep, None, Some(3)).is_ok());
        assert!(may_assign(&rep, Some(3), Some(3)).is_ok());
        for (current, new) in [(None, Some(4)), (Some(4), Some(3)), (Some(3), None), (Some(3), Some(4))] {
            assert!(may_assign(&rep, current, new).is_err(), "{current:?} {new:?}");
        }
        assert!(may_assign(&caller(Actor::ApiKey(3), Role::SalesRep), None, Some(3)).is_err());
    }

    #[test]
    fn a_manager_assigns_and_releases_freely() {
        let manager = caller(Actor::User(2), Role::Manager);
        assert!(may_assign(&manager, Some(4), Some(5)).is_ok());
        assert!(may_assign(&manager, Some(4), None).is_ok());
    }
}
