//! Tokens that nobody should believe, shown to the router and to every service.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use subgraph::token::{AUDIENCE, ISSUER};
use subgraph::{Clock, Role};
use testkit::supergraph::{ROUTER, SERVICES, code};
use testkit::{Supergraph, TestKeys};

testkit::on_both_databases!(
    a_token_that_does_not_count_is_refused_everywhere,
    public_operations_need_no_token
);

async fn a_token_that_does_not_count_is_refused_everywhere(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let own = Keys::of(&supergraph, &admin).await;
    let before = supergraph.row_counts().await;
    // What is signed here as accounts signs counts: each of the others is refused for what is wrong with it alone
    let good = own.sign(&claims(&admin));
    for (target, query, _) in operations() {
        let answer = supergraph.direct(target, Some(&good), query, json!({})).await;
        assert!(!matches!(code(&answer), Some("UNAUTHENTICATED")), "{target}: {answer:#}");
    }
    for (what, token) in bad_tokens(&own, &admin) {
        for (target, read, write) in operations() {
            for query in [read, write] {
                let answer = supergraph.direct(target, Some(&token), query, json!({})).await;
                assert_eq!(code(&answer), Some("UNAUTHENTICATED"), "{what} at {target}: {answer:#}");
                assert!(answer["data"].is_null(), "{what} at {target}: {answer:#}");
            }
        }
    }
    for header in
        ["Bearer", "Bearer ", "bearer x.y.z", &admin, &format!("Basic {admin}"), &format!("Service {admin}")]
    {
        for (target, query, _) in operations() {
            let request = supergraph.request(Method::POST, target, None).header("authorization", header);
            let answer = supergraph.send(request.json(&json!({ "query": query }))).await;
            assert_eq!(answer.code(), Some("UNAUTHENTICATED"), "{header} at {target}: {answer:?}");
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn public_operations_need_no_token(supergraph: Supergraph) {
    let query =
        r#"mutation { login(input: {email: "test@example.com", password: "password"}) { user { email } } }"#;
    for token in [None, Some("expired.or.broken")] {
        let answer = supergraph.graphql(token, query, json!({})).await;
        assert_eq!(answer["data"]["login"]["user"]["email"], "test@example.com", "{answer:#}");
    }
    let before = supergraph.count("accounts", "session").await;
    for (email, password) in [("test@example.com", "wrong"), ("nobody@example.com", "password"), ("", "")] {
        let query = "mutation($i: LoginInput!) { login(input: $i) { token } }";
        let answer =
            supergraph.graphql(None, query, json!({ "i": { "email": email, "password": password } })).await;
        let expected = if email.is_empty() { "BAD_USER_INPUT" } else { "UNAUTHENTICATED" };
        assert_eq!(code(&answer), Some(expected), "{answer:#}");
    }
    assert_eq!(supergraph.count("accounts", "session").await, before);
}

/// One query and one mutation for each place that checks tokens.
fn operations() -> Vec<(&'static str, &'static str, &'static str)> {
    let operations = vec![
        (ROUTER, "{ lead(id: 1) { id } }", "mutation { removeLead(id: 1) }"),
        ("accounts", "{ me { id } }", r#"mutation { updateUser(input: {id: "1", name: "x"}) { id } }"#),
        ("leads", "{ lead(id: 1) { id } }", "mutation { removeLead(id: 1) }"),
        ("interactions", "{ interactions { id } }", "mutation { removeInteraction(id: 1) }"),
        ("tasks", "{ tasks { id } }", r#"mutation { createTask(input: {title: "x", leadId: 1}) { id } }"#),
        ("scoring", "{ topLeads { id } }", "mutation { recalculateAllScores { count } }"),
        ("notifications", "{ getUnreadCount }", "mutation { markAllAsRead }"),
    ];
    assert!(SERVICES.iter().all(|service| operations.iter().any(|(target, ..)| target == service)));
    operations
}

/// What accounts signs with, read from its files.
struct Keys {
    pem: String,
    public: JwkSet,
    kid: String,
}

impl Keys {
    async fn of(supergraph: &Supergraph, token: &str) -> Self {
        let pem = fs::read_to_string(supergraph.data_dir().join("jwt-signing-key.pem")).unwrap();
        let url = format!("http://127.0.0.1:{}/.well-known/jwks.json", supergraph.port("accounts"));
        let public = reqwest::get(url).await.unwrap().json().await.unwrap();
        Self { pem, public, kid: decode_header(token).unwrap().kid.unwrap() }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &EncodingKey::from_ec_pem(self.pem.as_bytes()).unwrap()).unwrap()
    }

    /// As HS256, with what is public as the secret.
    fn confused(&self, claims: &Value, secret: &[u8]) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::HS256) };
        encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
    }
}

/// The claims of a good token.
fn claims(token: &str) -> Value {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).unwrap().claims;
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!(AUDIENCE)));
    claims
}

fn bad_tokens(own: &Keys, admin: &str) -> Vec<(String, String)> {
    let claims = claims(admin);
    let mut bad = wrong_claims(own, &claims);
    bad.extend(wrong_forms(own, admin, &claims));
    let jwk = &own.public.keys[0];
    let [whole, all] = [serde_json::to_string(jwk), serde_json::to_string(&own.public)].map(Result::unwrap);
    let x = serde_json::to_value(jwk).unwrap()["x"].as_str().unwrap().to_owned();
    let secrets = [whole, all, x, own.kid.clone(), String::new()];
    bad.extend(
        secrets.map(|secret| (format!("HS256 with {secret:?}"), own.confused(&claims, secret.as_bytes()))),
    );
    bad
}

/// Signed as accounts signs, but not what it says.
fn wrong_claims(own: &Keys, claims: &Value) -> Vec<(String, String)> {
    let now = Clock::System.now().timestamp();
    let wrong = [
        ("exp", json!(now - 60)),
        ("nbf", json!(now + 3_600)),
        ("aud", json!("somebody-else")),
        ("aud", json!("leadgraph-internal")),
        ("iss", json!("somebody-else")),
        ("sub", json!("user:0")),
        ("sub", json!("service:leads")),
        ("role", json!("EMPEROR")),
        ("sid", json!("")),
    ];
    let wrong = wrong.map(|(claim, value)| {
        let mut claims = claims.clone();
        claims[claim] = value;
        (format!("{claim} is {}", claims[claim]), own.sign(&claims))
    });
    let missing = ["exp", "nbf", "iss", "aud", "sub", "sid", "role"].map(|claim| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(claim);
        (format!("no {claim}"), own.sign(&claims))
    });
    wrong.into_iter().chain(missing).collect()
}

/// Not signed, or not by accounts.
fn wrong_forms(own: &Keys, admin: &str, claims: &Value) -> Vec<(String, String)> {
    let [header, payload, signature] = parts(admin);
    let other = base64(&of_another(claims));
    let none = base64(r#"{"alg":"none"}"#);
    let none_with_id = base64(&format!(r#"{{"alg":"None","kid":"{}"}}"#, own.kid));
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forms = [
        ("another key", TestKeys::new().mint(Role::Admin, 1, Clock::System.now())),
        ("no signature", format!("{header}.{payload}.")),
        ("a changed signature", format!("{header}.{payload}.{flipped}{}", &signature[1..])),
        ("a signature of zeros", format!("{header}.{payload}.{}", "A".repeat(86))),
        ("a changed payload", format!("{header}.{other}.{signature}")),
        ("alg none", format!("{none}.{payload}.")),
        ("alg none, signed", format!("{none}.{payload}.{signature}")),
        ("alg None with the id of the key", format!("{none_with_id}.{payload}.")),
        ("no token", "x".into()),
        ("two dots", "..".into()),
        ("a long one", "a.".repeat(20_000)),
    ];
    forms.map(|(what, token)| (what.to_owned(), token)).into()
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// The claims of another user.
fn of_another(claims: &Value) -> String {
    let mut claims = claims.clone();
    claims["sub"] = json!("user:2");
    claims.to_string()
}

fn base64(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}
