//! graphql-transport-ws: what client and server say to each other, and with which codes a socket is closed.
//!
//! The codes are those of <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>; clients decide by
//! them whether connecting again makes sense.

use crate::error::Error;
use async_graphql::{Request as Operation, ServerError};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{borrow::Cow, sync::Arc};

/// The one subprotocol there is.
pub(crate) const SUBPROTOCOL: &str = "graphql-transport-ws";
/// Characters of a subscription's id; clients use a number or a UUID.
const MAX_ID: usize = 256;
/// Bytes of a reason: a close frame has 125, and two are the code.
const MAX_REASON: usize = 123;

/// Why a socket is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// The code, which programs read.
    pub code: u16,
    /// The reason, which people read.
    pub reason: Cow<'static, str>,
}

impl Closing {
    /// The server stops; clients connect again.
    pub const GOING_AWAY: Self = Self::new(1001, "The server stops");
    /// Not now; clients connect again.
    pub const TRY_AGAIN: Self = Self::new(1013, "Try again later");
    /// It asked for something before it was let in.
    pub const UNAUTHORIZED: Self = Self::new(4401, "Unauthorized");
    /// No token, or one that does not count.
    pub const FORBIDDEN: Self = Self::new(4403, "Forbidden");
    /// The token does not count any more.
    pub const EXPIRED: Self = Self::new(4403, "Forbidden: the token has expired");
    /// The session was ended.
    pub const SESSION_ENDED: Self = Self::new(4403, "Forbidden: the session has ended");
    /// It did not say who it is.
    pub const INIT_TIMEOUT: Self = Self::new(4408, "Connection initialisation timeout");
    /// It said more than once who it is.
    pub const TOO_MANY_INITS: Self = Self::new(4429, "Too many initialisation requests");

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }

    /// What the client said is not the protocol.
    pub fn bad_request(reason: &str) -> Self {
        Self { code: 4400, reason: cut(reason).into() }
    }

    /// The id is in use.
    pub fn duplicate(id: &str) -> Self {
        // The id is cut, and not the words about it
        let (before, after) = ("Subscriber for ", " already exists");
        let room = MAX_REASON - before.len() - after.len();
        let reason = format!("{before}{}{after}", cut_to(id, room));
        Self { code: 4409, reason: reason.into() }
    }

    /// What is told a peer whose frames could not be read, by the words of the library.
    pub fn unreadable(error: &str) -> Option<Self> {
        match error {
            e if e.starts_with("Space limit exceeded") => {
                Some(Self::new(1009, "The message is larger than 64 KiB"))
            }
            e if e.starts_with("UTF-8 encoding error") => Some(Self::new(1007, "The text is not UTF-8")),
            e if e.starts_with("WebSocket protocol error") => Some(Self::new(1002, "Protocol error")),
            // The connection is gone: there is nobody to tell
            _ => None,
        }
    }
}

fn cut(text: &str) -> String {
    cut_to(text, MAX_REASON).to_owned()
}

fn cut_to(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// What a client says.
#[derive(Debug)]
pub(crate) enum ClientMessage {
    /// Who it is.
    Init(Map<String, Value>),
    /// Whether we are there.
    Ping(Option<Value>),
    /// It is there.
    Pong,
    /// Runs an operation.
    Subscribe {
        /// By what the client knows it.
        id: String,
        /// What to run.
        operation: Box<Operation>,
    },
    /// Ends an operation.
    Complete {
        /// Which.
        id: String,
    },
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    payload: Option<Value>,
}

impl ClientMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// 4400 with what is wrong.
    pub fn parse(text: &str) -> Result<Self, Closing> {
        let bad = |_| Closing::bad_request("Invalid message: must be JSON with a type");
        let Wire { kind, id, payload } = serde_json::from_str(text).map_err(bad)?;
        match kind.as_str() {
            "connection_init" => match payload.unwrap_or_default() {
                Value::Object(payload) => Ok(Self::Init(payload)),
                Value::Null => Ok(Self::Init(Map::new())),
                _ => Err(Closing::bad_request("Invalid message: the payload must be an object")),
            },
            "ping" => Ok(Self::Ping(payload)),
            "pong" => Ok(Self::Pong),
            "subscribe" => Ok(Self::Subscribe { id: checked(id)?, operation: operation(payload)? }),
            "complete" => Ok(Self::Complete { id: checked(id)? }),
            kind => Err(Closing::bad_request(&format!("Invalid message: unknown type {kind}"))),
        }
    }
}

fn checked(id: Option<Value>) -> Result<String, Closing> {
    match id {
        Some(Value::String(id)) if !id.is_empty() && id.chars().count() <= MAX_ID => Ok(id),
        _ => Err(Closing::bad_request("Invalid message: the id must be text of 1 to 256 characters")),
    }
}

fn operation(payload: Option<Value>) -> Result<Box<Operation>, Closing> {
    let bad = || Closing::bad_request("Invalid message: the payload must have a query");
    let payload = payload.filter(|payload| payload["query"].is_string()).ok_or_else(bad)?;
    serde_json::from_value(payload).map(Box::new).map_err(|_| bad())
}

/// What `connection_init` says in the place of an Authorization header: `token`, or the header itself in any
/// case, also in the `connectionParams` of a router that passes them on.
pub(crate) fn authorization(payload: &Map<String, Value>) -> Option<String> {
    if let Some(token) = payload.get("token").and_then(Value::as_str) {
        return Some(format!("Bearer {token}"));
    }
    let header = payload.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match header.and_then(|(_, value)| value.as_str()) {
        Some(header) => Some(header.to_owned()),
        None => payload.get("connectionParams").and_then(Value::as_object).and_then(authorization),
    }
}

/// An id as it stands in every message about it.
pub(crate) fn quoted(id: &str) -> Arc<str> {
    Value::from(id).to_string().into()
}

/// The client is in.
pub(crate) const ACK: &str = r#"{"type":"connection_ack"}"#;

/// The answer to `ping`.
pub(crate) fn pong(payload: Option<&Value>) -> String {
    match payload {
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

/// One result. The payload is shared by all who get it, and only put in place here.
pub(crate) fn next(quoted_id: &str, payload: &str) -> String {
    let (before, between) = (r#"{"id":"#, r#","type":"next","payload":"#);
    let length = before.len() + quoted_id.len() + between.len() + payload.len() + 1;
    let mut text = String::with_capacity(length);
    for part in [before, quoted_id, between, payload, "}"] {
        text.push_str(part);
    }
    text
}

/// The operation ended without a result.
pub(crate) fn error(quoted_id: &str, errors: &[ServerError]) -> String {
    let errors = serde_json::to_string(errors).unwrap_or_else(|_| "[]".to_owned());
    format!(r#"{{"id":{quoted_id},"type":"error","payload":{errors}}}"#)
}

/// What a client is told that was too slow for the event of this sequence.
pub(crate) fn missed(sequence: Option<i64>) -> ServerError {
    let Some(sequence) = sequence else {
        return Error::Unavailable("You missed events: query again".into()).into_server_error();
    };
    // It has all up to the one before, as sequences have no gaps
    let after = sequence - 1;
    let message = format!("You missed events: subscribe again with afterSequence {after}");
    let mut error = Error::Unavailable(message).into_server_error();
    error.extensions.get_or_insert_default().set("afterSequence", after);
    error
}

/// The operation ended.
pub(crate) fn complete(quoted_id: &str) -> String {
    format!(r#"{{"id":{quoted_id},"type":"complete"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(text: &str) -> u16 {
        ClientMessage::parse(text).map_or_else(|closing| closing.code, |_| 0)
    }

    #[test]
    fn only_the_protocol_is_understood() {
        for bad in [
            "",
            "{",
            "[]",
            r#"{"type":1}"#,
            r#"{"type":"start","id":"1"}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":1,"payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":{}}"#,
            r#"{"type":"connection_init","payload":[]}"#,
        ] {
            assert_eq!(code(bad), 4400, "{bad}");
        }
        let long = format!(r#"{{"type":"complete","id":"{}"}}"#, "ä".repeat(257));
        assert_eq!(code(&long), 4400);
        assert_eq!(code(&long.replacen('ä', "", 1)), 0);
        assert_eq!(code(r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":null}}"#), 0);
    }

    #[test]
    fn reasons_fit_into_a_close_frame() {
        let closing = Closing::bad_request(&"ä".repeat(100));
        assert_eq!(closing.reason.len(), 122);
        let closing = Closing::duplicate(&"ä".repeat(200));
        assert!(closing.reason.len() <= MAX_REASON && closing.reason.ends_with(" already exists"));
    }

    #[test]
    fn tokens_are_found_where_clients_put_them() {
        for payload in [
            json!({"token": "x"}),
            json!({"Authorization": "Bearer x"}),
            json!({"authorization": "Bearer x"}),
            json!({"connectionParams": {"AUTHORIZATION": "Bearer x"}}),
        ] {
            let payload = payload.as_object().unwrap();
            assert_eq!(authorization(payload).as_deref(), Some("Bearer x"), "{payload:?}");
        }
        assert_eq!(authorization(json!({"token": 7}).as_object().unwrap()), None);
    }

    #[test]
    fn frames_are_json() {
        let id = quoted("a\"b");
        let text = next(&id, r#"{"data":null}"#);
        assert_eq!(text.capacity(), text.len());
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json, json!({"id": "a\"b", "type": "next", "payload": {"data": null}}));
        assert_eq!(complete(&id), r#"{"id":"a\"b","type":"complete"}"#);
    }
}
