//! Tasks that are suggested, and what people make of them.

use serde_json::{Value, json};

use super::System;

/// What is suggested for a lead, if anything.
///
/// # Panics
/// When there is no answer.
pub async fn suggest(system: &System<'_>, token: &str, lead: i32) -> Vec<Value> {
    let query = "mutation($lead: Int!) { generateTaskRecommendations(leadId: $lead)
        { id title description aiReasoning source priority dueDate } }";
    let answer = system.data(token, query, json!({ "lead": lead })).await;
    answer["generateTaskRecommendations"].as_array().expect("a list").clone()
}

/// The one to three tasks that are suggested for a lead.
///
/// # Panics
/// When it is not so.
pub async fn suggestions_are_made(system: &System<'_>, token: &str, lead: i32) -> Vec<Value> {
    let suggestions = suggest(system, token, lead).await;
    assert!((1..=3).contains(&suggestions.len()), "{suggestions:#?}");
    for task in &suggestions {
        assert_eq!(task["source"], "AI_SUGGESTED");
        let filled = |field: &str| task[field].as_str().is_some_and(|text| !text.trim().is_empty());
        assert!(["title", "aiReasoning"].iter().all(|field| filled(field)), "{task:#}");
    }
    suggestions
}

/// Suggested tasks for lead 1, each newer than the one before.
///
/// # Panics
/// When they are there already.
pub async fn insert_suggestions(system: &System<'_>, ids: &[i32]) {
    for (id, kind) in ids.iter().zip(["FOLLOW_UP", "PROPOSE", "NEXT_STEP"]) {
        let at = format!("'2026-01-15T12:00:{id}.000000+00:00'");
        let sql = format!(
            "INSERT INTO task (id, title, completed, source, suggestion_kind, ai_reasoning, lead_id, created_at, updated_at)
             VALUES ({id}, 'Task {id}', false, 'AI_SUGGESTED', '{kind}', 'No answer yet.', 1, {at}, {at})"
        );
        system.databases.execute("tasks", &sql).await;
    }
}

/// Accepted, dismissed and waiting tasks beside each other, on a lead that has no others.
///
/// # Panics
/// When it is not so.
pub async fn suggestions_are_decided_on(system: &System<'_>, token: &str) {
    insert_suggestions(system, &[49, 50, 51]).await;
    let query = "mutation($id: Int!, $source: TaskSource!) { updateTaskSource(taskId: $id, source: $source) { id source } }";
    for (id, source) in [(49, "MANUAL"), (50, "DISMISSED")] {
        let updated = system.data(token, query, json!({ "id": id, "source": source })).await;
        assert_eq!(updated["updateTaskSource"], json!({ "id": id.to_string(), "source": source }));
    }
    let lead =
        system.data(token, "{ lead(id: 1) { tasks { id title source aiReasoning } } }", json!({})).await;
    let task = |id: i32, source: &str| {
        json!({ "id": id.to_string(), "title": format!("Task {id}"), "source": source,
            "aiReasoning": "No answer yet." })
    };
    let newest_first = json!([task(51, "AI_SUGGESTED"), task(50, "DISMISSED"), task(49, "MANUAL")]);
    assert_eq!(lead["lead"]["tasks"], newest_first);
}
