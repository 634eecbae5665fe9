//! Signing in, staying in, and going out.

use crate::server::{ADMIN, Server, login, on_both, refresh, tokens};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::TestDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_is_known() {
    on_both(async |server: &Server| {
        let payload = server.data("", &login(" Test@Example.COM ", ADMIN.1)).await["login"].take();
        assert_eq!(payload["expiresAt"], "2026-01-16T12:00:00+00:00", "24 hours");
        let me = "{ me { id email name role active createdAt } }";
        let me = server.data(payload["token"].as_str().unwrap(), me).await["me"].take();
        assert_eq!(me, payload["user"]);
        assert_eq!(
            (&me["id"], &me["name"], &me["role"]),
            (&json!("1"), &json!("Test User"), &json!("ADMIN"))
        );
        assert_eq!(server.code("", "{ me { id } }").await, "UNAUTHENTICATED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_who_has_an_account() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let id = server.create_user(&admin, "gone@example.com", "SALES_REP").await;
        server.update_user(&admin, &format!("id: \"{id}\", active: false")).await;
        let wrong = server.ask("", &login(ADMIN.0, "wrong password")).await;
        assert_eq!(wrong["errors"][0]["message"], "E-mail or password is wrong");
        assert_eq!(wrong["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        for (email, password) in
            [("nobody@example.com", "password"), ("no e-mail", "x"), ("gone@example.com", "12345678")]
        {
            assert_eq!(server.ask("", &login(email, password)).await, wrong, "{email}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_works_once_and_twice_ends_the_session() {
    on_both(async |server: &Server| {
        let (first, other) = (server.login(ADMIN).await, server.login(ADMIN).await);
        let second = server.data("", &refresh(&first.refresh_token)).await["refreshToken"].take();
        assert_eq!(second["user"], json!({ "id": "1", "role": "ADMIN" }));
        let second = tokens(&second);
        assert!(server.takes(&first.token).await && server.takes(&second.token).await);
        let third = tokens(&server.data("", &refresh(&second.refresh_token)).await["refreshToken"]);

        let replayed = server.ask("", &refresh(&first.refresh_token)).await;
        assert_eq!(replayed["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        for token in [first.token, second.token, third.token] {
            assert!(!server.takes(&token).await, "the session has ended");
        }
        assert!(server.takes(&other.token).await, "another session has not");
        let unknown = server.ask("", &refresh("unknown")).await;
        assert_eq!(unknown, replayed, "the same words");
        assert_eq!(server.ask("", &refresh(&third.refresh_token)).await, unknown);
        assert_eq!(server.ask("", &refresh("")).await, unknown);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_who_refresh_at_once_one_at_most_gets_in() {
    on_both(async |server: &Server| {
        let token = server.login(ADMIN).await.refresh_token;
        let query = refresh(&token);
        let answers = join_all((0..20).map(|_| server.ask("", &query))).await;
        let given: Vec<_> = answers.iter().filter(|answer| answer.get("errors").is_none()).collect();
        assert_eq!(given.len(), 1, "{answers:?}");
        let tokens = tokens(&given[0]["data"]["refreshToken"]);
        assert!(!server.takes(&tokens.token).await, "the others replayed it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_by_themselves() {
    on_both(async |server: &Server| {
        let tokens = server.login(ADMIN).await;
        server.advance(TimeDelta::hours(24) + TimeDelta::seconds(6));
        let expired = server.ask(&tokens.token, "{ me { id } }").await;
        assert_eq!(expired["errors"][0]["message"], "The token has expired");
        server.advance(TimeDelta::days(29));
        assert_eq!(server.code("", &refresh(&tokens.refresh_token)).await, "UNAUTHENTICATED");
        server.login(ADMIN).await;
        let kept = server.rows("SELECT hash FROM refresh_token").await;
        assert_eq!(kept.len(), 1, "who signs in sweeps up");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_this_session_only() {
    on_both(async |server: &Server| {
        let (here, there) = (server.login(ADMIN).await, server.login(ADMIN).await);
        assert_eq!(server.data(&here.token, "mutation { logout }").await, json!({ "logout": true }));
        assert!(!server.takes(&here.token).await);
        assert_eq!(server.code("", &refresh(&here.refresh_token)).await, "UNAUTHENTICATED");
        assert_eq!(server.code(&here.token, "mutation { logout }").await, "UNAUTHENTICATED");
        assert!(server.takes(&there.token).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_outlives_tokens_from_when_they_lasted_longer() {
    for database in TestDatabase::both() {
        let server = Server::start(&database, &["--demo", "true", "--jwt-expires-in", "365d"]).await.unwrap();
        let first = server.login(ADMIN).await;
        server.stop().await;
        let server = Server::start(&database, &["--demo", "true"]).await.unwrap();
        let second = tokens(&server.data("", &refresh(&first.refresh_token)).await["refreshToken"]);
        server.data(&second.token, "mutation { logout }").await;
        let told = server.rows("SELECT envelope FROM outbox WHERE kind = 'session.revoked'").await;
        let event: Value = serde_json::from_str(told[0]["envelope"].as_str().unwrap()).unwrap();
        assert_eq!(event["data"]["expiresAt"], "2027-01-15T12:01:00Z", "the first token's end and a minute");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_recorded_and_nothing_secret_is() {
    on_both(async |server: &Server| {
        let tokens = server.login(ADMIN).await;
        server.data("", &refresh(&tokens.refresh_token)).await;
        server.ask("", &refresh(&tokens.refresh_token)).await;
        let tokens = server.login(ADMIN).await;
        let change =
            "mutation { changePassword(currentPassword: \"password\", newPassword: \"new secret\") }";
        server.data(&tokens.token, change).await;
        let create = "mutation { createApiKey(input: {name: \"x\", role: MANAGER}) { clientSecret } }";
        let secret = server.data(&tokens.token, create).await["createApiKey"]["clientSecret"].to_string();
        server.data(&tokens.token, "mutation { logout }").await;

        let rows =
            server.rows("SELECT action, actor, entity_id, details FROM audit_log ORDER BY at, id").await;
        let actions: Vec<_> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
        for action in [
            "user.created",
            "session.created",
            "session.refreshed",
            "session.revoked",
            "refresh_token.replayed",
            "user.password_changed",
            "api_key.created",
        ] {
            assert!(actions.contains(&action), "{action} is not in {actions:?}");
        }
        let log = json!(rows).to_string();
        let secret = secret.trim_matches('"');
        for hidden in ["argon2", "new secret", &tokens.token, &tokens.refresh_token, secret] {
            assert!(!log.contains(hidden), "{hidden} is in {log}");
        }
    })
    .await;
}
