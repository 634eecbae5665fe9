//! What a page costs: the request log of every service.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use serde_json::{Value, json};
use testkit::Supergraph;

testkit::on_both_databases!(
    a_page_costs_one_request_to_each_service_and_five_statements,
    the_last_of_each_lead_cost_no_more_than_the_first,
);

async fn a_page_costs_one_request_to_each_service_and_five_statements(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    create_leads(&supergraph, &admin, 10).await;
    let query = "{ leads(limit: 20) {
        id firstName email status interactions(limit: 5) { id type notes } tasks(limit: 5) { id title }
        activityScore summary scoreCalculatedAt
    } }";
    // The first time, services fetch keys and the router plans
    supergraph.data(&admin, query, json!({})).await;
    let (page, cost) = supergraph.cost(supergraph.data(&admin, query, json!({}))).await;
    let leads = page["leads"].as_array().unwrap();
    assert_eq!(leads.len(), 20);
    let interactions = leads.iter().map(|lead| lead["interactions"].as_array().unwrap().len());
    assert!(interactions.sum::<usize>() >= 20, "the demo leads have some");
    let services: Vec<_> = cost.keys().copied().collect();
    assert_eq!(services, ["interactions", "leads", "scoring", "tasks"], "{cost:?}");
    assert!(cost.values().all(|load| load.requests == 1), "{cost:?}");
    let statements: u64 = cost.values().map(|load| load.statements).sum();
    // None would mean that they are not counted
    assert!((4..=5).contains(&statements), "{cost:?}");
}

async fn the_last_of_each_lead_cost_no_more_than_the_first(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let query = "{ leads(limit: 15) { interactions { id } interactionsConnection(last: 2) {
        totalCount pageInfo { hasPreviousPage hasNextPage } nodes { id }
    } } }";
    supergraph.data(&admin, query, json!({})).await;
    let (page, cost) = supergraph.cost(supergraph.data(&admin, query, json!({}))).await;
    assert_eq!((cost["interactions"].requests, cost["interactions"].statements), (1, 3), "{cost:?}");
    for lead in page["leads"].as_array().unwrap() {
        let (all, last) = (lead["interactions"].as_array().unwrap(), &lead["interactionsConnection"]);
        assert_eq!(last["totalCount"], all.len());
        assert_eq!(
            last["nodes"].as_array().unwrap()[..],
            all[all.len() - 2..],
            "the oldest two, newest first"
        );
        assert_eq!(last["pageInfo"]["hasPreviousPage"], all.len() > 2);
        assert_eq!(last["pageInfo"]["hasNextPage"], false);
    }
}

async fn create_leads(supergraph: &Supergraph, token: &str, count: usize) {
    let row = |i| json!({ "firstName": "Lead", "lastName": format!("Number {i}"), "email": format!("{i}@example.org") });
    let rows: Vec<Value> = (0..count).map(row).collect();
    let query = "mutation($input: [CreateLeadInput!]!) { createLeads(input: $input) { lead { id } error { message } } }";
    let created = supergraph.data(token, query, json!({ "input": rows })).await;
    let created = created["createLeads"].as_array().unwrap();
    assert!(created.iter().all(|result| result["error"].is_null()), "{created:?}");
}
