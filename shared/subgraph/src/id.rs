//! Integer ids that the graph shows as `ID`.

use async_graphql::{
    ContextSelectionSet, InputType, InputValueError, InputValueResult, OutputType, Positioned, ServerResult,
    Value, parser::types::Field, registry::Registry,
};
use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A 32-bit positive primary key; `ID` in the graph, `integer` in the database.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Id(pub i32);

impl Id {
    /// The id a client wrote, or nothing when it can be no id. Entity resolvers need the
    /// difference: an error for one id would lose the whole batch.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|id: &i32| *id > 0 && id.to_string() == text).map(Self)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

// Both traits delegate name and registration to the built-in scalar: a scalar of our own named
// `ID` would be registered as a second type.
impl OutputType for Id {
    fn type_name() -> Cow<'static, str> {
        <async_graphql::ID as OutputType>::type_name()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        <async_graphql::ID as OutputType>::create_type_info(registry)
    }
    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::from(self.0.to_string()))
    }
}

impl InputType for Id {
    type RawValueType = Self;
    fn type_name() -> Cow<'static, str> {
        <async_graphql::ID as InputType>::type_name()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        <async_graphql::ID as InputType>::create_type_info(registry)
    }
    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let text = <async_graphql::ID as InputType>::parse(value).map_err(InputValueError::propagate)?;
        Self::parse(&text).ok_or_else(|| InputValueError::custom("is not a positive 32-bit id"))
    }
    fn to_value(&self) -> Value {
        Value::from(self.0.to_string())
    }
    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

/// An id in the place of an `Int` argument: 32-bit and positive, anything else is refused before
/// the resolver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowId(pub i32);

impl InputType for RowId {
    type RawValueType = Self;
    fn type_name() -> Cow<'static, str> {
        <i32 as InputType>::type_name()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        <i32 as InputType>::create_type_info(registry)
    }
    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let id = <i32 as InputType>::parse(value).map_err(InputValueError::propagate)?;
        if id > 0 { Ok(Self(id)) } else { Err(InputValueError::custom("is not a positive id")) }
    }
    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_positive_32_bit_integers_are_ids() {
        assert_eq!(Id::parse("1"), Some(Id(1)));
        for bad in ["0", "-1", "2147483648", "1e3", " 1", "+1", "01", "", "x"] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }
}
