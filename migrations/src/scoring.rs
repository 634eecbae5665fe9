//! The database of the scoring service.

crate::service!("scoring" after "leadview"/"0006_lead_view":
    "0010_lead_score", "0011_score_calculated_at", "0020_interaction_view" in "leadview", "0021_job" in "chassis",
    "0022_score", "0023_score_change", "0024_job_trace" in "chassis"
);
