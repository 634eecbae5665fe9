//! Reading a token request: a form, and credentials in it or in the Authorization header.

use super::Refusal;
use base64::{Engine, prelude::BASE64_STANDARD};
use poem::{Body, Request};
use std::{collections::HashMap, time::Duration};

/// Bytes of a request's body, at most.
const MAX_BODY: usize = 8_192;
/// Time to receive it.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Who asks, not yet checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
}

impl Credentials {
    /// Nothing for an id that we cannot have given: a NUL in it would be an error of the database.
    fn new(id: String, secret: String) -> Option<Self> {
        let plain = id.len() <= 100 && id.bytes().all(|byte| byte.is_ascii_graphic());
        plain.then_some(Self { id, secret })
    }
}

/// The credentials in a request for our grant.
pub(super) async fn read(request: &Request, body: Body) -> Result<Credentials, Refusal> {
    let kind = request.content_type().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::Request("send application/x-www-form-urlencoded"));
    }
    let body = tokio::time::timeout(BODY_TIMEOUT, body.into_bytes_limit(MAX_BODY)).await;
    let Ok(Ok(body)) = body else { return Err(Refusal::Request("the body is too large or came too slowly")) };
    credentials(&body, request.header("authorization"))
}

/// One way to authenticate, exactly (RFC 6749, section 2.3).
fn credentials(body: &[u8], authorization: Option<&str>) -> Result<Credentials, Refusal> {
    let mut form = fields(body)?;
    match form.remove("grant_type").as_deref() {
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal::Grant),
        None => return Err(Refusal::Request("grant_type is missing")),
    }
    let (id, secret) = (form.remove("client_id"), form.remove("client_secret"));
    match (authorization, id, secret) {
        (Some(_), _, Some(_)) => {
            Err(Refusal::Request("authenticate in the header or in the body, not in both"))
        }
        (Some(header), id, None) => {
            let basic = basic(header).ok_or(Refusal::Client)?;
            if id.is_some_and(|id| id != basic.id) { Err(Refusal::Client) } else { Ok(basic) }
        }
        (None, Some(id), Some(secret)) => Credentials::new(id, secret).ok_or(Refusal::Client),
        (None, None, None) => Err(Refusal::Client),
        (None, ..) => Err(Refusal::Request("client_id and client_secret go together")),
    }
}

/// The fields of a form, none of them twice (RFC 6749, section 3.2); empty ones count as missing.
fn fields(body: &[u8]) -> Result<HashMap<String, String>, Refusal> {
    let mut fields = HashMap::new();
    for (name, value) in form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()) {
        if fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(Refusal::Request("a parameter stands there twice"));
        }
    }
    Ok(fields)
}

/// HTTP Basic, in which id and secret are form-encoded themselves.
fn basic(header: &str) -> Option<Credentials> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded =
        BASE64_STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Credentials::new(unform(id)?, unform(secret)?)
}

fn unform(text: &str) -> Option<String> {
    match form_urlencoded::parse(text.as_bytes()).collect::<Vec<_>>().as_slice() {
        [(text, value)] if value.is_empty() => Some(text.clone().into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: &str = "grant_type=client_credentials";

    fn read(body: &str, authorization: Option<&str>) -> Result<Credentials, Refusal> {
        credentials(body.as_bytes(), authorization)
    }

    fn basic_of(id: &str, secret: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
    }

    #[test]
    fn credentials_come_in_the_body_or_in_the_header() {
        let expected = || Ok(Credentials { id: "lgk_a".into(), secret: "s-_".into() });
        assert_eq!(read(&format!("{GRANT}&client_id=lgk_a&client_secret=s-_"), None), expected());
        assert_eq!(read(GRANT, Some(&basic_of("lgk_a", "s-_"))), expected());
        assert_eq!(read(GRANT, Some(&basic_of("lgk%5Fa", "s%2D_"))), expected(), "form-encoded");
        assert_eq!(read(&format!("{GRANT}&client_id=lgk_a"), Some(&basic_of("lgk_a", "s-_"))), expected());
        assert_eq!(
            read(&format!("{GRANT}&client_id=lgk_b"), Some(&basic_of("lgk_a", "s-_"))),
            Err(Refusal::Client)
        );
    }

    #[test]
    fn malformed_requests_are_told_from_wrong_clients() {
        let both = format!("{GRANT}&client_id=a&client_secret=b");
        let is_request = |refusal| matches!(refusal, Err(Refusal::Request(_)));
        assert!(is_request(read(&both, Some(&basic_of("a", "b")))));
        assert!(is_request(read("client_id=a&client_secret=b", None)));
        assert!(is_request(read(&format!("{GRANT}&{GRANT}"), None)));
        assert!(is_request(read(&format!("{GRANT}&client_id=a"), None)));
        assert_eq!(read("grant_type=password&username=a", None), Err(Refusal::Grant));
        assert_eq!(read(GRANT, None), Err(Refusal::Client));
        for header in ["Bearer x", "Basic !", "Basic YQ==", "Basic"] {
            assert_eq!(read(GRANT, Some(header)), Err(Refusal::Client), "{header}");
        }
    }
}
