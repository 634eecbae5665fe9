//! The database of the tasks service.

crate::service!("tasks": "0010_task", "0011_task_priority_order");
