//! What the original promised its front ends, and one query across all services, through the real router.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Supergraph};

use tokio::time::sleep;

testkit::on_both_databases!(
    the_demo_user_signs_in,
    a_lead_is_created_under_both_argument_names,
    a_notification_is_marked_as_read,
    a_socket_io_client_hears_of_a_new_lead,
    what_happens_in_one_service_happens_in_all,
    a_lead_is_shown_with_its_interactions,
    a_suggestion_is_accepted_or_dismissed,
    one_query_reaches_every_service,
);

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
    let admin = supergraph.admin().await;
    let lead = create_john(&supergraph, &admin).await;
    let newest = newest_notification(&supergraph, &admin, &lead).await;
    let shown = json!({
        "type": "LEAD_CREATED", "title": "New Lead Created", "message": "John Doe added to pipeline",
        "isRead": false, "relatedLeadId": lead,
    });
    let shown = shown.as_object().unwrap();
    assert!(shown.iter().all(|(field, value)| newest[field] == *value), "{newest:#}");
    assert!(newest["createdAt"].as_str().unwrap().contains('T'), "{newest:#}");

    let query = "mutation($id: String!) { markAsRead(id: $id) { id isRead } }";
    let marked = supergraph.data(&admin, query, json!({ "id": newest["id"] })).await;
    assert_eq!(marked["markAsRead"], json!({ "id": newest["id"], "isRead": true }));
    // The demo leads may be told of only now
    supergraph.settled().await;
    let unread = supergraph.data(&admin, "{ getUnreadCount }", json!({})).await;
    let stored = supergraph.count("notifications", "notification WHERE NOT is_read").await;
    assert_eq!(unread["getUnreadCount"], stored);
    assert!(stored > 0, "the demo leads made one");
}

/// The same for clients of the old gateway, with the library they use.
async fn a_socket_io_client_hears_of_a_new_lead(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    supergraph.settled().await;
    let url = format!("http://127.0.0.1:{}", supergraph.port("notifications"));
    let mut client =
        Client::start("socket-io.mjs", [&url, &json!({ "auth": { "token": admin } }).to_string()]);
    // It polls first, and changes to WebSocket at some moment
    while client.next().await["on"] != "connect" {}
    let lead = create_john(&supergraph, &admin).await;
    let said = loop {
        let said = client.next().await;
        if said["on"] == "notification:created" {
            break said["data"].clone();
        }
    };
    assert_eq!(
        (&said["type"], &said["message"]),
        (&json!("lead_created"), &json!("John Doe added to pipeline"))
    );
    assert_eq!((&said["relatedLeadId"], &said["isRead"]), (&lead, &json!(false)));

    let mut stranger = Client::start("socket-io.mjs", [&url, "{}"]);
    loop {
        let said = stranger.next().await;
        assert_ne!(said["on"], "notification:created");
        if ["disconnect", "connect_error"].contains(&said["on"].as_str().unwrap()) {
            break;
        }
    }
}

/// What is removed with a lead, and who is told that a session has ended.
async fn what_happens_in_one_service_happens_in_all(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let lead = create_john(&supergraph, &admin).await;
    for query in [
        r#"mutation($lead: Int!) { createTask(input: {title: "Call", leadId: $lead}) { id } }"#,
        r#"mutation($lead: Int!) { createInteraction(createInteractionInput:
            {type: CALL, date: "2026-01-15T12:00:00Z", notes: "Said yes", leadId: $lead}) { id } }"#,
    ] {
        supergraph.data(&admin, query, json!({ "lead": lead })).await;
    }
    let newest = newest_notification(&supergraph, &admin, &lead).await;
    let related =
        supergraph.data(&admin, "{ getNotifications(limit: 1) { relatedLead { email } } }", json!({})).await;
    assert_eq!(related["getNotifications"][0]["relatedLead"]["email"], "john@example.com", "{newest:#}");
    supergraph.data(&admin, "mutation($lead: Int!) { removeLead(id: $lead) }", json!({ "lead": lead })).await;
    supergraph.settled().await;
    for (service, rows) in [
        ("tasks", format!("task WHERE lead_id = {lead}")),
        ("interactions", format!("interaction WHERE lead_id = {lead}")),
        ("notifications", format!("notification WHERE related_lead_id = {lead}")),
    ] {
        assert_eq!(supergraph.count(service, &rows).await, 0, "{service}");
    }
    let late = r#"mutation($lead: Int!) { createTask(input: {title: "Call", leadId: $lead}) { id } }"#;
    let refused = supergraph.graphql(Some(&admin), late, json!({ "lead": lead })).await;
    assert_eq!(refused["errors"][0]["message"], format!("Lead with ID {lead} not found"));

    supergraph.data(&admin, "mutation { logout }", json!({})).await;
    supergraph.settled().await;
    for query in ["{ leads { id } }", "{ interactions { id } }", "{ tasks { id } }", "{ getUnreadCount }"] {
        let refused = supergraph.graphql(Some(&admin), query, json!({})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{query}: {refused:#}");
    }
}

/// Creates John Doe, and gives his id as a number.
async fn create_john(supergraph: &Supergraph, token: &str) -> Value {
    let query = r#"mutation { createLead(input: {firstName: "John", lastName: "Doe", email: "john@example.com"}) { id } }"#;
    let created = supergraph.data(token, query, json!({})).await;
    json!(created["createLead"]["id"].as_str().unwrap().parse::<i32>().unwrap())
}

/// The newest notification, as soon as it is about this lead.
async fn newest_notification(supergraph: &Supergraph, token: &str, lead: &Value) -> Value {
    let query = "{ getNotifications { id type title message isRead relatedLeadId createdAt } }";
    let start = Instant::now();
    loop {
        let list = supergraph.data(token, query, json!({})).await;
        let newest = list["getNotifications"].get(0).cloned().unwrap_or_default();
        if newest["relatedLeadId"] == *lead {
            return newest;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{newest:#}");
        sleep(Duration::from_millis(20)).await;
    }
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
    let john = create_john(&supergraph, &admin).await;
    newest_notification(&supergraph, &admin, &john).await;
    insert_suggestions(&supergraph, &[49]).await;
    supergraph.settled().await;
    for sql in SCORE {
        supergraph.execute("scoring", sql).await;
    }
    supergraph.data(&admin, r#"mutation { assignLead(id: 1, ownerId: "1") { version } }"#, json!({})).await;

    let query = "{
        lead(id: 1) {
            email owner { email role } interactions(limit: 1) { type } tasks { title }
            activityScore summary scoreCalculatedAt
        }
        getNotifications(limit: 1) { relatedLead { email activityScore } }
    }";
    let (answer, cost) = supergraph.cost(supergraph.data(&admin, query, json!({}))).await;
    let lead = &answer["lead"];
    assert_eq!(lead["email"], "alice.nguyen@example.com");
    assert_eq!(lead["owner"], json!({ "email": "test@example.com", "role": "ADMIN" }));
    assert!(lead["interactions"][0]["type"].is_string(), "{lead:#}");
    assert_eq!(lead["tasks"], json!([{ "title": "Task 49" }]));
    assert_eq!((&lead["activityScore"], &lead["summary"]), (&json!(42), &json!("Met twice.")));
    assert_eq!(lead["scoreCalculatedAt"], "2026-01-15T12:00:00+00:00");
    let related = json!([{ "relatedLead": { "email": "john@example.com", "activityScore": null } }]);
    assert_eq!(answer["getNotifications"], related);
    assert_eq!(cost.len(), 6, "every service had its part: {cost:?}");
}

/// In the place of what follows from the demo data, which depends on the time.
const SCORE: [&str; 2] = [
    "UPDATE lead_score SET activity_score = 42, score_calculated_at = '2026-01-15T12:00:00.000000+00:00' WHERE lead_id = 1",
    "INSERT INTO lead_summary (lead_id, summary, touched, written_by, written_at)
     VALUES (1, 'Met twice.', 0, 'a test', '2026-01-15T12:00:00.000000+00:00')",
];

/// Suggested tasks for lead 1, each newer than the one before.
async fn insert_suggestions(supergraph: &Supergraph, ids: &[i32]) {
    for (id, kind) in ids.iter().zip(["FOLLOW_UP", "PROPOSE", "NEXT_STEP"]) {
        let at = format!("'2026-01-15T12:00:{id}.000000+00:00'");
        let sql = format!(
            "INSERT INTO task (id, title, completed, source, suggestion_kind, ai_reasoning, lead_id, created_at, updated_at)
             VALUES ({id}, 'Task {id}', false, 'AI_SUGGESTED', '{kind}', 'No answer yet.', 1, {at}, {at})"
        );
        supergraph.execute("tasks", &sql).await;
    }
}
