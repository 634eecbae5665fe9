//! Pages of lists: by offset for small lists, by cursor for any depth at the same cost.

use crate::{
    error::{Error, Result},
    validate::Validator,
};
use async_graphql::connection::{
    Connection, CursorType, DefaultConnectionName, DefaultEdgeName, Edge, EmptyFields,
};
use async_graphql::{ObjectType, OutputType};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// The largest page.
pub const MAX_LIMIT: i32 = 500;
/// The largest offset; deeper lists need cursors.
pub const MAX_OFFSET: i32 = 10_000;
/// The page size when a client asks for none.
pub const DEFAULT_LIMIT: i32 = 50;

/// A count as the graph's `Int` shows it: the most that one holds stands for all that is more.
pub fn to_int(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}

/// The cost of a list, at most.
const MAX_COST: usize = 1_000_000_000;

/// A page by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offset {
    /// Rows, 1 to [`MAX_LIMIT`].
    pub limit: u64,
    /// Rows left out first, 0 to [`MAX_OFFSET`].
    pub offset: u64,
}

impl Offset {
    /// The page a client asked for.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` when it is out of range.
    pub fn try_new(limit: Option<i32>, offset: Option<i32>) -> Result<Self> {
        let mut v = Validator::default();
        let limit = v.within("limit", limit.unwrap_or(DEFAULT_LIMIT), 1..=MAX_LIMIT);
        let offset = v.within("offset", offset.unwrap_or(0), 0..=MAX_OFFSET);
        v.finish()?;
        Ok(Self { limit: limit.unsigned_abs().into(), offset: offset.unsigned_abs().into() })
    }

    /// What a list of `limit` rows costs, when each costs `row`; for `#[graphql(complexity)]`. Lists in lists
    /// multiply beyond what a number holds: the bound is far above what is allowed, and sums of it stay numbers.
    pub fn cost(limit: Option<i32>, row: usize) -> usize {
        let limit = limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        usize::try_from(limit).unwrap_or_default().saturating_mul(row).min(MAX_COST)
    }
}

/// What a list is sorted by, as it stands in a cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Key {
    /// The row has no value; such rows come last.
    #[serde(rename = "n")]
    Null,
    /// Text, compared by its bytes.
    #[serde(rename = "s")]
    Text(String),
    /// A whole number.
    #[serde(rename = "i")]
    Int(i64),
    /// A time.
    #[serde(rename = "t")]
    Time(DateTime<Utc>),
}

impl Key {
    /// Whether a database can hold this key; a forged cursor may have anything.
    fn is_plausible(&self) -> bool {
        match self {
            Self::Null | Self::Int(_) => true,
            Self::Text(text) => text.len() <= 4_000 && !text.contains('\0'),
            Self::Time(at) => (1970..=2200).contains(&at.year()),
        }
    }

    /// Whether a cursor's key can belong to a list that is sorted by keys like `self`.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A place in a list. Opaque to clients; it belongs to one list in one order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// The list and its order.
    #[serde(rename = "l")]
    pub list: String,
    /// The sort key of the row.
    #[serde(rename = "k")]
    pub key: Key,
    /// The id of the row.
    #[serde(rename = "i")]
    pub id: i32,
}

impl Cursor {
    fn parse(text: &str, list: &str, field: &str) -> Result<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let cursor = cursor.filter(|cursor| cursor.key.is_plausible());
        let cursor = cursor.ok_or_else(|| Error::invalid(field, "is not a cursor"))?;
        if cursor.list != list {
            return Err(Error::invalid(field, "is a cursor of another list or another order"));
        }
        Ok(cursor)
    }
}

impl CursorType for Cursor {
    type Error = Infallible;

    fn decode_cursor(_: &str) -> Result<Self, Infallible> {
        unreachable!("cursors are parsed by PageRequest, which knows the list")
    }

    fn encode_cursor(&self) -> String {
        // A struct of text, numbers and times always serialises
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A page by cursor: the first rows after one place, or the last before another.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRequest {
    /// Rows, 1 to [`MAX_LIMIT`].
    pub limit: u64,
    /// Whether to take the last rows instead of the first.
    pub backward: bool,
    /// Only rows after this one.
    pub after: Option<Cursor>,
    /// Only rows before this one.
    pub before: Option<Cursor>,
    /// The list and its order, for the cursors of the answer.
    pub list: String,
}

impl PageRequest {
    /// The page a client asked for, of the list called `name` (which must tell orders and parents
    /// apart).
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for sizes out of range, both directions at once, or foreign cursors.
    pub fn try_new(
        name: String,
        (first, after): (Option<i32>, Option<String>),
        (last, before): (Option<i32>, Option<String>),
    ) -> Result<Self> {
        let mut v = Validator::default();
        if first.is_some() && last.is_some() {
            v.fault("last", "cannot be combined with first");
        }
        let (field, limit) = last.map_or(("first", first), |_| ("last", last));
        let limit = v.within(field, limit.unwrap_or(DEFAULT_LIMIT), 1..=MAX_LIMIT);
        v.finish()?;
        let after = after.map(|text| Cursor::parse(&text, &name, "after")).transpose()?;
        let before = before.map(|text| Cursor::parse(&text, &name, "before")).transpose()?;
        Ok(Self { limit: limit.unsigned_abs().into(), backward: last.is_some(), after, before, list: name })
    }
}

/// The rows of one page.
#[derive(Clone, Debug)]
pub struct Page<M> {
    /// The rows with their places, in the order of the list.
    pub rows: Vec<(Cursor, M)>,
    /// Whether there are rows before them.
    pub has_previous: bool,
    /// Whether there are rows after them.
    pub has_next: bool,
}

/// A connection whose cursors are ours and that has the fields of `F` beside the usual ones.
pub type CursorConnection<N, F = EmptyFields> =
    Connection<Cursor, N, F, EmptyFields, DefaultConnectionName, DefaultEdgeName>;

impl<N: OutputType> Page<N> {
    /// This page in Relay's form, with `fields` beside `edges`, `nodes` and `pageInfo`.
    pub fn into_connection<F: ObjectType>(self, fields: F) -> CursorConnection<N, F> {
        let mut connection = Connection::with_additional_fields(self.has_previous, self.has_next, fields);
        connection.edges.extend(self.rows.into_iter().map(|(cursor, row)| Edge::new(cursor, row)));
        connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(list: &str) -> Cursor {
        Cursor { list: list.into(), key: Key::Int(5), id: 7 }
    }

    fn request(first: Option<i32>, after: Option<String>, last: Option<i32>) -> Result<PageRequest> {
        PageRequest::try_new("rows:ID".into(), (first, after), (last, None))
    }

    #[test]
    fn sizes_have_bounds() {
        for bad in [0, -1, 501, 1_000_000_000] {
            assert!(Offset::try_new(Some(bad), None).is_err(), "{bad}");
            assert!(request(Some(bad), None, None).is_err(), "{bad}");
        }
        assert!(Offset::try_new(Some(1), Some(10_001)).is_err());
        assert!(Offset::try_new(Some(1), Some(-1)).is_err());
        assert_eq!(Offset::try_new(None, None).unwrap(), Offset { limit: 50, offset: 0 });
        assert!(request(Some(1), None, Some(1)).is_err(), "both directions");
    }

    #[test]
    fn costs_multiply_without_end() {
        assert_eq!(Offset::cost(None, 3), 150);
        assert_eq!(Offset::cost(Some(-1), 3), 3);
        // 256 to the eighth is 0 in 64 bits
        let cost = (0..8).fold(1, |row, _| Offset::cost(Some(256), row));
        assert_eq!(cost, MAX_COST);
    }

    #[test]
    fn a_cursor_works_in_its_own_list_only() {
        let own = cursor("rows:ID");
        assert_eq!(request(None, Some(own.encode_cursor()), None).unwrap().after, Some(own));
        for foreign in [cursor("rows:NAME").encode_cursor(), "garbage".into(), String::new(), "e30".into()] {
            assert_eq!(request(None, Some(foreign), None).unwrap_err().code(), "BAD_USER_INPUT");
        }
    }
}
