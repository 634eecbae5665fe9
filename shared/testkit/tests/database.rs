//! Databases that belong to one test.

use std::env;
use std::process::Command;

use sea_orm::{ConnectionTrait, Database};
use testkit::TestDatabase;

#[tokio::test]
async fn each_is_empty_and_goes_away() {
    for (first, second) in TestDatabase::both().zip(TestDatabase::both()) {
        for database in [&first, &second] {
            let connection = Database::connect(database.url()).await.expect("it takes connections");
            // Fails where the table is there already. The connection stays open: dropping the database ends it
            connection.execute_unprepared("CREATE TABLE mine (id INTEGER)").await.expect("it is empty");
        }
        let (url, backend) = (first.url().replace("mode=rwc", "mode=rw"), first.backend());
        drop(first);
        assert!(Database::connect(&url).await.is_err(), "{backend:?}: {url} is still there");
        Database::connect(second.url()).await.expect("the other one is untouched");
    }
}

/// Never skipped: without the server a test fails, and says what to do.
#[test]
fn without_a_server_a_test_fails_with_instructions() {
    let test = env::current_exe().expect("the test knows its own path");
    let output = Command::new(test)
        .args(["--exact", "each_is_empty_and_goes_away", "--nocapture"])
        .env_remove("LEADGRAPH_TEST_POSTGRES")
        .output()
        .expect("the test runs once more");

    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("LEADGRAPH_TEST_POSTGRES is not set: run ./test"), "{said}");
}
