//! What the original promised its front ends, and one query across all services, through the real router.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use serde_json::{Value, json};
use testkit::{Supergraph, acceptance};

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
    acceptance::the_demo_user_signs_in(&supergraph.system().await).await;
}

async fn a_lead_is_created_under_both_argument_names(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    acceptance::a_lead_is_created_under_both_argument_names(&supergraph.system().await, &admin).await;
}

async fn a_notification_is_marked_as_read(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let lead = create_john(&supergraph, &admin).await;
    acceptance::a_notification_is_marked_as_read(&supergraph.system().await, &admin, &lead).await;
}

async fn a_socket_io_client_hears_of_a_new_lead(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let system = supergraph.system().await;
    acceptance::a_socket_io_client_hears_of_a_new_lead(&system, &admin, "john@example.com").await;
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
    acceptance::create_john(&supergraph.system().await, token, "john@example.com").await
}

/// The newest notification, as soon as it is about this lead.
async fn newest_notification(supergraph: &Supergraph, token: &str, lead: &Value) -> Value {
    acceptance::newest_notification(&supergraph.system().await, token, lead).await
}

async fn a_lead_is_shown_with_its_interactions(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    acceptance::a_lead_is_shown_with_its_interactions(&supergraph.system().await, &admin).await;
}

async fn a_suggestion_is_accepted_or_dismissed(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    acceptance::suggestions_are_decided_on(&supergraph.system().await, &admin).await;
}

async fn one_query_reaches_every_service(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let john = create_john(&supergraph, &admin).await;
    newest_notification(&supergraph, &admin, &john).await;
    acceptance::insert_suggestions(&supergraph.system().await, &[49]).await;
    supergraph.data(&admin, r#"mutation { assignLead(id: 1, ownerId: "1") { version } }"#, json!({})).await;
    // An owner is part of a score
    supergraph.settled().await;
    for sql in SCORE {
        supergraph.execute("scoring", sql).await;
    }

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
