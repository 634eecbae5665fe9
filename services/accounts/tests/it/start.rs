//! Who is there before anybody signs in.

use crate::server::{ADMIN, Server, login};
use serde_json::json;
use testkit::{TestDatabase, TestKeys};

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

const KEY: &str = "3f9c2b7a51e84d06b8fa0c6d9e21573f";

#[tokio::test(flavor = "multi_thread")]
async fn production_refuses_a_database_with_the_demo_login_until_it_is_changed() {
    for database in TestDatabase::both() {
        let keys = tempfile::tempdir().unwrap();
        TestKeys::shared().install(keys.path(), "accounts");
        let file = keys.path().join("jwt-signing-key.pem").display().to_string();
        let production =
            ["--environment", "production", "--service-key", KEY, "--jwt-private-key-file", file.as_str()];
        let development = Server::start(&database, &["--demo", "true"]).await.unwrap();
        let error =
            Server::start(&database, &production).await.err().map(|error| format!("{error:#}")).unwrap();
        assert!(
            error.starts_with("production refuses the demo login test@example.com / password"),
            "{error}"
        );
        assert!(error.contains("LEADGRAPH_ENV=development"), "{error}");
        let token = development.login(ADMIN).await.token;
        let change =
            "mutation { changePassword(currentPassword: \"password\", newPassword: \"mine alone\") }";
        development.data(&token, change).await;
        development.stop().await;
        let server = Server::start(&database, &production).await.unwrap();
        server.login((ADMIN.0, "mine alone")).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn production_says_all_that_is_missing_at_once_and_makes_nothing() {
    let (database, folder) = (TestDatabase::sqlite(), tempfile::tempdir().unwrap());
    let data_dir = format!("--data-dir={}", folder.path().display());
    let flags =
        ["--environment", "production", "--admin-password", "password", "--admin-email", "boss@example.com"];
    let own = ["--port", "0", "--database-url", database.url(), &data_dir];
    let subgraph = accounts::subgraph();
    let error =
        subgraph.start(subgraph.config_from(own.iter().chain(&flags).copied()).unwrap()).await.unwrap_err();
    let error = format!("{error:#}");
    let lines: Vec<_> = error.lines().map(|line| line.trim_start_matches([' ', '-'])).collect();
    let starts =
        ["production refuses to start", "SERVICE_KEY is", "JWT_PRIVATE_KEY_FILE is", "ADMIN_PASSWORD has"];
    assert_eq!(lines.len(), starts.len(), "{error}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no key was made");
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
