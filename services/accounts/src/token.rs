//! Access tokens: JWTs that say who calls, with which rights, in which session.

use crate::keys::SigningKeys;
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Header, encode};
use poem::{Response, handler, web::Data};
use subgraph::{
    Actor, Config, Error, Result, Role, Service,
    token::{ALGORITHM, Claims},
};
use uuid::Uuid;

/// The flag that says how long tokens are valid.
pub(crate) const LIFETIME_FLAG: &str = "jwt-expires-in";
const DEFAULT_LIFETIME: &str = "24h";
/// The longest lifetime that can be configured, now or when some token was signed.
pub(crate) const MAX_LIFETIME: TimeDelta = TimeDelta::days(365);

/// Signs access tokens.
pub(crate) struct Signer {
    keys: SigningKeys,
    /// How long a token is valid.
    pub(crate) lifetime: TimeDelta,
}

/// A signed token.
pub(crate) struct Token {
    /// For the Authorization header.
    pub(crate) text: String,
    /// From when on it is refused.
    pub(crate) expires_at: DateTime<Utc>,
}

impl Signer {
    /// The signer as configured.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let lifetime =
            config.extra(LIFETIME_FLAG).filter(|text| !text.is_empty()).unwrap_or(DEFAULT_LIFETIME);
        let lifetime = parse_lifetime(lifetime).with_context(|| {
            format!("JWT_EXPIRES_IN is {lifetime:?}; write a number and a unit, such as 90s, 15m, 24h or 7d, up to 365d")
        })?;
        Ok(Self { keys: SigningKeys::open(config)?, lifetime })
    }

    /// A token from `now` on, as long as configured but never longer than `until`.
    pub(crate) fn sign(
        &self,
        (actor, role): (&Actor, Role),
        session: Uuid,
        now: DateTime<Utc>,
        until: Option<DateTime<Utc>>,
    ) -> Result<Token> {
        let lifetime = until.map_or(self.lifetime, |until| self.lifetime.min(until - now));
        let claims = Claims::new(actor, role, session.to_string(), now, lifetime);
        let keys = self.keys.current();
        let key = keys.first().ok_or_else(|| Error::internal("there is no key that signs tokens"))?;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(ALGORITHM) };
        let text = encode(&header, &claims, &key.private).map_err(Error::internal)?;
        let expires_at = DateTime::from_timestamp(claims.exp, 0).unwrap_or(now);
        Ok(Token { text, expires_at })
    }
}

/// `GET /.well-known/jwks.json`: the public keys, for those who check tokens (RFC 7517).
#[handler]
pub(crate) async fn jwks(service: Data<&Service>) -> Response {
    let set = serde_json::to_vec(&service.state::<Signer>().keys.public()).unwrap_or_default();
    // Whoever meets an unknown key asks again: nothing in between may answer with old ones
    Response::builder().content_type("application/json").header("cache-control", "no-cache").body(set)
}

/// A number and a unit, from one second to a year.
fn parse_lifetime(text: &str) -> Option<TimeDelta> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u32>().ok().map(|number| i64::from(number) * seconds)?;
    TimeDelta::try_seconds(seconds)
        .filter(|lifetime| (TimeDelta::seconds(1)..=MAX_LIFETIME).contains(lifetime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_a_unit_and_a_bound() {
        assert_eq!(parse_lifetime("90s"), Some(TimeDelta::seconds(90)));
        assert_eq!(parse_lifetime(" 15m "), Some(TimeDelta::minutes(15)));
        assert_eq!(parse_lifetime("24h"), Some(TimeDelta::hours(24)));
        assert_eq!(parse_lifetime("7d"), Some(TimeDelta::days(7)));
        for bad in ["", "h", "0s", "-1h", "24", "24 hours", "366d", "99999999999d", "1.5h", "1é"] {
            assert_eq!(parse_lifetime(bad), None, "{bad}");
        }
    }
}
