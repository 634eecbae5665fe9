//! Numbers and ids out of range, and what is not there.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use reqwest::Method;
use serde_json::{Value, json};
use testkit::Supergraph;
use testkit::sdl;
use testkit::supergraph::{ROUTER, code};

testkit::on_both_databases!(
    budgets_are_cents_within_bounds,
    budgets_are_numbers,
    ids_are_positive_and_have_32_bits,
    ids_of_people_are_numbers,
    a_new_lead_comes_under_one_name,
    what_is_unknown_is_not_found,
);

/// The router's own refusal of a number that is no `Int`.
const ROUTERS: &str = "VALIDATION_INVALID_TYPE_VARIABLE";
const CREATE: &str = "mutation($input: CreateLeadInput!) { createLead(input: $input) { id budget } }";
const UPDATE: &str = "mutation($input: UpdateLeadInput!) { updateLead(updateLeadInput: $input) { id } }";

async fn budgets_are_cents_within_bounds(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let numbers = [-1.0, -0.01, 1e308, 0.001, 99_999_999.991, 100_000_000.0];
    for budget in numbers.into_iter().map(Value::from).chain([json!("NaN"), json!("1")]) {
        let new = json!({ "firstName": "A", "lastName": "B", "email": "a@example.org", "budget": budget });
        for (query, input) in [(CREATE, new), (UPDATE, json!({ "id": 1, "budget": budget }))] {
            for target in [ROUTER, "leads"] {
                let answer = supergraph.direct(target, Some(&admin), query, json!({ "input": input })).await;
                let text_at_router = target == ROUTER && budget.is_string();
                let expected = if text_at_router { ROUTERS } else { "BAD_USER_INPUT" };
                assert_eq!(code(&answer), Some(expected), "{budget} at {target}: {answer:#}");
            }
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

/// Neither JSON nor GraphQL can write these.
async fn budgets_are_numbers(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    for budget in ["NaN", "Infinity", "1e309", "-1e999"] {
        let lead = |quote: &str| {
            let fields = [
                ("firstName", "\"A\""),
                ("lastName", "\"B\""),
                ("email", "\"a@example.org\""),
                ("budget", budget),
            ];
            fields.map(|(field, value)| format!("{quote}{field}{quote}: {value}")).join(", ")
        };
        let variable = format!(r#"{{"query": "{CREATE}", "variables": {{"input": {{{}}}}}}}"#, lead("\""));
        let literal = format!("mutation {{ createLead(input: {{{}}}) {{ id }} }}", lead(""));
        for target in [ROUTER, "leads"] {
            let request = supergraph.request(Method::POST, target, Some(&admin));
            let request = request.header("content-type", "application/json").body(variable.clone());
            let answer = supergraph.send(request).await;
            assert_eq!(answer.status, 400, "{budget} at {target}: {answer:?}");
            let answer = supergraph.direct(target, Some(&admin), &literal, json!({})).await;
            assert!(code(&answer).is_some_and(|code| code != "INTERNAL"), "{budget} at {target}: {answer:#}");
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn ids_are_positive_and_have_32_bits(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let is_id =
        |name: &str, ty: &str| ty == "Int" && (name == "id" || name.ends_with("Id") || name.ends_with("Ids"));
    let operations = sdl::operations();
    let operations = operations.iter().filter(|(.., field)| field.operation != "subscription");
    let places: Vec<_> = operations
        .flat_map(|operation| [0, -1, 2_147_483_648_i64].map(|id| (operation, id)))
        .flat_map(|((service, sdl, field), id)| {
            let places = sdl.places(field, |name, ty| is_id(name, ty).then(|| json!(id)));
            places.into_iter().map(move |place| (*service, field.document(), place, id))
        })
        .collect();
    assert!(places.len() >= 60, "only {} places for ids were found", places.len());
    for (service, document, place, id) in places {
        for target in [service, ROUTER] {
            let answer = supergraph.direct(target, Some(&admin), &document, place.variables.clone()).await;
            let routers = target == ROUTER && code(&answer) == Some(ROUTERS);
            let refused = code(&answer) == Some("BAD_USER_INPUT") || routers;
            assert!(refused, "{} is {id} at {target}: {answer:#}", place.path);
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn ids_of_people_are_numbers(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    for query in [
        "mutation($id: ID!) { assignLead(id: 1, ownerId: $id) { id } }",
        "mutation($id: ID!) { updateUser(input: {id: $id, name: \"x\"}) { id } }",
        "mutation($id: ID!) { revokeApiKey(id: $id) }",
        "query($id: ID!) { leads(filter: {ownerId: $id}) { id } }",
    ] {
        for id in ["0", "-1", "2147483648", "1.0", "one", ""] {
            let answer = supergraph.graphql(Some(&admin), query, json!({ "id": id })).await;
            assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{query} with {id:?}: {answer:#}");
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn a_new_lead_comes_under_one_name(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let query = "mutation($a: CreateLeadInput, $b: CreateLeadInput) { createLead(createLeadInput: $a, input: $b) { id } }";
    let lead = json!({ "firstName": "A", "lastName": "B", "email": "a@example.org" });
    for variables in [json!({}), json!({ "a": null, "b": null }), json!({ "a": lead, "b": lead })] {
        let answer = supergraph.graphql(Some(&admin), query, variables.clone()).await;
        assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{variables}: {answer:#}");
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn what_is_unknown_is_not_found(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let interaction = r#"{type: CALL, date: "2026-01-15T12:00:00Z", leadId: 999999}"#;
    for (mutation, message) in [
        (
            "updateLead(updateLeadInput: {id: 999999, firstName: \"A\"}) { id }",
            "Lead with ID 999999 not found",
        ),
        ("removeLead(id: 999999)", "Lead with ID 999999 not found"),
        ("assignLead(id: 999999, ownerId: \"1\") { id }", "Lead with ID 999999 not found"),
        ("assignLead(id: 1, ownerId: \"999999\") { id }", "User with ID 999999 not found"),
        (
            &format!("createInteraction(createInteractionInput: {interaction}) {{ id }}"),
            "Lead with ID 999999 not found",
        ),
        ("createTask(input: {title: \"Call\", leadId: 999999}) { id }", "Lead with ID 999999 not found"),
        ("completeTask(id: 999999) { id }", "Task with ID 999999 not found"),
        ("removeInteraction(id: 999999)", "Interaction with ID 999999 not found"),
    ] {
        let answer = supergraph.graphql(Some(&admin), &format!("mutation {{ {mutation} }}"), json!({})).await;
        assert_eq!(code(&answer), Some("NOT_FOUND"), "{mutation}: {answer:#}");
        assert_eq!(answer["errors"][0]["message"], message);
    }
    let query =
        "{ lead(id: 999999) { id interactions { id } } task(id: 999999) { id } interaction(id: 999999) { id }
        interactionsByLead(leadId: 999999) { id } tasksByLeadId(leadId: 999999) { id } }";
    let nothing = json!({ "lead": null, "task": null, "interaction": null, "interactionsByLead": [], "tasksByLeadId": [] });
    assert_eq!(supergraph.data(&admin, query, json!({})).await, nothing);
    assert_eq!(supergraph.row_counts().await, before);
}
