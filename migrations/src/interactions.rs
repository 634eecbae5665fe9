//! The database of the interactions service.

crate::service!("interactions": "0010_interaction");
