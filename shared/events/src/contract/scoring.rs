//! What happens to scores.

use super::{event, example_time};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A lead's stored score changed because of something that happened, not because time passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScoreUpdated {
    /// The lead.
    pub lead_id: i32,
    /// What the lead was called, where that was known.
    pub lead_name: Option<String>,
    /// Grows by one with each change of this lead's score.
    pub version: i32,
    /// The score before, 0 to 100; null when there was none.
    pub previous_score: Option<i32>,
    /// The score now, 0 to 100; null when there is none any more.
    pub score: Option<i32>,
    /// The band just before what happened, such as `B2`; null when there was none.
    pub previous_band: Option<String>,
    /// The band just after it; null when there is none any more.
    pub band: Option<String>,
    /// As of when.
    pub calculated_at: DateTime<Utc>,
}

/// All scores were calculated anew. There is no event for each lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScoresRecalculated {
    /// How many were saved.
    pub count: i32,
    /// How many could not be calculated.
    pub failed: i32,
}

event!(ScoreUpdated, "score.updated" by "scoring", |it| format!("score/{}", it.lead_id), |it| Some(it.version),
Self {
    lead_id: 42,
    lead_name: Some("John Doe".into()),
    version: 3,
    previous_score: Some(42),
    score: Some(71),
    previous_band: Some("B2".into()),
    band: Some("B1".into()),
    calculated_at: example_time(),
});
event!(ScoresRecalculated, "scores.recalculated" by "scoring", |_| "scores".into(), |_| None,
    Self { count: 1200, failed: 0 });
