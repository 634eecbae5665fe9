//! The database of the interactions service.

crate::service!("interactions" after "leadview"/"0006_lead_view": "0010_interaction", "0011_interaction_version");
