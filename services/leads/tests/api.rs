//! The service's scenarios, on both databases.

#[test]
fn scenarios() {
    testkit::scenarios(&leads::subgraph(), env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn schema_is_committed() {
    testkit::schema_is_committed(&leads::subgraph(), env!("CARGO_MANIFEST_DIR"));
}
