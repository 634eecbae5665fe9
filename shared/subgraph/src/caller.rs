//! Who is asking.

use crate::{error::Error, policy::Role};
use chrono::{DateTime, Utc};
use std::net::IpAddr;

/// The one behind a request, as it stands in audit rows and events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// Nobody who showed a token that counts.
    Anonymous,
    /// A person, by user id.
    User(i32),
    /// A program, by API key id.
    ApiKey(i32),
    /// Another service of this installation, by name.
    Service(String),
    /// The service itself: start-up, clean-up, demo data.
    System,
}

impl Actor {
    /// The subject of a token: `user:1` or `key:1`.
    pub fn parse(subject: &str) -> Option<Self> {
        let (kind, id) = subject.split_once(':')?;
        let id = id.parse().ok().filter(|id| *id > 0)?;
        match kind {
            "user" => Some(Self::User(id)),
            "key" => Some(Self::ApiKey(id)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::ApiKey(id) => write!(f, "key:{id}"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// The caller of one request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// With which rights; services and anonymous callers have none.
    pub role: Option<Role>,
    /// The session the token belongs to.
    pub session: Option<String>,
    /// When the token ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// The request, for audit rows and logs.
    pub request_id: String,
    /// Why a token that was shown did not count.
    pub refused: Option<Error>,
    /// From where, as far as that is known.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// A caller without a token.
    pub fn anonymous(request_id: String) -> Self {
        Self {
            actor: Actor::Anonymous,
            role: None,
            session: None,
            expires_at: None,
            request_id,
            refused: None,
            address: None,
        }
    }

    /// The service itself, outside any request.
    pub fn system() -> Self {
        Self { actor: Actor::System, ..Self::anonymous("start-up".into()) }
    }

    /// A caller whose token did not count.
    pub fn refused(request_id: String, why: Error) -> Self {
        Self { refused: Some(why), ..Self::anonymous(request_id) }
    }

    /// What to tell this caller when a token is needed.
    pub fn refusal(&self) -> Error {
        let missing = || Error::Unauthenticated("Sign in first: the Authorization header is missing".into());
        self.refused.clone().unwrap_or_else(missing)
    }

    /// Whether the caller has `role` or a higher one.
    pub fn has(&self, role: Role) -> bool {
        self.role >= Some(role)
    }

    /// The caller's user id.
    ///
    /// # Errors
    /// `FORBIDDEN` for API keys and services, which are nobody's.
    pub fn user(&self) -> Result<i32, Error> {
        match self.actor {
            Actor::User(id) => Ok(id),
            Actor::Anonymous => Err(self.refusal()),
            _ => Err(Error::Forbidden("Only a person can do this, not an API key".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_as_they_are_written() {
        for actor in [Actor::User(7), Actor::ApiKey(9)] {
            assert_eq!(Actor::parse(&actor.to_string()), Some(actor));
        }
        for bad in ["", "user", "user:0", "user:-1", "user:x", "service:other", "7"] {
            assert_eq!(Actor::parse(bad), None, "{bad}");
        }
    }
}
