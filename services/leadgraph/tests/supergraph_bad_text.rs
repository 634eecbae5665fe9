//! Text that nobody should store: every place that takes text is found in the schemas, so that a new one is tried
//! as well.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use reqwest::Method;
use serde_json::{Value, json};
use testkit::Supergraph;
use testkit::sdl;
use testkit::supergraph::{ROUTER, code};
use tokio::task::JoinSet;

testkit::on_both_databases!(
    a_nul_is_refused_wherever_text_goes,
    a_megabyte_is_refused_wherever_it_would_be_kept,
    long_names_and_emails_are_refused_by_field,
    a_taken_email_is_taken_in_every_spelling,
    two_hundred_at_once_with_one_email_make_one_lead,
);

const CREATE: &str = "mutation($input: CreateLeadInput!) { createLead(input: $input) { id } }";

async fn a_nul_is_refused_wherever_text_goes(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let mut tried = 0;
    for (service, sdl, field) in sdl::operations() {
        for place in sdl.text_places(&field, "a\0b") {
            let literal = json!({ "query": field.literal(&sdl, &place.variables) });
            let whole = json!({ "query": field.document(), "variables": place.variables });
            for (target, request) in [(service, &whole), (ROUTER, &whole), (service, &literal)] {
                let request = supergraph.request(Method::POST, target, Some(&admin)).json(request);
                let answer = supergraph.send(request).await.body;
                assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{target}: {}: {answer:#}", place.path);
                tried += 1;
            }
        }
    }
    assert!(tried >= 100, "only {tried} places for text were found");
    // Not written as JSON writes it: then it is no JSON
    let raw = "{\"query\": \"{ leads(filter: {search: \\\"\0\\\"}) { id } }\"}";
    for target in [ROUTER, "leads"] {
        let request = supergraph.request(Method::POST, target, Some(&admin));
        let answer = supergraph.send(request.header("content-type", "application/json").body(raw)).await;
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn a_megabyte_is_refused_wherever_it_would_be_kept(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let megabyte = "a".repeat(1_000_000);
    for (service, sdl, field) in sdl::operations() {
        for place in sdl.text_places(&field, &megabyte) {
            let answer = supergraph.direct(service, Some(&admin), &field.document(), place.variables).await;
            // An unknown id or token is refused as such, whatever its length
            let refused = matches!(code(&answer), Some("BAD_USER_INPUT" | "NOT_FOUND" | "UNAUTHENTICATED"));
            // The rows of a batch are refused one by one; that none was kept is seen below
            let answers = field.operation == "query" || field.name == "createLeads";
            let fine = refused || answers && code(&answer).is_none();
            assert!(fine, "{}: {}", place.path, shortened(&answer));
            assert!(answer.to_string().len() < 2_000, "{}: {}", place.path, shortened(&answer));
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn long_names_and_emails_are_refused_by_field(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let email = format!("{}@example.com", "a".repeat(8_000));
    let name = "a".repeat(1_000_000);
    for (lead, field) in [
        (json!({ "firstName": name, "lastName": "B", "email": "a@example.org" }), "firstName"),
        (json!({ "firstName": "A", "lastName": name, "email": "a@example.org" }), "lastName"),
        (json!({ "firstName": "A", "lastName": "B", "email": email }), "email"),
    ] {
        let answer = supergraph.graphql(Some(&admin), CREATE, json!({ "input": lead })).await;
        assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{}", shortened(&answer));
        let fields = &answer["errors"][0]["extensions"]["fields"];
        assert!(fields.as_array().unwrap().iter().all(|fault| fault["field"] == field), "{fields:#}");
    }
    let user = json!({ "email": email, "role": "SALES_REP", "password": "correct horse" });
    let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let answer = supergraph.graphql(Some(&admin), query, json!({ "input": user })).await;
    assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{}", shortened(&answer));
    assert_eq!(supergraph.row_counts().await, before);
}

async fn a_taken_email_is_taken_in_every_spelling(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let update = "mutation($input: UpdateLeadInput!) { updateLead(updateLeadInput: $input) { id } }";
    let user = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    for spelling in [
        "alice.nguyen@example.com",
        "ALICE.Nguyen@Example.com",
        "  alice.nguyen@example.com \t",
        "Ａlice.nguyen@example.com",
    ] {
        let lead = json!({ "firstName": "A", "lastName": "B", "email": spelling });
        for (query, input) in [(CREATE, lead), (update, json!({ "id": 2, "email": spelling }))] {
            let answer = supergraph.graphql(Some(&admin), query, json!({ "input": input })).await;
            assert_eq!(code(&answer), Some("CONFLICT"), "{spelling:?}: {answer:#}");
            assert_eq!(answer["errors"][0]["extensions"]["existingId"], "1", "{answer:#}");
        }
    }
    for spelling in ["test@example.com", " Test@EXAMPLE.com"] {
        let input = json!({ "email": spelling, "role": "SALES_REP", "password": "correct horse" });
        let answer = supergraph.graphql(Some(&admin), user, json!({ "input": input })).await;
        assert_eq!(code(&answer), Some("CONFLICT"), "{spelling:?}: {answer:#}");
    }
    let bulk = "mutation($input: [CreateLeadInput!]!) { createLeads(input: $input) { lead { id } error { code field } } }";
    let row = json!({ "firstName": "A", "lastName": "B", "email": " ALICE.nguyen@example.com" });
    let results = supergraph.data(&admin, bulk, json!({ "input": [row] })).await;
    let conflict = json!([{ "lead": null, "error": { "code": "CONFLICT", "field": "email" } }]);
    assert_eq!(results["createLeads"], conflict);
    assert_eq!(supergraph.row_counts().await, before);
}

async fn two_hundred_at_once_with_one_email_make_one_lead(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let mut attempts = JoinSet::new();
    for i in 0..200 {
        let spelling = ["new@example.org", "NEW@example.org", " new@Example.ORG", "New@example.org "][i % 4];
        let input = json!({ "firstName": "A", "lastName": format!("B{i}"), "email": spelling });
        let request = supergraph.request(Method::POST, ROUTER, Some(&admin));
        let request = request.json(&json!({ "query": CREATE, "variables": { "input": input } })).send();
        attempts.spawn(async move { request.await.unwrap().json::<Value>().await.unwrap() });
    }
    let answers = attempts.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| code(answer).is_none());
    assert_eq!(won.len(), 1, "{won:#?}");
    let winner = &won[0]["data"]["createLead"]["id"];
    for answer in lost {
        assert_eq!(code(answer), Some("CONFLICT"), "{answer:#}");
        assert_eq!(answer["errors"][0]["extensions"]["existingId"], *winner, "{answer:#}");
    }
    let mut after = supergraph.row_counts().await;
    for table in
        ["leads.lead", "leads.audit_log", "leads.outbox", "tasks.lead_view", "notifications.notification"]
    {
        assert_eq!(after[table], before[table] + 1, "{table}");
    }
    let follows = ["inbox", "lead_view"].map(|table| format!(".{table}"));
    after.retain(|table, _| !["leads.", "notifications."].iter().any(|service| table.starts_with(service)));
    after.retain(|table, _| !follows.iter().any(|end| table.ends_with(end)));
    assert!(after.iter().all(|(table, rows)| before[table] == *rows), "{after:?}");
}

fn shortened(answer: &Value) -> String {
    answer.to_string().chars().take(2_000).collect()
}
