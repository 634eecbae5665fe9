//! A call that is repeated under its idempotency key gets its first answer, whatever happened since.

use serde_json::json;
use testkit::Supergraph;
use testkit::supergraph::code;

testkit::on_both_databases!(a_retry_needs_no_other_service, a_retry_survives_the_removal_of_its_lead);

/// What is done with the lead's removal is recorded as well.
const CREATED: &str = "audit_log WHERE action = 'task.created'";
const CALLS: [(&str, &str); 3] = [
    (
        "tasks",
        r#"mutation { createTask(idempotencyKey: "r", input: {leadId: 3, title: "Call"}) { id title } }"#,
    ),
    (
        "interactions",
        r#"mutation { createInteraction(idempotencyKey: "r", createInteractionInput:
            {leadId: 3, type: CALL, date: "2026-01-15T10:00:00Z"}) { id date } }"#,
    ),
    (
        "leads",
        r#"mutation { createLead(idempotencyKey: "r", input:
            {firstName: "Ada", lastName: "Byron", email: "ada@byron.example.com", ownerId: 2}) { id email } }"#,
    ),
];

async fn a_retry_needs_no_other_service(mut supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    supergraph.user("Owner", subgraph::Role::SalesRep).await;
    let mut first = Vec::new();
    for (_, call) in CALLS {
        first.push(supergraph.data(&admin, call, json!({})).await);
    }
    supergraph.kill("accounts");
    assert_eq!(supergraph.data(&admin, CALLS[2].1, json!({})).await, first[2]);
    supergraph.kill("leads");
    for ((_, call), first) in CALLS.iter().zip(&first).take(2) {
        assert_eq!(supergraph.data(&admin, call, json!({})).await, *first);
        let new = call.replace("\"r\"", "\"new\"").replace("leadId: 3", "leadId: 999999");
        let new = supergraph.graphql(Some(&admin), &new, json!({})).await;
        assert_eq!(
            code(&new),
            Some("UNAVAILABLE"),
            "a new call about an unknown lead does need leads: {new:#}"
        );
    }
}

async fn a_retry_survives_the_removal_of_its_lead(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let (service, call) = CALLS[0];
    let first = supergraph.data(&admin, call, json!({})).await;
    let done = supergraph.count(service, CREATED).await;
    supergraph.data(&admin, "mutation { removeLead(id: 3) }", json!({})).await;
    assert_eq!(supergraph.data(&admin, call, json!({})).await, first);
    assert_eq!(supergraph.count(service, CREATED).await, done, "nothing was done again");
}
