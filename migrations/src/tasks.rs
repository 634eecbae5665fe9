//! The database of the tasks service.

crate::service!("tasks" after "leadview"/"0006_lead_view":
    "0010_task", "0011_task_priority_order", "0012_task_version", "0020_interaction_view" in "leadview",
    "0021_job" in "chassis", "0022_recommendation", "0024_job_trace" in "chassis"
);
