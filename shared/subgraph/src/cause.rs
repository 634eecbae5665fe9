//! What the log may say of an error: what went wrong and where, and nothing that people wrote.
//!
//! Databases and parsers quote what they could not take, and that is somebody's e-mail address as soon as not.

use sea_orm::{DbErr, RuntimeErr, SqlxError};
use std::fmt::Display;

/// The SQLSTATE class of statements that are wrong: what is quoted are names of the schema.
const WRONG_STATEMENT: &str = "42";

/// The words of an error without what they quote.
pub(crate) fn unquoted(error: impl Display) -> String {
    let text = error.to_string();
    let (mut plain, mut rest) = (String::with_capacity(text.len()), &*text);
    while let Some(start) = rest.find(['"', '`']) {
        let quote = &rest[start..=start];
        plain.push_str(&rest[..start]);
        plain.push_str(quote);
        plain.push('…');
        // The last one: what is quoted may have quotes in it
        rest = rest[start + 1..].rsplit_once(quote).map_or("", |(_, rest)| rest);
        plain.push_str(quote);
    }
    plain.push_str(rest);
    plain
}

/// What a database's error is, with what it names of the schema.
pub(crate) fn of_database(error: &DbErr) -> String {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))
    | DbErr::Conn(RuntimeErr::SqlxError(cause))) = error
    else {
        return unquoted(error);
    };
    let SqlxError::Database(cause) = &**cause else { return unquoted(error) };
    let code = cause.code().unwrap_or_default();
    let schema = code.len() == 5 && code.starts_with(WRONG_STATEMENT);
    let message = if schema { cause.message().to_owned() } else { unquoted(cause.message()) };
    let constraint = cause.constraint().map(|name| format!(", constraint {name}")).unwrap_or_default();
    format!("{message} (code {code}{constraint})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_quoted_is_left() {
        for (text, plain) in [
            ("connection refused", "connection refused"),
            (
                r#"invalid input syntax for type integer: "jane@example.com""#,
                "invalid input syntax for type integer: \"…\"",
            ),
            (
                r"unknown variant `Jane`, expected `A` or `B` at line 1 column 7",
                "unknown variant `…` at line 1 column 7",
            ),
            (r#"string "Jane "J" Doe", expected i32"#, r#"string "…", expected i32"#),
            (r#"no end: "Jane"#, r#"no end: "…""#),
        ] {
            assert_eq!(unquoted(text), plain);
        }
    }

    #[test]
    fn an_error_of_serde_quotes_and_is_not_repeated() {
        let error = serde_json::from_str::<i32>(r#""jane@example.com""#).unwrap_err();
        assert!(error.to_string().contains("jane"));
        assert_eq!(unquoted(error), "invalid type: string \"…\", expected i32 at line 1 column 18");
    }
}
