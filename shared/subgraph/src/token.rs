//! Tokens: JWTs that accounts signs with an asymmetric key and every service checks by itself,
//! and the short-lived ones with which services call each other.

use crate::{
    caller::{Actor, Caller},
    error::{Error, Result},
    jwks::KeyStore,
    policy::Role,
};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

/// The one algorithm of access tokens; what a token's header says is never believed.
pub const ALGORITHM: Algorithm = Algorithm::ES256;
/// Who issues access tokens.
pub const ISSUER: &str = "leadgraph";
/// Whom access tokens are for.
pub const AUDIENCE: &str = "leadgraph";
/// Whom calls between services are for.
const INTERNAL: &str = "leadgraph-internal";
/// How far clocks of two machines may be apart.
const SKEW: TimeDelta = TimeDelta::seconds(5);
/// How long a call between services may be under way.
const CALL_LIFETIME: TimeDelta = TimeDelta::seconds(30);

/// The content of an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// Always [`AUDIENCE`].
    pub aud: String,
    /// `user:1` or `key:1`.
    pub sub: String,
    /// The session, by which a token is revoked.
    pub sid: String,
    /// What the bearer may do.
    pub role: Role,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Not before, seconds since 1970.
    pub nbf: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
}

impl Claims {
    /// Claims that count from `now` on, for `lifetime`.
    pub fn new(actor: &Actor, role: Role, session: String, now: DateTime<Utc>, lifetime: TimeDelta) -> Self {
        let (iat, exp) = (now.timestamp(), (now + lifetime).timestamp());
        let (iss, aud) = (ISSUER.to_owned(), AUDIENCE.to_owned());
        Self { iss, aud, sub: actor.to_string(), sid: session, role, iat, nbf: iat, exp }
    }
}

#[derive(Serialize, Deserialize)]
struct CallClaims {
    iss: String,
    aud: String,
    exp: i64,
}

/// Signs a call from the service `name` to another one.
///
/// # Errors
/// Only when the key cannot be used at all.
pub fn sign_call(name: &str, service_key: &str, now: DateTime<Utc>) -> Result<String> {
    let exp = (now + CALL_LIFETIME).timestamp();
    let claims = CallClaims { iss: name.to_owned(), aud: INTERNAL.to_owned(), exp };
    let key = EncodingKey::from_secret(service_key.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(Error::internal)
}

/// Finds out who calls, from the Authorization header.
#[derive(Debug)]
pub struct Authenticator {
    keys: KeyStore,
    service_key: String,
}

impl Authenticator {
    /// Checks tokens with these keys.
    pub fn new(keys: KeyStore, service_key: String) -> Self {
        Self { keys, service_key }
    }

    /// The key that signs calls between services.
    pub(crate) fn service_key(&self) -> &str {
        &self.service_key
    }

    /// Fetches the keys that sign tokens again.
    pub(crate) async fn refresh_keys(&self) {
        self.keys.refresh().await;
    }

    /// The caller behind an Authorization header. A token that does not count makes an anonymous
    /// caller who knows why, since public operations work all the same.
    pub async fn caller(&self, header: Option<&str>, request_id: String, now: DateTime<Utc>) -> Caller {
        let Some(header) = header else { return Caller::anonymous(request_id) };
        let found = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                self.bearer(token.trim(), now).await
            }
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("service") => self.call(token.trim(), now),
            _ => Err(invalid()),
        };
        match found {
            Ok(caller) => Caller { request_id, ..caller },
            Err(why) => Caller::refused(request_id, why),
        }
    }

    async fn bearer(&self, token: &str, now: DateTime<Utc>) -> Result<Caller> {
        let header = decode_header(token).map_err(|_| invalid())?;
        let kid = header.kid.filter(|_| header.alg == ALGORITHM).ok_or_else(invalid)?;
        let key = self.keys.find(&kid).await?;
        let mut validation = Validation::new(ALGORITHM);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // Times are checked below, against the injected clock
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        let claims = decode::<Claims>(token, &key, &validation).map_err(|_| invalid())?.claims;
        let (now, skew) = (now.timestamp(), SKEW.num_seconds());
        if claims.exp <= now - skew {
            return Err(Error::Unauthenticated("The token has expired".into()));
        }
        if claims.nbf > now + skew || claims.sid.is_empty() {
            return Err(invalid());
        }
        let actor = Actor::parse(&claims.sub).ok_or_else(invalid)?;
        Ok(Caller {
            actor,
            role: Some(claims.role),
            session: Some(claims.sid),
            expires_at: DateTime::from_timestamp(claims.exp, 0),
            ..Caller::anonymous(String::new())
        })
    }

    /// A call from another service. It has its own scheme, so that one key can never be taken for
    /// the other kind.
    fn call(&self, token: &str, now: DateTime<Utc>) -> Result<Caller> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[INTERNAL]);
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let key = DecodingKey::from_secret(self.service_key.as_bytes());
        let claims = decode::<CallClaims>(token, &key, &validation).map_err(|_| invalid())?.claims;
        let (now, skew) = (now.timestamp(), SKEW.num_seconds());
        if claims.exp <= now - skew || claims.exp > now + CALL_LIFETIME.num_seconds() + skew {
            return Err(invalid());
        }
        Ok(Caller { actor: Actor::Service(claims.iss), ..Caller::anonymous(String::new()) })
    }
}

/// The same words for everything that is wrong with a token, so that nothing can be learnt.
fn invalid() -> Error {
    Error::Unauthenticated("The token is not valid".into())
}
