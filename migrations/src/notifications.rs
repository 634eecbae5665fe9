//! The database of the notifications service.

crate::service!("notifications": "0010_notification");
