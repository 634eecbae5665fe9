//! Amounts of money: whole cents in the database, a decimal number in the graph.

use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value, parser::types::Field};
use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use subgraph::validate::Validator;

/// The largest amount, in cents: 99,999,999.99.
const MAX: f64 = 9_999_999_999.0;

/// An amount in cents, exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, DeriveValueType, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cents(pub i64);

impl Cents {
    /// The amount a client wrote: 0 to 99,999,999.99 with at most two decimals.
    pub(crate) fn check(v: &mut Validator, field: &str, amount: f64) -> Self {
        let cents = (amount * 100.0).round();
        if amount < 0.0 || !(0.0..=MAX).contains(&cents) {
            v.fault(field, "is not between 0 and 99999999.99");
            return Self(0);
        }
        // Decimal fractions are not exact in binary, but the nearest number to one is always the same
        #[expect(clippy::float_cmp, reason = "the same number is asked for, not one that is near")]
        if cents / 100.0 != amount {
            v.fault(field, "has more than two decimals");
        }
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 10^10, as checked above")]
        Self(cents as i64)
    }
}

impl OutputType for Cents {
    fn type_name() -> Cow<'static, str> {
        <f64 as OutputType>::type_name()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        <f64 as OutputType>::create_type_info(registry)
    }
    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        #[expect(clippy::cast_precision_loss, reason = "below 10^10, far within a double's 53 bits")]
        Ok(Value::from(self.0 as f64 / 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(amount: f64) -> Option<i64> {
        let mut v = Validator::default();
        let cents = Cents::check(&mut v, "budget", amount);
        v.is_clean().then_some(cents.0)
    }

    #[test]
    fn two_decimals_are_exact_and_anything_else_is_refused() {
        assert_eq!(check(99_999_999.99), Some(9_999_999_999));
        assert_eq!(check(0.29), Some(29));
        assert_eq!(check(0.0), Some(0));
        for bad in [
            -1.0,
            -0.01,
            -1e-9,
            1e-9,
            0.1 + 0.2,
            1.000_000_5,
            1e308,
            0.001,
            12.345,
            100_000_000.0,
            f64::NAN,
            f64::INFINITY,
        ] {
            assert_eq!(check(bad), None, "{bad}");
        }
    }
}
