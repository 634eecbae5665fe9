//! The same formulas as SQL that both databases understand, for all leads at once. A test holds them against the
//! functions.

use super::{
    ACTIVITY_BANDS, DAY, FIT_BANDS, ScoreModel,
    fit::{BUDGET, BUDGET_ABOVE, LOCATION, OWNER, PHONE, STATUS},
};
use std::f64::consts::LN_2;

/// Smaller powers of e, and products with them, make Postgres refuse the statement; what they would add to a sum is
/// nothing.
const SMALLEST: f64 = -300.0;
/// Smaller sums are nothing, for the same reason.
const NOTHING: f64 = 1e-150;

impl ScoreModel {
    /// What an interaction of `kind` at `at` is still worth at `time`: all three are columns or numbers. Nothing is
    /// multiplied for what counts nothing: it may lie so long after `time` that Postgres refuses.
    pub(crate) fn sql_points(&self, kind: &str, at: &str, time: &str) -> String {
        let Self { meeting, call, email, .. } = self;
        let decay = self.sql_decay(at, time);
        let counting = [("EMAIL", email), ("CALL", call), ("MEETING", meeting)];
        let counting = counting.iter().filter(|(_, points)| **points > NOTHING);
        let cases = counting.map(|(kind, p)| format!(" WHEN '{kind}' THEN {p:?} * {decay}"));
        let cases = cases.collect::<Vec<_>>().concat();
        if cases.is_empty() { "0.0".into() } else { format!("CASE {kind}{cases} ELSE 0.0 END") }
    }

    /// What is left at `to` of something that was 1 at `from`.
    pub(crate) fn sql_decay(&self, from: &str, to: &str) -> String {
        let exponent = format!("{} * ({from} - {to})", double(LN_2 / (self.half_life_days * DAY)));
        format!("(CASE WHEN {exponent} < {SMALLEST:?} THEN 0.0 ELSE exp({exponent}) END)")
    }

    /// What is left at `to` of a sum at `from`.
    pub(crate) fn sql_left(&self, sum: &str, from: &str, to: &str) -> String {
        format!("CASE WHEN {sum} < {NOTHING:?} THEN 0.0 ELSE {sum} * {} END", self.sql_decay(from, to))
    }

    /// The score, rounded, of a sum that is now `sum`.
    pub(crate) fn sql_activity(&self, sum: &str) -> String {
        let rate = LN_2 / self.halfway;
        // Nothing is left of a sum that is off the scale
        let left =
            format!("CASE WHEN {sum} > {:?} THEN 0.0 ELSE exp(-{rate:?} * {sum}) END", -SMALLEST / rate);
        format!("CAST(floor(100.0 * (1.0 - {left}) + 0.5) AS integer)")
    }

    /// By which sums are ordered: of a sum that was `sum` at `at`.
    pub(crate) fn sql_rank(&self, sum: &str, at: &str) -> String {
        let half_life = double(self.half_life_days * DAY);
        format!("CASE WHEN {sum} > 0 THEN ln({sum}) / {LN_2:?} + {at} / {half_life} ELSE -1e9 END")
    }
}

/// A number to calculate integers with. As a mere literal it would be exact to Postgres, and ten times as slow.
fn double(number: f64) -> String {
    format!("CAST({number:?} AS double precision)")
}

/// Whether a lead is won or lost, from a row `lead` of its view.
pub(crate) fn is_closed(lead: &str) -> String {
    format!("coalesce({lead}.status IN ('WON', 'LOST'), false)")
}

/// How well a lead fits, from a row `lead` of its view.
pub(crate) fn fit(lead: &str) -> String {
    let status = STATUS.map(|(name, points)| format!(" WHEN '{name}' THEN {points}")).concat();
    let budget =
        BUDGET.map(|(up_to, p)| format!(" WHEN coalesce({lead}.budget_cents, 0) <= {up_to} THEN {p}"));
    let budget = budget.concat();
    format!(
        "CASE {lead}.status{status} ELSE 0 END + CASE{budget} ELSE {BUDGET_ABOVE} END \
         + CASE WHEN {lead}.has_phone THEN {PHONE} ELSE 0 END \
         + CASE WHEN {lead}.location IS NOT NULL THEN {LOCATION} ELSE 0 END \
         + CASE WHEN {lead}.owner_id IS NOT NULL THEN {OWNER} ELSE 0 END"
    )
}

/// The band of a fit and a current activity.
pub(crate) fn band(fit: &str, current: &str) -> String {
    let ([a, b], [one, two]) = (FIT_BANDS, ACTIVITY_BANDS);
    format!(
        "CASE WHEN {fit} >= {a} THEN 'A' WHEN {fit} >= {b} THEN 'B' ELSE 'C' END || \
         CASE WHEN {current} >= {one} THEN '1' WHEN {current} >= {two} THEN '2' ELSE '3' END"
    )
}
