//! The hand-written statements that recalculation is set beside: each stores the numbers of all leads at once.

use chrono::{DateTime, Utc};

/// ln 2 / 14 days, in microseconds; a mere literal would be a decimal number to Postgres, which is slow.
const RATE: &str = "CAST(5.73038343716886e-13 AS double precision)";
/// How well a lead fits.
pub const FIT: &str = "CASE l.status WHEN 'NEW' THEN 10 WHEN 'CONTACTED' THEN 20 WHEN 'QUALIFIED' THEN 40 \
     WHEN 'WON' THEN 40 ELSE 0 END \
     + CASE WHEN coalesce(l.budget_cents, 0) <= 0 THEN 0 WHEN l.budget_cents <= 1000000 THEN 10 \
     WHEN l.budget_cents <= 5000000 THEN 20 ELSE 30 END + CASE WHEN l.has_phone THEN 10 ELSE 0 END \
     + CASE WHEN l.location IS NOT NULL THEN 10 ELSE 0 END + CASE WHEN l.owner_id IS NOT NULL THEN 10 ELSE 0 END";
const BAND: &str = "CASE WHEN fit >= 70 THEN 'A' WHEN fit >= 40 THEN 'B' ELSE 'C' END || \
     CASE WHEN activity_score >= 60 THEN '1' WHEN activity_score >= 25 THEN '2' ELSE '3' END";

/// What an interaction `i` is worth at a time.
pub fn points(at: &str) -> String {
    format!(
        "CASE i.kind WHEN 'EMAIL' THEN 5.0 WHEN 'CALL' THEN 10.0 WHEN 'MEETING' THEN 20.0 ELSE 0.0 END \
         * exp({RATE} * (i.at - {at}))"
    )
}

/// The score of a sum.
pub fn activity(sum: &str) -> String {
    format!("CAST(floor(100.5 - 100.0 * exp(-0.023104906018664842 * {sum})) AS integer)")
}

/// What leads are ordered by.
pub fn rank(sum: &str, at: &str) -> String {
    format!(
        "CASE WHEN {sum} > 0 THEN ln({sum}) / 0.6931471805599453 + {at} / CAST(1209600000000.0 AS double precision) ELSE -1e9 END"
    )
}

/// Every score anew where there is one. What is the same up to rounding is not written anew: it is in indexes.
pub fn again(now: DateTime<Utc>) -> String {
    let micros = now.timestamp_micros();
    let same = "abs(n.total - s.decayed_sum) <= 1e-9 * n.total";
    format!(
        "UPDATE lead_score AS s SET previous_score = s.activity_score, activity_score = {activity}, \
         score_calculated_at = '{time}', fit = {FIT}, closed = l.status IN ('WON', 'LOST'), model_version = '1', \
         decayed_sum = CASE WHEN {same} THEN s.decayed_sum ELSE n.total END, \
         rank = CASE WHEN {same} THEN s.rank ELSE {rank} END, drift = 0 \
         FROM (SELECT t.lead_id, t.as_of, coalesce(sum({points}), 0.0) AS total FROM lead_score AS t \
         LEFT JOIN interaction_view AS i ON i.lead_id = t.lead_id GROUP BY t.lead_id, t.as_of) AS n \
         JOIN lead_view AS l ON l.id = n.lead_id WHERE s.lead_id = n.lead_id AND l.removed_at IS NULL",
        activity = activity(&format!("n.total * exp({RATE} * (n.as_of - {micros}))")),
        time = now.format("%Y-%m-%d %H:%M:%S%.6f+00:00"),
        rank = rank("n.total", "n.as_of"),
        points = points("t.as_of"),
    )
}

/// The rows of the first scores.
fn first_rows(now: DateTime<Utc>) -> String {
    let micros = now.timestamp_micros();
    format!(
        "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, decayed_sum, as_of, rank, fit, closed, \
         model_version) SELECT l.id, {activity}, '{time}', n.total, {micros}, {rank}, {FIT}, \
         l.status IN ('WON', 'LOST'), '1' FROM (SELECT t.id, coalesce(sum({points}), 0.0) AS total FROM lead_view AS t \
         LEFT JOIN interaction_view AS i ON i.lead_id = t.id WHERE t.removed_at IS NULL GROUP BY t.id) AS n \
         JOIN lead_view AS l ON l.id = n.id WHERE true",
        activity = activity("n.total"),
        time = now.format("%Y-%m-%d %H:%M:%S%.6f+00:00"),
        rank = rank("n.total", &micros.to_string()),
        points = points(&micros.to_string()),
    )
}

/// Every score for the first time, with a row of history for each; for Postgres.
pub fn first(now: DateTime<Utc>) -> String {
    format!(
        "WITH added AS ({} RETURNING lead_id, activity_score, fit, score_calculated_at) \
         INSERT INTO score_change (lead_id, activity_score, previous, band, cause, cause_id, at, model_version) \
         SELECT lead_id, activity_score, NULL, {BAND}, 'RECALCULATION', '00000000-0000-7000-8000-000000000001', \
         score_calculated_at, '1' FROM added",
        first_rows(now)
    )
}
