//! What the original promised its front ends, and one query across all services, through the real router.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use serde_json::{Value, json};
use testkit::Supergraph;

testkit::on_both_databases!(
    the_demo_user_signs_in,
    a_lead_is_created_under_both_argument_names,
    a_notification_is_marked_as_read,
    a_lead_is_shown_with_its_interactions,
    a_suggestion_is_accepted_or_dismissed,
    one_query_reaches_every_service,
);

/// UUIDs of notifications; the first is older.
const NOTIFICATIONS: [&str; 2] =
    ["019b0000-0000-7000-8000-000000000001", "019b0000-0000-7000-8000-000000000002"];

async fn the_demo_user_signs_in(supergraph: Supergraph) {
    let query = r#"mutation { login(input: {email: "test@example.com", password: "password"})
        { token user { email } } }"#;
    let answer = supergraph.graphql(None, query, json!({})).await;
    assert_eq!(answer["data"]["login"]["user"], json!({ "email": "test@example.com" }), "{answer:#}");
    let token = answer["data"]["login"]["token"].as_str().unwrap();
    let me = supergraph.data(token, "{ me { id email role active } }", json!({})).await;
    assert_eq!(me["me"], json!({ "id": "1", "email": "test@example.com", "role": "ADMIN", "active": true }));
}

async fn a_lead_is_created_under_both_argument_names(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let query = r#"mutation { createLead(input: {firstName: "John", lastName: "Doe", email: "john@example.com"})
        { id firstName lastName } }"#;
    let created = supergraph.data(&admin, query, json!({})).await;
    assert_eq!(created["createLead"], json!({ "id": "16", "firstName": "John", "lastName": "Doe" }));
    let query = r#"mutation { createLead(createLeadInput: {firstName: "Jane", lastName: "Roe", email: "jane@example.com"})
        { id firstName lastName } }"#;
    let created = supergraph.data(&admin, query, json!({})).await;
    assert_eq!(created["createLead"], json!({ "id": "17", "firstName": "Jane", "lastName": "Roe" }));
    assert_eq!(supergraph.count("leads", "lead").await, 17);
}

async fn a_notification_is_marked_as_read(supergraph: Supergraph) {
    insert_notifications(&supergraph).await;
    let admin = supergraph.admin().await;
    let query =
        "{ getNotifications { id type title message isRead relatedLeadId createdAt } getUnreadCount }";
    let list = supergraph.data(&admin, query, json!({})).await;
    let newest = json!({
        "id": NOTIFICATIONS[1], "type": "LEAD_CREATED", "title": "New Lead Created",
        "message": "John Doe added to pipeline", "isRead": false, "relatedLeadId": 2,
        "createdAt": "2026-01-15T12:00:02+00:00",
    });
    assert_eq!(list["getNotifications"][0], newest);
    assert_eq!(
        (list["getNotifications"][1]["id"].as_str(), &list["getUnreadCount"]),
        (Some(NOTIFICATIONS[0]), &json!(2))
    );

    let query = "mutation($id: String!) { markAsRead(id: $id) { id isRead } }";
    let marked = supergraph.data(&admin, query, json!({ "id": NOTIFICATIONS[1] })).await;
    assert_eq!(marked["markAsRead"], json!({ "id": NOTIFICATIONS[1], "isRead": true }));
    let unread = supergraph.data(&admin, "{ getUnreadCount }", json!({})).await;
    let stored = supergraph.count("notifications", "notification WHERE NOT is_read").await;
    assert_eq!((&unread["getUnreadCount"], stored), (&json!(1), 1));
}

async fn a_lead_is_shown_with_its_interactions(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let query = "{ lead(id: 1) { id firstName lastName email phone budget location status
        interactions { id type date notes createdAt } } }";
    let mut lead = supergraph.data(&admin, query, json!({})).await["lead"].take();
    let interactions = lead["interactions"].take();
    let expected = json!({
        "id": "1", "firstName": "Alice", "lastName": "Nguyen", "email": "alice.nguyen@example.com",
        "phone": "+1 555 010 0101", "budget": 12000.0, "location": "Austin, TX", "status": "NEW",
        "interactions": null,
    });
    assert_eq!(lead, expected);
    let interactions = interactions.as_array().unwrap();
    let stored = supergraph.count("interactions", "interaction WHERE lead_id = 1").await;
    assert!((2..=5).contains(&interactions.len()) && i64::try_from(interactions.len()).unwrap() == stored);
    let text = |interaction: &Value, field: &str| interaction[field].as_str().unwrap().to_owned();
    assert!(interactions.is_sorted_by_key(|interaction| std::cmp::Reverse(text(interaction, "date"))));
    for interaction in interactions {
        assert!(["CALL", "EMAIL", "MEETING"].contains(&&*text(interaction, "type")), "{interaction}");
        assert!(text(interaction, "notes").ends_with('.') && text(interaction, "createdAt").contains('T'));
    }
}

async fn a_suggestion_is_accepted_or_dismissed(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    insert_suggestions(&supergraph, &[49, 50, 51]).await;
    let query = "mutation($id: Int!, $source: TaskSource!) { updateTaskSource(taskId: $id, source: $source) { id source } }";
    for (id, source) in [(49, "MANUAL"), (50, "DISMISSED")] {
        let updated = supergraph.data(&admin, query, json!({ "id": id, "source": source })).await;
        assert_eq!(updated["updateTaskSource"], json!({ "id": id.to_string(), "source": source }));
    }
    let lead =
        supergraph.data(&admin, "{ lead(id: 1) { tasks { id title source aiReasoning } } }", json!({})).await;
    let task = |id: i32, source: &str| json!({ "id": id.to_string(), "title": format!("Task {id}"), "source": source, "aiReasoning": "No answer yet." });
    let newest_first = json!([task(51, "AI_SUGGESTED"), task(50, "DISMISSED"), task(49, "MANUAL")]);
    assert_eq!(lead["lead"]["tasks"], newest_first);
}

async fn one_query_reaches_every_service(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    insert_notifications(&supergraph).await;
    insert_suggestions(&supergraph, &[49]).await;
    supergraph.execute("scoring", SCORE).await;
    supergraph.data(&admin, r#"mutation { assignLead(id: 1, ownerId: "1") { version } }"#, json!({})).await;

    let query = "{
        lead(id: 1) {
            email owner { email role } interactions(limit: 1) { type } tasks { title }
            activityScore summary scoreCalculatedAt
        }
        getNotifications { relatedLead { email activityScore } }
    }";
    let (answer, cost) = supergraph.cost(supergraph.data(&admin, query, json!({}))).await;
    let lead = &answer["lead"];
    assert_eq!(lead["email"], "alice.nguyen@example.com");
    assert_eq!(lead["owner"], json!({ "email": "test@example.com", "role": "ADMIN" }));
    assert!(lead["interactions"][0]["type"].is_string(), "{lead:#}");
    assert_eq!(lead["tasks"], json!([{ "title": "Task 49" }]));
    assert_eq!((&lead["activityScore"], &lead["summary"]), (&json!(42), &json!("Met twice.")));
    assert_eq!(lead["scoreCalculatedAt"], "2026-01-15T12:00:00+00:00");
    let related = json!([
        { "relatedLead": { "email": "bruno.costa@example.com", "activityScore": null } },
        { "relatedLead": { "email": "alice.nguyen@example.com", "activityScore": 42 } },
    ]);
    assert_eq!(answer["getNotifications"], related);
    assert_eq!(cost.len(), 6, "every service had its part: {cost:?}");
}

const SCORE: &str = "INSERT INTO lead_score (lead_id, activity_score, summary, score_calculated_at)
    VALUES (1, 42, 'Met twice.', '2026-01-15T12:00:00.000000+00:00')";

/// One for each of the first two leads, unread, as later versions write them.
async fn insert_notifications(supergraph: &Supergraph) {
    for (lead, id) in (1..).zip(NOTIFICATIONS) {
        let at = format!("'2026-01-15T12:00:0{lead}.000000+00:00'");
        let id = supergraph.uuid(id);
        let sql = format!(
            "INSERT INTO notification (id, type, title, message, is_read, related_lead_id, sequence, created_at, updated_at)
             VALUES ({id}, 'LEAD_CREATED', 'New Lead Created', 'John Doe added to pipeline', false, {lead}, {lead}, {at}, {at})"
        );
        supergraph.execute("notifications", &sql).await;
    }
}

/// Suggested tasks for lead 1, each newer than the one before.
async fn insert_suggestions(supergraph: &Supergraph, ids: &[i32]) {
    for id in ids {
        let at = format!("'2026-01-15T12:00:{id}.000000+00:00'");
        let sql = format!(
            "INSERT INTO task (id, title, completed, source, suggestion_kind, ai_reasoning, lead_id, created_at, updated_at)
             VALUES ({id}, 'Task {id}', false, 'AI_SUGGESTED', 'FOLLOW_UP', 'No answer yet.', 1, {at}, {at})"
        );
        supergraph.execute("tasks", &sql).await;
    }
}
