//! Who may call what. Denied by default: an operation that nobody listed is refused to everybody.

use crate::{
    caller::{Actor, Caller},
    error::{Error, Result},
};
use async_graphql::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter, prelude::StringLen};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a person or an API key may do. Each role may do all that the ones before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Enum,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Works with the data.
    SalesRep,
    /// Also removes, assigns to anyone and starts bulk work.
    Manager,
    /// Also manages users and API keys.
    Admin,
}

/// Who may call one root field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone, signed in or not.
    Public,
    /// Everyone with this role or a higher one.
    AtLeast(Role),
}

/// The root fields of a subgraph and who may call them.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: BTreeMap<&'static str, Access>,
    reads: Vec<&'static str>,
}

impl Policy {
    /// Root fields that need no token.
    #[must_use]
    pub fn public(mut self, fields: &[&'static str]) -> Self {
        self.rules.extend(fields.iter().map(|f| (*f, Access::Public)));
        self
    }

    /// Queries for `role` and higher; other services may read them too.
    #[must_use]
    pub fn read(mut self, role: Role, fields: &[&'static str]) -> Self {
        self.reads.extend(fields);
        self.allow(role, fields)
    }

    /// Mutations and subscriptions for `role` and higher.
    #[must_use]
    pub fn allow(mut self, role: Role, fields: &[&'static str]) -> Self {
        self.rules.extend(fields.iter().map(|f| (*f, Access::AtLeast(role))));
        self
    }

    /// The field as it is listed here; nothing for what is not.
    pub(crate) fn listed(&self, field: &str) -> Option<&'static str> {
        self.rules.get_key_value(field).map(|(listed, _)| *listed)
    }

    /// Whether `caller` may call the root field `field`.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a token that counts, `FORBIDDEN` with one that is not enough.
    pub fn check(&self, caller: &Caller, field: &str) -> Result<()> {
        match (self.rules.get(field), &caller.actor) {
            (Some(Access::Public), _) => Ok(()),
            (_, Actor::Anonymous) => Err(caller.refusal()),
            (_, Actor::Service(_)) if field == "_entities" || self.reads.contains(&field) => Ok(()),
            (Some(Access::AtLeast(needed)), _) if caller.role >= Some(*needed) => Ok(()),
            (None, _) if field == "_entities" && caller.role.is_some() => Ok(()),
            _ => Err(Error::Forbidden(format!("You may not use {field}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::default().public(&["hello"]).read(Role::SalesRep, &["list"]).allow(Role::Manager, &["remove"])
    }

    fn code(actor: Actor, role: Option<Role>, field: &str) -> Option<&'static str> {
        let caller = Caller { actor, role, ..Caller::anonymous("r".into()) };
        policy().check(&caller, field).err().map(|e| e.code())
    }

    #[test]
    fn what_is_not_listed_is_refused_to_everyone() {
        assert_eq!(code(Actor::User(1), Some(Role::Admin), "drop"), Some("FORBIDDEN"));
        assert_eq!(code(Actor::Anonymous, None, "drop"), Some("UNAUTHENTICATED"));
    }

    #[test]
    fn roles_build_on_each_other() {
        assert_eq!(code(Actor::Anonymous, None, "hello"), None);
        assert_eq!(code(Actor::Anonymous, None, "list"), Some("UNAUTHENTICATED"));
        assert_eq!(code(Actor::User(1), Some(Role::SalesRep), "list"), None);
        assert_eq!(code(Actor::User(1), Some(Role::SalesRep), "remove"), Some("FORBIDDEN"));
        assert_eq!(code(Actor::ApiKey(1), Some(Role::Admin), "remove"), None);
    }

    #[test]
    fn services_read_and_never_write() {
        let service = || Actor::Service("other".into());
        assert_eq!(code(service(), None, "list"), None);
        assert_eq!(code(service(), None, "_entities"), None);
        assert_eq!(code(service(), None, "remove"), Some("FORBIDDEN"));
    }
}
