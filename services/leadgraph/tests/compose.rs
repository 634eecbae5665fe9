//! Composition of small schemas, and of the committed ones.

use std::path::Path;

use leadgraph::{
    compose::{self, OUTPUT, compose},
    supergraph::{FILE_NAME, SupergraphConfig},
};

const LINK: &str =
    r#"extend schema @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key", "@shareable"])"#;

fn compose_two(first: &str, second: &str) -> anyhow::Result<String> {
    let (first, second) = (format!("{LINK}\n{first}"), format!("{LINK}\n{second}"));
    compose(&[
        ("first", "http://127.0.0.1:1/graphql", &first),
        ("second", "http://127.0.0.1:2/graphql", &second),
    ])
}

#[test]
fn an_entity_gathers_its_fields_from_both_subgraphs() {
    let leads =
        r#"type Query { lead(id: ID!): Lead } type Lead @key(fields: "id") { id: ID! email: String! }"#;
    let scoring = r#"type Lead @key(fields: "id") { id: ID! score: Float! }"#;
    let supergraph = compose_two(leads, scoring).unwrap();
    assert!(supergraph.contains("score: Float! @join__field(graph: SECOND)"), "{supergraph}");
    assert!(supergraph.contains(r#"@join__graph(name: "second", url: "http://127.0.0.1:2/graphql")"#));
    assert!(supergraph.ends_with("}\n") || supergraph.ends_with("\"\n"));
    assert_eq!(supergraph, compose_two(leads, scoring).unwrap(), "the same input gives the same bytes");
}

#[test]
fn the_order_of_the_subgraphs_does_not_matter() {
    let sdl = |field: &str| format!("{LINK}\ntype Query {{ {field}: Int }}");
    let (a, b) = (sdl("a"), sdl("b"));
    let (a, b) = (("a", "http://a/", a.as_str()), ("b", "http://b/", b.as_str()));
    assert_eq!(compose(&[a, b]).unwrap(), compose(&[b, a]).unwrap());
}

#[test]
fn errors_carry_their_composition_code() {
    let error = compose_two("type Query { a: Int }", "type Query { a: Int }").unwrap_err().to_string();
    assert!(error.starts_with("INVALID_FIELD_SHARING: "), "{error}");
    assert!(error.contains("Query.a"), "{error}");
}

#[test]
fn unparsable_schemas_are_all_reported_with_their_subgraph() {
    let error = compose_two("type Query {", "type Query }").unwrap_err().to_string();
    assert!(
        error.contains("INVALID_GRAPHQL: [first]") && error.contains("INVALID_GRAPHQL: [second]"),
        "{error}"
    );
}

#[test]
fn the_committed_supergraph_is_what_the_committed_schemas_compose_to() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let config = SupergraphConfig::load(&root.join(FILE_NAME)).unwrap();
    compose::write(&config, &root.join(OUTPUT), true).unwrap();
}

#[test]
fn a_drifted_supergraph_is_refused_with_the_command_that_fixes_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let config = SupergraphConfig::load(&root.join(FILE_NAME)).unwrap();
    let error = compose::write(&config, &root.join("router/no-such.graphql"), true).unwrap_err();
    assert!(error.to_string().contains("`cargo compose`"), "{error}");
    assert!(!root.join("router/no-such.graphql").exists(), "a check writes nothing");
}
