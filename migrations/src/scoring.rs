//! The database of the scoring service.

crate::service!("scoring" after "leadview"/"0006_lead_view": "0010_lead_score", "0011_score_calculated_at");
