//! What a router asks of services, asked by somebody else: too much, or partly nonsense.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use reqwest::Method;
use serde_json::{Value, json};
use testkit::Supergraph;
use testkit::sdl::Sdl;
use testkit::supergraph::SERVICES;

testkit::on_both_databases!(representations_have_a_bound, good_representations_resolve_beside_bad_ones);

/// A type whose entities a service resolves, and a field of it.
const ENTITIES: [(&str, &str, &str); 5] = [
    ("accounts", "User", "email"),
    ("leads", "Lead", "email"),
    ("interactions", "Lead", "interactions { id }"),
    ("tasks", "Lead", "tasks { id }"),
    ("scoring", "Lead", "activityScore"),
];

async fn representations_have_a_bound(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    for (service, ty, field) in ENTITIES {
        let query = format!(
            "query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {ty} {{ {field} }} }} }}"
        );
        // 100,000 are more than a body may hold, 20,000 are not; 1,000 are fine
        for (count, status) in [(100_000, 413), (20_000, 200), (1_001, 200), (1_000, 200)] {
            let representations: Vec<_> =
                (1..=count).map(|id| json!({ "__typename": ty, "id": id.to_string() })).collect();
            let request = supergraph.request(Method::POST, service, Some(&admin));
            let request = request.json(&json!({ "query": query, "variables": { "r": representations } }));
            let answer = supergraph.send(request).await;
            assert_eq!(answer.status, status, "{service}: {count}");
            let expected = if count > 1_000 { Some("BAD_USER_INPUT") } else { None };
            assert_eq!(answer.code(), expected, "{service}: {count}");
            let resolved = answer.body["data"]["_entities"].as_array().map(Vec::len);
            assert_eq!(resolved, (count <= 1_000).then_some(count), "{service}: {count}");
        }
    }
}

/// Representations of nothing.
fn bad(ty: &str) -> Vec<Value> {
    let ids = [json!(null), json!({ "a": 1 }), json!(["1"]), json!("0"), json!("-1"), json!("2147483648")];
    let ids = ids.into_iter().chain([json!("one"), json!(""), json!(1.5), json!(true)]);
    let ids = ids.map(|id| json!({ "__typename": ty, "id": id }));
    let others = [
        json!({ "__typename": "Nothing", "id": "1" }),
        json!({ "__typename": ty }),
        json!({ "__typename": 1, "id": "1" }),
        json!({ "id": "1" }),
        json!({}),
        json!("1"),
        json!(1),
        json!([]),
    ];
    ids.chain(others).collect()
}

async fn good_representations_resolve_beside_bad_ones(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    for (service, ty, field) in ENTITIES {
        let (good, bad) = (json!({ "__typename": ty, "id": "1" }), bad(ty));
        let query = format!(
            "query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {ty} {{ id {field} }} }} }}"
        );
        let ask = async |representations: &[Value]| {
            supergraph.direct(service, Some(&admin), &query, json!({ "r": representations })).await
        };
        let whole = ask(std::slice::from_ref(&good)).await["data"]["_entities"][0].clone();
        assert_eq!(whole["id"], "1", "{service}");
        let mixed: Vec<_> = bad.iter().flat_map(|bad| [bad.clone(), good.clone()]).collect();
        let answer = ask(&mixed).await;
        let entities =
            answer["data"]["_entities"].as_array().unwrap_or_else(|| panic!("{service}: {answer:#}"));
        assert_eq!(entities.len(), mixed.len());
        for (representation, pair) in bad.iter().zip(entities.chunks(2)) {
            assert_eq!(pair, [Value::Null, whole.clone()], "{service}: {representation}");
        }
        let literal = format!(
            r#"{{ _entities(representations: [{{__typename: "Nothing", id: "1"}}, {{__typename: "{ty}", id: "1"}}]) {{ ... on {ty} {{ id {field} }} }} }}"#
        );
        let answer = supergraph.direct(service, Some(&admin), &literal, json!({})).await;
        assert_eq!(answer["data"]["_entities"], json!([null, whole]), "{service}: {answer:#}");
    }
    let resolvers =
        SERVICES.into_iter().filter(|service| Sdl::committed(service).shape().contains_key("Lead"));
    let untried: Vec<_> =
        resolvers.filter(|service| !ENTITIES.iter().any(|(tried, ..)| tried == service)).collect();
    assert_eq!(untried, ["notifications"], "there a lead is only a reference");
}
