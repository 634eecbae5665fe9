//! The database of the leads service.

crate::service!("leads": "0010_lead", "0011_lead_status_order", "0012_lead_search");
