//! The people leads belong to. Accounts owns them; here is only which one.

use async_graphql::SimpleObject;
use std::collections::BTreeSet;
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

/// Makes sure that the owner is an active user.
///
/// # Errors
/// `NOT_FOUND` when unknown or inactive, `UNAVAILABLE` when accounts cannot say.
pub(crate) async fn must_exist(service: &Service, caller: &Caller, owner: i32) -> Result<()> {
    let unknown = unknown(service, caller, &[owner].into()).await?;
    if unknown.is_empty() { Ok(()) } else { Err(Error::not_found("User", owner)) }
}

/// Which of the owners are no active users, asked for at once.
///
/// # Errors
/// `UNAVAILABLE` when accounts cannot say.
pub(crate) async fn unknown(
    service: &Service,
    caller: &Caller,
    owners: &BTreeSet<i32>,
) -> Result<BTreeSet<i32>> {
    // A caller with a valid token needs no further proof, and can so take leads while accounts is down
    let asked = owners.iter().copied().filter(|owner| caller.actor != Actor::User(*owner));
    let asked: Vec<i32> = asked.collect();
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let users = service.entities("accounts", "User", &asked, "{ active }").await?;
    let inactive = asked.into_iter().zip(users).filter(|(_, user)| user["active"] != true);
    Ok(inactive.map(|(owner, _)| owner).collect())
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
