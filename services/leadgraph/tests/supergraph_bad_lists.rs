//! Pages, cursors and searches that ask for too much or for something else.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use serde_json::{Value, json};
use testkit::Supergraph;
use testkit::sdl;
use testkit::supergraph::code;

testkit::on_both_databases!(
    pages_have_bounds,
    pages_in_pages_have_bounds,
    a_cursor_belongs_to_one_list_in_one_order,
    wildcards_in_a_search_are_characters,
);

async fn pages_have_bounds(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let bounds = |name: &str| match name {
        "limit" | "first" | "last" => vec![0, -1, 501, 1_000_000_000],
        "offset" => vec![-1, 10_001, 1_000_000_000],
        _ => Vec::new(),
    };
    for (_, sdl, field) in sdl::operations() {
        for argument in &field.arguments {
            for value in bounds(&argument.name) {
                let mut variables = sdl.minimal(&field);
                variables[&argument.name] = json!(value);
                let answer = supergraph.graphql(Some(&admin), &field.document(), variables).await;
                let refused = code(&answer) == Some("BAD_USER_INPUT");
                assert!(refused, "{}({}: {value}): {answer:#}", field.name, argument.name);
            }
        }
    }
}

async fn pages_in_pages_have_bounds(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    for (service, field) in [
        ("interactions", "interactions(limit: N) { id }"),
        ("interactions", "interactionsConnection(first: N) { totalCount }"),
        ("interactions", "interactionsConnection(last: N) { totalCount }"),
        ("tasks", "tasks(limit: N) { id }"),
    ] {
        for value in ["0", "-1", "501", "1000000000"] {
            let query = format!("{{ leads(limit: 2) {{ email nested: {} }} }}", field.replace('N', value));
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
    let create = "mutation($input: CreateLeadInput!) { createLead(input: $input) { id } }";
    for (name, email) in
        [("100% sure", "a@example.org"), ("under_score", "b@example.org"), ("back\\slash", "c@example.org")]
    {
        let input = json!({ "firstName": name, "lastName": "Q\"uote", "email": email });
        supergraph.data(&admin, create, json!({ "input": input })).await;
    }
    let query = "query($s: String) { leads(filter: {search: $s}) { email } }";
    let [percent, underscore, backslash] = ["a@example.org", "b@example.org", "c@example.org"];
    let own: &[(&str, &[&str])] = &[
        ("100%", &[percent]),
        ("0% s", &[percent]),
        ("10", &[percent]),
        ("r_s", &[underscore]),
        ("k\\s", &[backslash]),
        ("q\"uote", &[backslash, underscore, percent]),
        ("alice", &["alice.nguyen@example.com"]),
    ];
    // What LIKE takes for wildcards, and what a full-text index takes for operators
    let wildcards = ["%", "_", "%%", "%%%", "___", "_lice", "a%e", "0%", "r%s"];
    let operators = ["alice OR bruno", "ali*", "-alice", "\"", "\"alice", "NEAR(a"];
    let nothing = wildcards.into_iter().chain(operators).map(|search| (search, &[][..]));
    for (search, expected) in own.iter().copied().chain(nothing) {
        let found = supergraph.data(&admin, query, json!({ "s": search })).await;
        let found = found["leads"].as_array().unwrap();
        let emails: Vec<_> = found.iter().map(|lead| lead["email"].as_str().unwrap()).collect();
        assert_eq!(emails, expected, "{search}");
    }
}
