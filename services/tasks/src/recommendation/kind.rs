//! The kinds of recommendation there are.

use schemars::JsonSchema;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// What kind of thing is recommended, the most urgent first. The texts are in the database, in events and in what a
/// provider is asked for: they never change.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::None)", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Kind {
    /// Do what is overdue, or agree on another date.
    FollowUp,
    /// Make an offer: the lead is hot.
    Propose,
    /// Get back in touch after a long silence.
    ReEngage,
    /// Get in touch for the first time.
    Introduce,
    /// Agree on what comes next, since nothing is planned.
    NextStep,
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::{ActiveEnum, Iterable};

    #[test]
    fn the_texts_stay_and_are_the_same_everywhere() {
        let texts: Vec<_> = Kind::iter().map(|kind| kind.to_value()).collect();
        assert_eq!(texts, ["FOLLOW_UP", "PROPOSE", "RE_ENGAGE", "INTRODUCE", "NEXT_STEP"]);
        let json: Vec<_> = Kind::iter().map(|kind| serde_json::to_value(kind).unwrap()).collect();
        assert_eq!(json, texts);
    }
}
