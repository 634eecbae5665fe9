//! API keys and the tokens they get.

use crate::server::{ADMIN, Server, on_both};
use chrono::TimeDelta;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use testkit::TestDatabase;

struct Key {
    id: String,
    client_id: String,
    secret: String,
}

async fn create(server: &Server, admin: &str, input: &str) -> Key {
    let fields = "apiKey { id clientId } clientSecret";
    let data =
        server.data(admin, &format!("mutation {{ createApiKey(input: {{{input}}}) {{ {fields} }} }}")).await;
    let (key, secret) = (&data["createApiKey"]["apiKey"], &data["createApiKey"]["clientSecret"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Key { id: text(&key["id"]), client_id: text(&key["clientId"]), secret: text(secret) }
}

async fn post(server: &Server, form: &[(&str, &str)], basic: Option<(&str, &str)>) -> Response {
    let request = server.client().post(server.url("/oauth/token")).form(form);
    let request = match basic {
        Some((id, secret)) => request.basic_auth(id, Some(secret)),
        None => request,
    };
    request.send().await.unwrap()
}

async fn grant(server: &Server, id: &str, secret: &str) -> Response {
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    post(server, &form, None).await
}

async fn token(server: &Server, key: &Key) -> (String, i64) {
    let answer = grant(server, &key.client_id, &key.secret).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["token_type"], "Bearer");
    (answer["access_token"].as_str().unwrap().to_owned(), answer["expires_in"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gets_a_token_until_it_is_revoked() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let key = create(server, &admin, "name: \" import \", role: MANAGER").await;
        assert!(key.client_id.starts_with("lgk_"));
        let shown = "{ apiKeys { id name role clientId createdAt expiresAt lastUsedAt revoked } }";
        let mut expected = json!({
            "id": key.id, "name": "import", "role": "MANAGER", "clientId": key.client_id,
            "createdAt": "2026-01-15T12:00:00+00:00", "expiresAt": null, "lastUsedAt": null, "revoked": false,
        });
        assert_eq!(server.data(&admin, shown).await["apiKeys"], json!([expected]));
        server.advance(TimeDelta::minutes(1));
        let (token, seconds) = token(server, &key).await;
        assert_eq!(seconds, 86_400);
        assert!(server.takes(&token).await);
        assert_eq!(server.code(&token, "{ me { id } }").await, "FORBIDDEN", "a key is nobody");
        assert_eq!(server.code(&token, "mutation { logout }").await, "FORBIDDEN");
        assert_eq!(server.code(&token, shown).await, "FORBIDDEN", "a manager");
        expected["lastUsedAt"] = "2026-01-15T12:01:00+00:00".into();
        expected["revoked"] = true.into();
        let revoke = format!("mutation {{ revokeApiKey(id: \"{}\") }}", key.id);
        for _ in 0..2 {
            assert_eq!(server.data(&admin, &revoke).await["revokeApiKey"], true);
        }
        assert!(!server.takes(&token).await);
        assert_eq!(grant(server, &key.client_id, &key.secret).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(server.data(&admin, shown).await["apiKeys"], json!([expected]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_with_its_tokens() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let key =
            create(server, &admin, "name: \"x\", role: ADMIN, expiresAt: \"2026-01-15T13:00:00Z\"").await;
        let (token, seconds) = token(server, &key).await;
        assert_eq!(seconds, 3_600, "no longer than the key");
        server.data(&token, "{ apiKeys { id } }").await;
        server.advance(TimeDelta::hours(1));
        assert!(!server.takes(&token).await);
        assert_eq!(grant(server, &key.client_id, &key.secret).await.status(), StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_speaks_rfc_6749() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let key = create(server, &admin, "name: \"x\", role: SALES_REP").await;
        let (id, secret) = (&*key.client_id, &*key.secret);
        let ours = ("grant_type", "client_credentials");
        assert_eq!(post(server, &[ours], Some((id, secret))).await.status(), StatusCode::OK);
        let body = [ours, ("client_id", id), ("client_secret", secret)];
        for (form, basic, status, error) in [
            (&[ours][..], Some((id, "wrong")), 401, "invalid_client"),
            (&[ours][..], Some(("lgk_unknown", secret)), 401, "invalid_client"),
            (&[ours][..], None, 401, "invalid_client"),
            (&body[..], Some((id, secret)), 400, "invalid_request"),
            (&body[1..], None, 400, "invalid_request"),
            (&[("grant_type", "password")][..], None, 400, "unsupported_grant_type"),
        ] {
            let answer = post(server, form, basic).await;
            assert_eq!(answer.status(), status, "{error}");
            assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
            assert_eq!(answer.headers()["cache-control"], "no-store");
            assert_eq!(answer.json::<Value>().await.unwrap()["error"], error);
        }
        let json = server
            .client()
            .post(server.url("/oauth/token"))
            .json(&json!({ "grant_type": "client_credentials" }));
        assert_eq!(json.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
        let long = "x".repeat(20_000);
        assert_eq!(grant(server, id, &long).await.status(), StatusCode::BAD_REQUEST);
        let get = server.client().get(server.url("/oauth/token")).send().await.unwrap();
        assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_guesses_do_not_lock_a_key_out() {
    on_both(async |server: &Server| {
        let admin = server.login(ADMIN).await.token;
        let key = create(server, &admin, "name: \"x\", role: SALES_REP").await;
        for _ in 0..20 {
            assert_eq!(grant(server, &key.client_id, "wrong").await.status(), StatusCode::UNAUTHORIZED);
        }
        token(server, &key).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_for_tokens_too_often_waits() {
    let database = TestDatabase::sqlite();
    let flags = ["--demo", "true", "--trusted-proxies", "127.0.0.1", "--rate-limit-address", "1/s:2"];
    let server = Server::start(&database, &flags).await.unwrap();
    let ask = async |address: &str| {
        let form = [("grant_type", "client_credentials"), ("client_id", "x"), ("client_secret", "y")];
        let request = server.client().post(server.url("/oauth/token")).header("x-forwarded-for", address);
        request.form(&form).send().await.unwrap()
    };
    let mut answer = ask("192.0.2.1").await;
    assert_eq!(answer.status(), 401);
    for _ in 0..20 {
        if answer.status() == 401 {
            answer = ask("192.0.2.1").await;
        }
    }
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(ask("192.0.2.2").await.status(), 401);
    server.stop().await;
}
