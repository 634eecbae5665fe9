//! The score model: from what happened with a lead, and what is known about it, to numbers. Pure, and documented
//! with its formulas in `docs/scoring.md`.
//!
//! - Each interaction is worth points by its kind, which halve every half-life: [`DecayedSum`] is
//!   `E(t) = Σ points · 2^(−(t − date) / halfLife)`.
//! - [`ScoreModel::activity`] maps that to 0..100: `100 · (1 − 2^(−E / halfway))`. It falls as time passes, without
//!   anybody writing it anew.
//! - [`fit`] says how well the lead fits, 0..100, by its profile alone.
//! - [`band`] is the two in short: `A1` is best, `C3` is last.

mod decayed_sum;
mod fit;
mod parameters;
pub(crate) mod sql;

pub use decayed_sum::DecayedSum;
pub use fit::{FitPart, Profile, fit, fit_parts, is_closed};
pub(crate) use parameters::ARG;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds of a day, the unit of times here being microseconds since 1970.
const DAY: f64 = 86_400_000_000.0;

/// Fit from which on a lead is an A, and a B.
const FIT_BANDS: [i32; 2] = [70, 40];
/// Current activity from which on a lead is a 1, and a 2.
const ACTIVITY_BANDS: [i32; 2] = [60, 25];

/// The parameters of activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreModel {
    /// What a meeting is worth.
    pub meeting: f64,
    /// What a call is worth.
    pub call: f64,
    /// What an e-mail is worth.
    pub email: f64,
    /// Days in which points halve.
    pub half_life_days: f64,
    /// The sum of points that makes a score of 50.
    pub halfway: f64,
}

impl Default for ScoreModel {
    fn default() -> Self {
        Self { meeting: 20.0, call: 10.0, email: 5.0, half_life_days: 14.0, halfway: 30.0 }
    }
}

impl ScoreModel {
    /// What an interaction of this kind is worth when it takes place; kinds that nobody knows yet count nothing.
    pub fn points(&self, kind: &str) -> f64 {
        match kind {
            "MEETING" => self.meeting,
            "CALL" => self.call,
            "EMAIL" => self.email,
            _ => 0.0,
        }
    }

    /// What is left at `to` of something that was 1 at `from`.
    fn left(&self, from: i64, to: i64) -> f64 {
        self.half_lives(from, to).exp2()
    }

    /// How many half-lives `from` lies after `to`.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a few hundred years are exact")]
    fn half_lives(&self, from: i64, to: i64) -> f64 {
        (from - to) as f64 / (self.half_life_days * DAY)
    }

    /// The score, 0 to 100 and not rounded, of so many points.
    pub fn activity(&self, sum: f64) -> f64 {
        100.0 * (1.0 - (-sum / self.halfway).exp2())
    }
}

/// As people see it: half a point and more counts as one.
#[expect(clippy::cast_possible_truncation, reason = "it is 0 to 100")]
pub fn rounded(activity: f64) -> i32 {
    (activity + 0.5).floor() as i32
}

/// The two numbers in short.
pub fn band(fit: i32, current: i32) -> String {
    let place = |value, limits: [i32; 2]| limits.iter().filter(|limit| value < **limit).count();
    format!("{}{}", ["A", "B", "C"][place(fit, FIT_BANDS)], place(current, ACTIVITY_BANDS) + 1)
}

/// A time as the model counts it.
pub fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_halve_every_half_life_and_the_score_saturates() {
        let model = ScoreModel::default();
        let day = 86_400_000_000;
        assert!((model.left(0, 14 * day) - 0.5).abs() < 1e-12);
        assert!((model.left(0, 28 * day) - 0.25).abs() < 1e-12);
        assert_eq!([0.0, 30.0, 60.0, 1e9].map(|sum| rounded(model.activity(sum))), [0, 50, 75, 100]);
    }

    #[test]
    fn bands_begin_where_the_specification_says() {
        let of = |fit, current| band(fit, current);
        assert_eq!([of(70, 60), of(69, 59), of(40, 25), of(39, 24)], ["A1", "B2", "B2", "C3"]);
        assert_eq!([of(100, 100), of(0, 0)], ["A1", "C3"]);
    }

    #[test]
    fn half_a_point_counts_as_one() {
        assert_eq!([0.0, 0.49, 0.5, 99.49, 99.5, 100.0].map(rounded), [0, 0, 1, 99, 100, 100]);
    }
}
