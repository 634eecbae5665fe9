//! Numbers, ids, pages and cursors out of range.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::Supergraph;
use testkit::sdl::Sdl;
use testkit::supergraph::{ROUTER, SERVICES, code};

testkit::on_both_databases!(
    budgets_are_cents_within_bounds,
    ids_are_positive_and_have_32_bits,
    pages_have_bounds,
    a_cursor_belongs_to_one_list_in_one_order,
    wildcards_in_a_search_are_characters,
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
    let new = |budget: Value| json!({ "firstName": "A", "lastName": "B", "email": "a@example.org", "budget": budget });
    for budget in [
        json!(-1),
        json!(-0.01),
        json!(1e308),
        json!(0.001),
        json!(99_999_999.991),
        json!(100_000_000),
        json!("NaN"),
        json!("1"),
    ] {
        for (query, input) in [(CREATE, new(budget.clone())), (UPDATE, json!({ "id": 1, "budget": budget }))]
        {
            for target in [ROUTER, "leads"] {
                let answer = supergraph.direct(target, Some(&admin), query, json!({ "input": input })).await;
                let text_at_router = target == ROUTER && budget.is_string();
                let expected = if text_at_router { ROUTERS } else { "BAD_USER_INPUT" };
                assert_eq!(code(&answer), Some(expected), "{budget} at {target}: {answer:#}");
            }
        }
    }
    // Neither JSON nor GraphQL has a number for these
    for budget in ["NaN", "Infinity", "1e309", "-1e999"] {
        for target in [ROUTER, "leads"] {
            let lead = format!(
                r#"{{"firstName": "A", "lastName": "B", "email": "a@example.org", "budget": {budget}}}"#
            );
            let body = format!(r#"{{"query": "{CREATE}", "variables": {{"input": {lead}}}}}"#);
            let request = supergraph
                .request(Method::POST, target, Some(&admin))
                .header("content-type", "application/json");
            let answer = supergraph.send(request.body(body)).await;
            assert_eq!(answer.status, 400, "{budget} at {target}: {answer:?}");
            let literal = format!(
                r#"mutation {{ createLead(input: {{firstName: "A", lastName: "B", email: "a@example.org", budget: {budget}}}) {{ id }} }}"#
            );
            let answer = supergraph.direct(target, Some(&admin), &literal, json!({})).await;
            assert!(code(&answer).is_some_and(|code| code != "INTERNAL"), "{budget} at {target}: {answer:#}");
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn ids_are_positive_and_have_32_bits(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let mut tried = 0;
    for service in SERVICES {
        let sdl = Sdl::committed(service);
        for field in sdl.roots().iter().filter(|field| field.operation != "subscription") {
            for id in [json!(0), json!(-1), json!(2_147_483_648_i64)] {
                let is_id = |name: &str, ty: &str| {
                    ty == "Int" && (name == "id" || name.ends_with("Id") || name.ends_with("Ids"))
                };
                for place in sdl.places(field, |name, ty| is_id(name, ty).then(|| id.clone())) {
                    for target in [service, ROUTER] {
                        let answer = supergraph
                            .direct(target, Some(&admin), &field.document(), place.variables.clone())
                            .await;
                        let unbuilt = answer["errors"][0]["message"]
                            .as_str()
                            .is_some_and(|text| text.ends_with("not built yet"));
                        let routers = target == ROUTER && code(&answer) == Some(ROUTERS);
                        let refused = code(&answer) == Some("BAD_USER_INPUT") || routers || unbuilt;
                        assert!(refused, "{} is {id} at {target}: {answer:#}", place.path);
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried >= 60, "only {tried} places for ids were found");
    for (query, id) in [
        (r#"mutation { assignLead(id: 1, ownerId: "ID") { id } }"#, "ownerId"),
        (r#"mutation { updateUser(input: {id: "ID", name: "x"}) { id } }"#, "id"),
        (r#"mutation { revokeApiKey(id: "ID") }"#, "id"),
        (r#"{ leads(filter: {ownerId: "ID"}) { id } }"#, "ownerId"),
    ] {
        for value in ["0", "-1", "2147483648", "1.0", "one", ""] {
            let answer = supergraph
                .graphql(Some(&admin), &query.replace("ID\"", &format!("{value}\"")), json!({}))
                .await;
            assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{id} is {value:?}: {answer:#}");
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn pages_have_bounds(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let bounds = |name: &str| match name {
        "limit" | "first" | "last" => vec![0, -1, 501, 1_000_000_000],
        "offset" => vec![-1, 10_001, 1_000_000_000],
        _ => Vec::new(),
    };
    for service in SERVICES {
        let sdl = Sdl::committed(service);
        for field in sdl.roots() {
            for argument in &field.arguments {
                for value in bounds(&argument.name) {
                    let mut variables = sdl.minimal(&field);
                    variables[&argument.name] = json!(value);
                    let answer = supergraph.graphql(Some(&admin), &field.document(), variables).await;
                    let unbuilt = answer["errors"][0]["message"]
                        .as_str()
                        .is_some_and(|text| text.ends_with("not built yet"));
                    let refused = code(&answer) == Some("BAD_USER_INPUT") || unbuilt;
                    assert!(refused, "{}({}: {value}): {answer:#}", field.name, argument.name);
                }
            }
        }
    }
    for (service, field) in [
        ("interactions", "interactions(limit: N) { id }"),
        ("interactions", "interactionsConnection(first: N) { totalCount }"),
        ("interactions", "interactionsConnection(last: N) { totalCount }"),
        ("tasks", "tasks(limit: N) { id }"),
    ] {
        for value in [0, -1, 501, 1_000_000_000] {
            let query = format!(
                "{{ leads(limit: 2) {{ email nested: {} }} }}",
                field.replace('N', &value.to_string())
            );
            let answer = supergraph.graphql(Some(&admin), &query, json!({})).await;
            assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{query}: {answer:#}");
            assert_eq!(answer["errors"][0]["extensions"]["service"], service);
            let leads = answer["data"]["leads"].as_array().unwrap_or_else(|| panic!("{query}: {answer:#}"));
            let kept = leads.iter().all(|lead| lead["email"].is_string() && lead["nested"].is_null());
            assert!(leads.len() == 2 && kept, "{query}: {answer:#}");
        }
    }
}

async fn a_cursor_belongs_to_one_list_in_one_order(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let page = "{ leadsConnection(first: 2, orderBy: {field: FIRST_NAME}) { pageInfo { endCursor } }
        lead(id: 1) { interactionsConnection(first: 1) { pageInfo { endCursor } } } }";
    let page = supergraph.data(&admin, page, json!({})).await;
    let cursor = |value: &Value| value["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
    let by_name = cursor(&page["leadsConnection"]);
    let of_lead_1 = cursor(&page["lead"]["interactionsConnection"]);

    let leads = "query($c: String, $o: LeadOrder) { leadsConnection(first: 2, ARG: $c, orderBy: $o) { nodes { id } } }";
    let nested =
        "query($c: String) { lead(id: 2) { interactionsConnection(first: 2, ARG: $c) { nodes { id } } } }";
    let order = |field: &str, direction: &str| json!({ "field": field, "direction": direction });
    let mut foreign = vec![
        (leads, json!({ "c": by_name, "o": order("EMAIL", "ASC") })),
        (leads, json!({ "c": by_name, "o": order("FIRST_NAME", "DESC") })),
        (leads, json!({ "c": by_name, "o": null })),
        (leads, json!({ "c": of_lead_1, "o": null })),
        (nested, json!({ "c": of_lead_1 })),
        (nested, json!({ "c": by_name })),
    ];
    for garbage in
        ["", "garbage", "e30", "eyJsIjoieCJ9", "-1", "%", "👋", &format!("{by_name}x"), &by_name[1..]]
    {
        foreign.extend([
            (leads, json!({ "c": garbage, "o": order("FIRST_NAME", "ASC") })),
            (nested, json!({ "c": garbage })),
        ]);
    }
    for (query, variables) in foreign {
        for argument in ["after", "before"] {
            let answer =
                supergraph.graphql(Some(&admin), &query.replace("ARG", argument), variables.clone()).await;
            assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{argument} {variables}: {answer:#}");
            assert_eq!(answer["errors"][0]["extensions"]["fields"][0]["field"], argument, "{answer:#}");
        }
    }
    let own = json!({ "c": by_name, "o": order("FIRST_NAME", "ASC") });
    let next = supergraph.data(&admin, &leads.replace("ARG", "after"), own).await;
    assert_eq!(next["leadsConnection"]["nodes"].as_array().unwrap().len(), 2, "its own list takes it");
}

async fn wildcards_in_a_search_are_characters(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    for (name, email) in
        [("100% sure", "a@example.org"), ("under_score", "b@example.org"), ("back\\slash", "c@example.org")]
    {
        let input = json!({ "firstName": name, "lastName": "Q\"uote", "email": email });
        supergraph.data(&admin, CREATE, json!({ "input": input })).await;
    }
    let query = "query($s: String) { leads(filter: {search: $s}) { email } }";
    for (search, expected) in [
        ("%", vec![]),
        ("_", vec![]),
        ("%%", vec![]),
        ("%%%", vec![]),
        ("___", vec![]),
        ("_lice", vec![]),
        ("a%e", vec![]),
        ("0%", vec![]),
        ("100%", vec!["a@example.org"]),
        ("0% s", vec!["a@example.org"]),
        ("10", vec!["a@example.org"]),
        ("r_s", vec!["b@example.org"]),
        ("r%s", vec![]),
        ("k\\s", vec!["c@example.org"]),
        ("q\"uote", vec!["c@example.org", "b@example.org", "a@example.org"]),
        // What a full-text index would take for operators
        ("alice OR bruno", vec![]),
        ("ali*", vec![]),
        ("-alice", vec![]),
        ("\"", vec![]),
        ("\"alice", vec![]),
        ("NEAR(a", vec![]),
        ("alice", vec!["alice.nguyen@example.com"]),
    ] {
        let found = supergraph.data(&admin, query, json!({ "s": search })).await;
        let emails: Vec<_> =
            found["leads"].as_array().unwrap().iter().map(|lead| lead["email"].as_str().unwrap()).collect();
        assert_eq!(emails, expected, "{search}");
    }
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
