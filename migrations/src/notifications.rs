//! The database of the notifications service.

crate::service!("notifications" after "leadview"/"0006_lead_view": "0010_notification", "0011_notification_batch");
