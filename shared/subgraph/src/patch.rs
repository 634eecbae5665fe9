//! Inputs in which absent means unchanged and null clears.

use crate::error::Error;
use async_graphql::MaybeUndefined;

/// What a client asked to do with one column.
pub trait Patch<T> {
    /// For a column that may be null: absent leaves it, null clears it.
    fn clearable(self) -> Option<Option<T>>;
    /// For a column that must have a value: null is refused under the name `field`.
    fn required(self, field: &str) -> Result<Option<T>, Error>;
}

impl<T> Patch<T> for MaybeUndefined<T> {
    fn clearable(self) -> Option<Option<T>> {
        match self {
            Self::Undefined => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }

    fn required(self, field: &str) -> Result<Option<T>, Error> {
        match self {
            Self::Undefined => Ok(None),
            Self::Null => Err(Error::invalid(field, "cannot be null")),
            Self::Value(value) => Ok(Some(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_null_and_value_are_three_things() {
        assert_eq!(MaybeUndefined::<i32>::Undefined.clearable(), None);
        assert_eq!(MaybeUndefined::<i32>::Null.clearable(), Some(None));
        assert_eq!(MaybeUndefined::Value(1).clearable(), Some(Some(1)));
        assert_eq!(MaybeUndefined::<i32>::Null.required("title").unwrap_err().code(), "BAD_USER_INPUT");
    }
}
