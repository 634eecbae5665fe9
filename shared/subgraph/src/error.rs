//! What a client may be told when something goes wrong, and nothing else.
//!
//! [`Error`] deliberately does not implement `Display`: async-graphql copies the text of any
//! displayable error into the answer, and SQL, paths and stack traces must never reach a client.
//! `?` on a database error therefore goes through [`Error::internal`], which logs the cause once
//! under a reference id and shows the client only that id.

use crate::cause::{of_database, unquoted};
use async_graphql::{ErrorExtensionValues, Value};
use sea_orm::{DbErr, RuntimeErr};
use serde::Serialize;
use std::panic::Location;

/// The result of everything a resolver does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One rejected input field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name as it stands in the schema.
    pub field: String,
    /// What is wrong with it, in words for a person.
    pub message: String,
}

/// A refused operation. Each variant is one `extensions.code` of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// `UNAUTHENTICATED`: no token, or one that does not count (any more).
    Unauthenticated(String),
    /// `FORBIDDEN`: the caller is known and may not do this.
    Forbidden(String),
    /// `NOT_FOUND`: the thing the operation names does not exist.
    NotFound(String),
    /// `BAD_USER_INPUT`, with the fields at fault in `extensions.fields`.
    Invalid(Vec<FieldError>),
    /// `CONFLICT`: the state of the data forbids it; `existing_id` names what is in the way.
    Conflict {
        /// What is in conflict, in words for a person.
        message: String,
        /// The id of the row that is in the way, as `extensions.existingId`.
        existing_id: Option<String>,
    },
    /// `RATE_LIMITED`: too often; `retry_after` in seconds, as `extensions.retryAfter`.
    RateLimited {
        /// Seconds to wait before the next attempt.
        retry_after: u64,
    },
    /// `UNAVAILABLE`: not now; trying again later may help.
    Unavailable(String),
    /// `INTERNAL`: our fault. The cause is in the log under this reference id.
    Internal(String),
}

impl Error {
    /// A single rejected field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// "`what` with ID `id` not found".
    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("{what} with ID {id} not found"))
    }

    /// A conflict that names no other row.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict { message: message.into(), existing_id: None }
    }

    /// Logs `cause` once, with the place it came from, and hides it behind a reference id.
    #[track_caller]
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::logged(&unquoted(cause))
    }

    #[track_caller]
    fn logged(cause: &str) -> Self {
        let reference = reference();
        let at = Location::caller();
        tracing::error!(reference, cause, at = %format_args!("{}:{}", at.file(), at.line()), "internal error");
        Self::Internal(reference)
    }

    /// Every `extensions.code` there is.
    pub(crate) const CODES: [&'static str; 8] = [
        "UNAUTHENTICATED",
        "FORBIDDEN",
        "NOT_FOUND",
        "BAD_USER_INPUT",
        "CONFLICT",
        "RATE_LIMITED",
        "UNAVAILABLE",
        "INTERNAL",
    ];

    /// The `extensions.code` of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "UNAUTHENTICATED",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::NotFound(_) => "NOT_FOUND",
            Self::Invalid(_) => "BAD_USER_INPUT",
            Self::Conflict { .. } => "CONFLICT",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Unavailable(_) => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// The sentence a client sees.
    pub fn message(&self) -> String {
        match self {
            Self::Unauthenticated(m) | Self::Forbidden(m) | Self::NotFound(m) | Self::Unavailable(m) => {
                m.clone()
            }
            Self::Conflict { message, .. } => message.clone(),
            Self::Invalid(fields) => match fields.as_slice() {
                [one] => format!("{}: {}", one.field, one.message),
                many => format!("{} fields are not valid", many.len()),
            },
            Self::RateLimited { retry_after } => format!("Too many attempts; try again in {retry_after} s"),
            Self::Internal(reference) => format!("Internal error, reference {reference}"),
        }
    }

    /// How many seconds to wait, for who comes too often.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    fn extend(&self, extensions: &mut ErrorExtensionValues) {
        extensions.set("code", self.code());
        match self {
            Self::Invalid(fields) => {
                let fields = async_graphql::to_value(fields).unwrap_or(Value::Null);
                extensions.set("fields", fields);
            }
            Self::Conflict { existing_id: Some(id), .. } => extensions.set("existingId", id.as_str()),
            Self::RateLimited { retry_after } => extensions.set("retryAfter", *retry_after),
            Self::Internal(reference) => extensions.set("reference", reference.as_str()),
            _ => {}
        }
    }

    /// This error as one of the answer's `errors`.
    pub fn into_server_error(self) -> async_graphql::ServerError {
        let mut extensions = ErrorExtensionValues::default();
        self.extend(&mut extensions);
        let mut error = async_graphql::ServerError::new(self.message(), None);
        error.extensions = Some(extensions);
        error
    }
}

/// Twelve hexadecimal digits, unique enough to find one line in a log.
fn reference() -> String {
    format!("{:012x}", rand::random::<u64>() >> 16)
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        error.extend(&mut extensions);
        Self { message: error.message(), source: None, extensions: Some(extensions) }
    }
}

impl From<DbErr> for Error {
    #[track_caller]
    fn from(error: DbErr) -> Self {
        if is_transient(&error) {
            let at = Location::caller();
            tracing::warn!(error = of_database(&error), at = %format_args!("{}:{}", at.file(), at.line()), "database unavailable");
            return Self::Unavailable("The database cannot answer right now; try again".into());
        }
        Self::logged(&of_database(&error))
    }
}

/// Failures that may be gone in a moment: no connection, a lost one, a lock or statement that
/// took too long, a disk that is full.
fn is_transient(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(e)) | DbErr::Query(RuntimeErr::SqlxError(e)) => match &**e {
            sea_orm::SqlxError::Io(_) | sea_orm::SqlxError::PoolTimedOut | sea_orm::SqlxError::PoolClosed => {
                true
            }
            sea_orm::SqlxError::Database(e) => e.code().is_some_and(|code| is_transient_code(&code)),
            _ => false,
        },
        _ => false,
    }
}

/// SQLSTATE has five characters: class 08 is a lost connection; then statement timeout, deadlock,
/// serialization, lock timeout, too many connections, shutting down, disk full, idle or failed
/// transaction, read-only. SQLite's codes are numbers whose last byte is BUSY, LOCKED, IOERR, FULL.
fn is_transient_code(code: &str) -> bool {
    const SQLSTATES: [&str; 12] = [
        "57014", "40P01", "40001", "55P03", "53300", "57P01", "57P02", "57P03", "53100", "25006", "25P02",
        "25P03",
    ];
    if code.len() == 5 {
        return code.starts_with("08") || SQLSTATES.contains(&code);
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_has_its_code_and_a_message_without_internals() {
        let hidden = Error::internal("relation \"secret\" does not exist");
        assert_eq!(hidden.code(), "INTERNAL");
        assert!(!hidden.message().contains("secret"));
        assert_eq!(Error::not_found("Thing", 99).message(), "Thing with ID 99 not found");
        assert_eq!(Error::invalid("email", "is empty").message(), "email: is empty");
    }

    #[test]
    fn fields_and_ids_travel_in_the_extensions() {
        let error = Error::Conflict { message: "taken".into(), existing_id: Some("7".into()) };
        let json = serde_json::to_value(error.into_server_error()).unwrap();
        assert_eq!(json["extensions"], serde_json::json!({"code": "CONFLICT", "existingId": "7"}));
        let json = serde_json::to_value(Error::invalid("limit", "too large").into_server_error()).unwrap();
        assert_eq!(json["extensions"]["fields"][0]["field"], "limit");
    }

    #[test]
    fn codes_of_both_databases_are_told_apart() {
        for transient in ["08006", "57014", "25P03", "5", "517", "522", "13"] {
            assert!(is_transient_code(transient), "{transient}");
        }
        for other in ["23505", "42P01", "1", "2067", "19"] {
            assert!(!is_transient_code(other), "{other}");
        }
    }

    #[test]
    fn a_lost_database_is_unavailable_and_anything_else_is_internal() {
        let lost = DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout);
        assert_eq!(Error::from(lost).code(), "UNAVAILABLE");
        assert_eq!(Error::from(DbErr::Custom("x".into())).code(), "INTERNAL");
    }
}
