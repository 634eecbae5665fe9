//! How often a password may be guessed.

use crate::server::{ADMIN, Server, login, on_both};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::TestDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn after_ten_failures_an_account_waits_a_quarter_of_an_hour() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        server.create_user(&admin, "other@example.com", "SALES_REP").await;
        for i in 0..10 {
            let email = if i % 2 == 0 { "TEST@example.com" } else { ADMIN.0 };
            assert_eq!(server.code("", &login(email, "wrong")).await, "UNAUTHENTICATED");
        }
        let answer = server.ask("", &login(ADMIN.0, ADMIN.1)).await;
        let error = &answer["errors"][0]["extensions"];
        assert_eq!(error["code"], "RATE_LIMITED");
        assert_eq!(error["retryAfter"], 900);
        server.login(("other@example.com", "12345678")).await;
        server.advance(TimeDelta::minutes(15));
        server.login(ADMIN).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_accounts_wait_as_well() {
    on_both(async |server: &Server| {
        for _ in 0..10 {
            assert_eq!(server.code("", &login("nobody@example.com", "wrong")).await, "UNAUTHENTICATED");
        }
        assert_eq!(server.code("", &login("nobody@example.com", "wrong")).await, "RATE_LIMITED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_in_one_operation_all_count() {
    on_both(async |server: &Server| {
        let guess = |i: usize, password: &str| {
            format!("a{i}: login(input: {{email: \"{}\", password: \"{password}\"}}) {{ token }} ", ADMIN.0)
        };
        let many: String = (0..99).map(|i| guess(i, "wrong")).collect();
        let answer = server.ask("", &format!("mutation {{ {many} {} }}", guess(99, ADMIN.1))).await;
        assert!(answer["data"].is_null(), "{answer}");
        assert_eq!(server.code("", &login(ADMIN.0, ADMIN.1)).await, "RATE_LIMITED");
        server.advance(TimeDelta::minutes(15));
        let hidden = format!("mutation {{ ...A }} fragment A on Mutation {{ ... on Mutation {{ {many} }} }}");
        assert_eq!(server.code("", &hidden).await, "UNAUTHENTICATED");
        assert_eq!(server.code("", &login(ADMIN.0, ADMIN.1)).await, "RATE_LIMITED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_once_all_count_and_right_passwords_at_once_all_fit() {
    on_both(async |server: &Server| {
        let right = login(ADMIN.0, ADMIN.1);
        for answer in join_all((0..30).map(|_| server.ask("", &right))).await {
            assert!(answer.get("errors").is_none(), "{answer}");
        }
        let wrong = login(ADMIN.0, "wrong");
        let codes = join_all((0..50).map(|_| server.code("", &wrong))).await;
        assert_eq!(codes.iter().filter(|code| *code == "UNAUTHENTICATED").count(), 10);
        assert_eq!(codes.iter().filter(|code| *code == "RATE_LIMITED").count(), 40);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_no_hash_is_no_guess() {
    on_both(async |server: &Server| {
        let long = "x".repeat(129);
        for _ in 0..12 {
            assert_eq!(server.code("", &login(ADMIN.0, &long)).await, "BAD_USER_INPUT");
        }
        server.login(ADMIN).await;
    })
    .await;
}

/// What somebody at this address is answered, through a proxy.
async fn from(server: &Server, address: &str, query: &str) -> Value {
    let request = server.client().post(server.url("/graphql")).header("x-forwarded-for", address);
    request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_guesses_at_many_accounts_waits() {
    for database in TestDatabase::both() {
        let server =
            Server::start(&database, &["--demo", "true", "--trusted-proxies", "127.0.0.1"]).await.unwrap();
        let guess = |i| {
            format!(
                "a{i}: login(input: {{email: \"nobody{i}@example.com\", password: \"wrong\"}}) {{ token }} "
            )
        };
        let many: String = (0..100).map(guess).collect();
        let answer = from(&server, "192.0.2.1", &format!("mutation {{ {many} }}")).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{answer}");
        let known = from(&server, "192.0.2.1", &login(ADMIN.0, ADMIN.1)).await;
        assert_eq!(known["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{known}");
        assert_eq!(known["errors"][0]["extensions"]["retryAfter"], 900);
        let unknown = from(&server, "192.0.2.1", &login("somebody@example.com", "wrong")).await;
        assert_eq!(unknown, known, "nobody learns who has an account");
        let elsewhere = from(&server, "192.0.2.2", &login(ADMIN.0, ADMIN.1)).await;
        assert!(elsewhere.get("errors").is_none(), "{elsewhere}");
        server.advance(TimeDelta::minutes(15));
        let later = from(&server, "192.0.2.1", &login(ADMIN.0, ADMIN.1)).await;
        assert!(later.get("errors").is_none(), "{later}");
        server.stop().await;
    }
}
