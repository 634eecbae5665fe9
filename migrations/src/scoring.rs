//! The database of the scoring service.

crate::service!("scoring": "0010_lead_score", "0011_score_calculated_at");
