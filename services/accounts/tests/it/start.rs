//! Who is there before anybody signs in.

use crate::server::{ADMIN, Server, login};
use serde_json::json;
use testkit::TestDatabase;

const FIRST: &[&str] =
    &["--demo", "false", "--admin-email", " Boss@Example.com ", "--admin-password", "very secret"];

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_is_created_once() {
    for database in TestDatabase::both() {
        let server = Server::start(&database, FIRST).await.unwrap();
        let boss = server.login(("boss@example.com", "very secret")).await.token;
        let users = json!([{ "id": "1", "email": "Boss@Example.com", "role": "ADMIN", "active": true }]);
        assert_eq!(server.data(&boss, "{ users { id email role active } }").await["users"], users);
        assert_eq!(server.code("", &login(ADMIN.0, ADMIN.1)).await, "UNAUTHENTICATED", "no demo user");
        let change =
            "mutation { changePassword(currentPassword: \"very secret\", newPassword: \"mine alone\") }";
        server.data(&boss, change).await;
        server.stop().await;

        let server = Server::start(&database, FIRST).await.unwrap();
        let boss = server.login(("boss@example.com", "mine alone")).await.token;
        assert_eq!(server.data(&boss, "{ users { id email role active } }").await["users"], users);
        let recorded = server.rows("SELECT actor FROM audit_log WHERE action = 'user.created'").await;
        assert_eq!(recorded, [json!({ "actor": "system" })]);
        let told = server.rows("SELECT kind FROM outbox WHERE kind LIKE 'user.%'").await;
        assert_eq!(told, [json!({ "kind": "user.created" })], "a changed password is nobody's business");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_that_start_at_once_create_one() {
    let database = TestDatabase::postgres();
    let (one, two) = tokio::join!(Server::start(&database, FIRST), Server::start(&database, FIRST));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.rows("SELECT id FROM app_user").await.len(), 1);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_configuration_is_refused_in_words() {
    for (flags, words) in [
        (&["--admin-email", "boss@example.com"][..], "ADMIN_PASSWORD: is not set"),
        (&["--admin-password", "very secret"][..], "ADMIN_EMAIL: is not set"),
        (&["--admin-email", "boss", "--admin-password", "short"][..], "ADMIN_EMAIL is not an e-mail address"),
        (&["--jwt-expires-in", "soon"][..], "JWT_EXPIRES_IN"),
        (&["--environment", "production", "--demo", "true"][..], "demo data is refused"),
    ] {
        let database = TestDatabase::sqlite();
        let flags: Vec<_> = ["--demo", "false"].iter().chain(flags).copied().collect();
        let flags = if flags.contains(&"true") { &flags[2..] } else { &flags[..] };
        let error = Server::start(&database, flags).await.err().map(|error| format!("{error:#}"));
        assert!(error.as_ref().is_some_and(|error| error.contains(words)), "{words}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_administrator_it_starts_and_without_demo_data_nobody_comes_in() {
    for database in TestDatabase::both() {
        let empty = ["--demo", "false", "--admin-email", "", "--admin-password", ""];
        let server = Server::start(&database, &empty).await.unwrap();
        assert_eq!(server.rows("SELECT id FROM app_user").await.len(), 0);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_data_is_loaded_once_and_never_over_what_is_there() {
    for database in TestDatabase::both() {
        let demo = ["--demo", "true"];
        let server = Server::start(&database, &demo).await.unwrap();
        let token = server.login(ADMIN).await.token;
        server.update_user(&token, "id: \"1\", name: \"Renamed\"").await;
        server.stop().await;
        let server = Server::start(&database, &demo).await.unwrap();
        let token = server.login(ADMIN).await.token;
        let users = server.data(&token, "{ users { id name role } }").await;
        assert_eq!(users["users"], json!([{ "id": "1", "name": "Renamed", "role": "ADMIN" }]));
        server.stop().await;
    }
}
