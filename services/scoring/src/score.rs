//! A lead's score: how active it is, how well it fits, and what that is made of.

use async_graphql::SimpleObject;
use sea_orm::prelude::DateTimeUtc;

/// How warm a lead is, and why.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct LeadScore {
    /// Activity as stored at calculatedAt, 0 to 100.
    activity: i32,
    /// Activity now, 0 to 100.
    current: i32,
    /// How well the lead fits, 0 to 100.
    fit: i32,
    /// Fit A to C, then current activity 1 to 3: A1 is best.
    band: String,
    /// When activity was calculated.
    calculated_at: DateTimeUtc,
    /// Which rules it was calculated by.
    model_version: String,
    /// What current is made of, largest first; the points add up to current before rounding.
    factors: Vec<ScoreFactor>,
    /// What fit is made of; the points add up to fit.
    fit_factors: Vec<ScoreFactor>,
}

/// One part of a score.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct ScoreFactor {
    /// What kind of thing counts, such as MEETING or BUDGET; OTHER for all that is not listed.
    kind: String,
    /// The same in words for a person.
    label: String,
    /// What it adds to the score.
    points: f64,
    /// The interaction that counts, if it is one.
    interaction_id: Option<i32>,
    /// When that interaction took place.
    at: Option<DateTimeUtc>,
}

/// One change of a lead's score.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct ScoreChange {
    /// The score after the change, 0 to 100.
    activity_score: i32,
    /// The score before the change; null for the first one.
    previous: Option<i32>,
    /// The band after the change, A1 to C3.
    band: String,
    /// What changed the score.
    cause: String,
    /// When it changed.
    at: DateTimeUtc,
    /// Which rules it was calculated by.
    model_version: String,
}
