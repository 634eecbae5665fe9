//! `POST /oauth/token`: a token for an API key, by OAuth 2's client-credentials grant (RFC 6749,
//! sections 2.3.1, 4.4 and 5).

mod request;

use crate::{
    api_key, secret,
    token::{Signer, Token},
};
use poem::{
    Body, Request, Response, handler,
    http::{HeaderValue, StatusCode},
    web::Data,
};
use request::Credentials;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel, QuerySelect};
use serde_json::json;
use subgraph::{Actor, Caller, Change, Error, Result, Service};

/// Why there is no token, in RFC 6749's words.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The request is malformed; how.
    Request(&'static str),
    /// Another grant than ours.
    Grant,
    /// Not the id and secret of a key that works.
    Client,
    /// The service's own reasons.
    Service(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

/// Answers `POST /oauth/token`.
#[handler]
pub(crate) async fn answer(request: &Request, body: Body, service: Data<&Service>) -> Response {
    let credentials = match request::read(request, body).await {
        Ok(credentials) => credentials,
        Err(refusal) => return refused(&refusal),
    };
    let service = service.clone();
    // A task of its own: a client that hangs up must not cancel a transaction halfway
    let granted = tokio::spawn(async move {
        let token = grant(&service, &credentials).await?;
        Ok((token, service.clock.now()))
    });
    match granted.await.unwrap_or_else(|panic| Err(Error::internal(panic).into())) {
        Ok((token, now)) => {
            let seconds = (token.expires_at - now).num_seconds();
            let body = json!({ "access_token": token.text, "token_type": "Bearer", "expires_in": seconds });
            respond(StatusCode::OK, &body)
        }
        Err(refusal) => refused(&refusal),
    }
}

/// A token for the key with these credentials.
///
/// Attempts are not counted beyond the limit of each address: nobody guesses 256 random bits, but counting would let whoever knows a
/// client id lock its key out.
async fn grant(service: &Service, credentials: &Credentials) -> Result<Token, Refusal> {
    let key =
        api_key::Entity::by_client(&credentials.id).one(service.db.read()).await.map_err(Error::from)?;
    let known = secret::matches(&credentials.secret, key.as_ref().map(|key| &*key.secret_hash));
    let key = key.filter(|key| known && key.is_live(service.clock.now())).ok_or(Refusal::Client)?;
    issue(service, &key).await?.ok_or(Refusal::Client)
}

/// Notes that the key is used, unless it was revoked meanwhile, and signs a token.
async fn issue(service: &Service, key: &api_key::Model) -> Result<Option<Token>> {
    let (actor, now) = (Actor::ApiKey(key.id.0), service.clock.now());
    let request_id = service.random.uuid(now).simple().to_string();
    let caller = Caller { actor: actor.clone(), role: Some(key.role), ..Caller::anonymous(request_id) };
    let mut change = Change::begin(service, &caller).await?;
    let key = api_key::Entity::find_by_id(key.id).lock_exclusive().one(change.tx()).await?;
    let Some(key) = key.filter(|key| key.is_live(change.at())) else { return Ok(None) };
    let (role, session, until) = (key.role, key.session_id, key.expires_at);
    let token = service.state::<Signer>().sign((&actor, role), session, change.at(), until)?;
    change.record("api_key.used", key.id, &json!({ "token_expires_at": token.expires_at }))?;
    let mut used = key.into_active_model();
    used.last_used_at = Set(Some(change.at()));
    used.update(change.tx()).await?;
    change.finish(()).await?;
    Ok(Some(token))
}

fn refused(refusal: &Refusal) -> Response {
    let body = |error, description: &str| json!({ "error": error, "error_description": description });
    let (status, body) = match refusal {
        Refusal::Request(how) => (StatusCode::BAD_REQUEST, body("invalid_request", how)),
        Refusal::Grant => {
            let known = "the only grant_type is client_credentials";
            (StatusCode::BAD_REQUEST, body("unsupported_grant_type", known))
        }
        Refusal::Client => {
            (StatusCode::UNAUTHORIZED, body("invalid_client", "client_id or client_secret is wrong"))
        }
        Refusal::Service(error @ Error::Unavailable(_)) => {
            (StatusCode::SERVICE_UNAVAILABLE, body("temporarily_unavailable", &error.message()))
        }
        Refusal::Service(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, body("server_error", &error.message()))
        }
    };
    let mut response = respond(status, &body);
    if *refusal == Refusal::Client {
        let scheme = HeaderValue::from_static("Basic realm=\"leadgraph\", charset=\"UTF-8\"");
        response.headers_mut().insert("www-authenticate", scheme);
    }
    response
}

fn respond(status: StatusCode, body: &serde_json::Value) -> Response {
    let response = Response::builder().status(status).content_type("application/json");
    response.header("cache-control", "no-store").header("pragma", "no-cache").body(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_status_and_headers_of_the_rfc() {
        let client = refused(&Refusal::Client);
        assert_eq!(client.status(), StatusCode::UNAUTHORIZED);
        assert!(client.headers().contains_key("www-authenticate"));
        for refusal in [Refusal::Request("x"), Refusal::Grant] {
            let response = refused(&refusal);
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
    }
}
