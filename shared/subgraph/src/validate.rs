//! Checks of what clients send, the same on every database because they run before it.
//!
//! A [`Validator`] collects every fault of an input, so that a form can mark them all at once.
//! Lengths count characters, not bytes.

use crate::error::{Error, FieldError, Result};
use chrono::{DateTime, Datelike, Utc};
use std::{fmt::Display, ops::RangeInclusive};
use unicode_normalization::UnicodeNormalization;

/// Collects the faults of one input.
#[derive(Debug, Default)]
pub struct Validator {
    faults: Vec<FieldError>,
}

impl Validator {
    /// Notes a fault of `field`.
    pub fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(FieldError { field: field.into(), message: message.into() });
    }

    /// One line of text: trimmed, not empty, at most `max` characters, no control characters.
    pub fn line(&mut self, field: &str, value: &str, max: usize) -> String {
        let line = self.optional_line(field, value, max);
        if line.is_none() {
            self.fault(field, "is empty");
        }
        line.unwrap_or_default()
    }

    /// One line of text that may be empty, which is the same as none.
    pub fn optional_line(&mut self, field: &str, value: &str, max: usize) -> Option<String> {
        let value = value.trim();
        self.bounded(field, value, max);
        if value.chars().any(|c| c.is_control() || LINES_AND_DIRECTIONS.contains(&c)) {
            self.fault(field, "has control characters");
        }
        (!value.chars().all(is_invisible)).then(|| value.to_owned())
    }

    /// Text of several lines: newline and tab are fine in it. Empty is the same as none.
    pub fn text(&mut self, field: &str, value: &str, max: usize) -> Option<String> {
        self.bounded(field, value, max);
        if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.fault(field, "has control characters other than newline and tab");
        }
        (!value.trim().is_empty()).then(|| value.to_owned())
    }

    fn bounded(&mut self, field: &str, value: &str, max: usize) {
        if value.chars().nth(max).is_some() {
            self.fault(field, format!("is longer than {max} characters"));
        }
    }

    /// An e-mail address: trimmed, at most 254 characters, of the form of RFC 5321.
    pub fn email(&mut self, field: &str, value: &str) -> String {
        let value: String = self.line(field, value, 254).nfc().collect();
        let options = email_address::Options::default()
            .without_display_text()
            .without_domain_literal()
            .with_required_tld();
        // Ends of lines were refused above; angle brackets would let a display name through
        if !value.is_empty() && email_address::EmailAddress::parse_with_options(&value, options).is_err() {
            self.fault(field, "is not an e-mail address");
        }
        value
    }

    /// A telephone number as people write it: 7 to 15 digits, an optional leading plus, and
    /// spaces, dots, dashes and parentheses between. Empty is the same as none.
    pub fn phone(&mut self, field: &str, value: &str) -> Option<String> {
        let value = self.optional_line(field, value, 40)?;
        let body = value.strip_prefix('+').unwrap_or(&value);
        let digits = body.chars().filter(char::is_ascii_digit).count();
        let plain = body.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '.' | '-' | '(' | ')'));
        if !plain || !(7..=15).contains(&digits) {
            self.fault(field, "is not a telephone number of 7 to 15 digits");
        }
        Some(value)
    }

    /// A value within `range`, both ends included.
    pub fn within<T: PartialOrd + Display>(&mut self, field: &str, value: T, range: RangeInclusive<T>) -> T {
        if !range.contains(&value) {
            self.fault(field, format!("is not between {} and {}", range.start(), range.end()));
        }
        value
    }

    /// A time from 1970 up to `latest`, cut to microseconds.
    pub fn instant(&mut self, field: &str, at: DateTime<Utc>, latest: DateTime<Utc>) -> DateTime<Utc> {
        if at.year() < 1970 || at > latest {
            self.fault(field, format!("is not between 1970 and {}", latest.format("%Y-%m-%dT%H:%M:%SZ")));
            return DateTime::UNIX_EPOCH;
        }
        crate::clock::to_micros(at)
    }

    /// A time that a list is narrowed by: from 1970 to 2200, which both databases compare alike.
    pub fn filter_instant(&mut self, field: &str, at: DateTime<Utc>) -> DateTime<Utc> {
        let latest = DateTime::from_timestamp(7_289_654_399, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.instant(field, at, latest)
    }

    /// The faults, if there were any, as one error.
    pub fn finish(self) -> Result<()> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::Invalid(self.faults)) }
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Separators of lines and paragraphs, and what turns the direction of the text around: one line
/// could look like another one.
const LINES_AND_DIRECTIONS: [char; 11] = [
    '\u{2028}', '\u{2029}', '\u{202A}', '\u{202B}', '\u{202C}', '\u{202D}', '\u{202E}', '\u{2066}',
    '\u{2067}', '\u{2068}', '\u{2069}',
];

/// Spaces, also those without a width.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{00AD}')
}

/// Text as it is compared: compatibility forms and case folded together, so that the databases
/// need not know about case at all. By way of capitals, since some letters have two small forms.
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

/// The smallest text that is greater than everything that begins with `prefix`, for a range that
/// an index can serve on every database.
pub fn after_prefix(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(check: impl FnOnce(&mut Validator)) -> Vec<String> {
        let mut validator = Validator::default();
        check(&mut validator);
        validator.faults.into_iter().map(|f| format!("{} {}", f.field, f.message)).collect()
    }

    #[test]
    fn names_are_trimmed_bounded_and_plain() {
        let mut v = Validator::default();
        assert_eq!(v.line("name", "  Ada  ", 100), "Ada");
        assert!(v.is_clean());
        assert_eq!(faults(|v| drop(v.line("name", "   ", 100))), ["name is empty"]);
        assert_eq!(
            faults(|v| drop(v.line("name", &"é".repeat(101), 100))),
            ["name is longer than 100 characters"]
        );
        assert_eq!(faults(|v| drop(v.line("name", "a\0b", 100))), ["name has control characters"]);
        assert_eq!(faults(|v| drop(v.line("name", "\u{202e}evil", 100))), ["name has control characters"]);
        assert_eq!(faults(|v| drop(v.line("name", "\u{200b}", 100))), ["name is empty"]);
        assert!(faults(|v| drop(v.line("name", &"é".repeat(100), 100))).is_empty());
    }

    #[test]
    fn notes_may_have_lines_but_no_nul() {
        assert!(faults(|v| drop(v.text("notes", "one\n\ttwo", 100))).is_empty());
        assert_eq!(faults(|v| drop(v.text("notes", "a\0", 100))).len(), 1);
    }

    #[test]
    fn email_addresses() {
        for good in ["a@b.co", "Ada.Lovelace+crm@example.com", "jose\u{301}@example.com", " ada@example.com "]
        {
            assert!(faults(|v| drop(v.email("email", good))).is_empty(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(8000));
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "ada@localhost",
            "Ada <ada@example.com>",
            &long,
        ] {
            assert!(!faults(|v| drop(v.email("email", bad))).is_empty(), "{bad}");
        }
    }

    #[test]
    fn phone_numbers() {
        for good in ["+1 (555) 010-9999", "555.010.9999", "+4930123456"] {
            assert!(faults(|v| drop(v.phone("phone", good))).is_empty(), "{good}");
        }
        for bad in ["123", "+1 555 CALL", "1234567890123456", "++15550109999", "12+3456789"] {
            assert!(!faults(|v| drop(v.phone("phone", bad))).is_empty(), "{bad}");
        }
    }

    #[test]
    fn folding_makes_case_and_width_equal() {
        assert_eq!(fold("ＪOHN@Example.COM"), "john@example.com");
        assert_eq!(fold("σς"), fold("ΣΣ"));
        assert_eq!(fold("jose\u{301}"), fold("JOSÉ"));
        assert!(fold("johnny") > fold("JOHN") && fold("johnny") < after_prefix("john"));
    }
}
