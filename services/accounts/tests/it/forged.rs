//! Tokens that accounts did not sign, or not for this.

use crate::server::{ADMIN, Server, noon, on_both};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use subgraph::{Actor, Role, token::Claims};

struct Forge {
    claims: Value,
    kid: String,
    key: EncodingKey,
    pem: String,
}

impl Forge {
    /// Everything accounts has: the real key, and the claims of a real session.
    async fn new(server: &Server) -> Self {
        let token = server.login(ADMIN).await.token;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let pem = std::fs::read_to_string(server.data_dir().join("jwt-signing-key.pem")).unwrap();
        Self {
            claims: serde_json::from_slice(&payload).unwrap(),
            kid: jsonwebtoken::decode_header(&token).unwrap().kid.unwrap(),
            key: EncodingKey::from_ec_pem(pem.as_bytes()).unwrap(),
            pem,
        }
    }

    fn with(&self, claim: &str, value: Value) -> Value {
        let mut claims = self.claims.clone();
        claims[claim] = value;
        claims
    }

    fn sign(&self, algorithm: Algorithm, claims: &Value, key: &EncodingKey) -> String {
        encode(&Header { kid: Some(self.kid.clone()), ..Header::new(algorithm) }, claims, key).unwrap()
    }

    fn real(&self, claims: &Value) -> String {
        self.sign(Algorithm::ES256, claims, &self.key)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_accounts_signed_for_us_counts() {
    on_both(async |server: &Server| {
        let forge = Forge::new(server).await;
        assert!(server.takes(&forge.real(&forge.claims)).await, "the forge works");
        let now = noon().timestamp();
        for (claim, value) in [
            ("exp", json!(now - 60)),
            ("nbf", json!(now + 60)),
            ("iss", json!("somebody else")),
            ("aud", json!("somebody else")),
            ("aud", json!("leadgraph-internal")),
            ("sub", json!("user:2")),
            ("sub", json!("key:1")),
            ("sub", json!("root")),
            ("sid", json!("")),
            ("sid", json!("01890000-0000-7000-8000-000000000000")),
            ("role", json!("KING")),
        ] {
            assert!(!server.takes(&forge.real(&forge.with(claim, value.clone()))).await, "{claim} {value}");
        }
        for claim in ["exp", "nbf", "iss", "aud", "sub", "sid", "role"] {
            let mut claims = forge.claims.clone();
            claims.as_object_mut().unwrap().remove(claim);
            assert!(!server.takes(&forge.real(&claims)).await, "without {claim}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_decides_nothing() {
    on_both(async |server: &Server| {
        let forge = Forge::new(server).await;
        let jwks = server.jwks().await;
        let x = jwks["keys"][0]["x"].as_str().unwrap();
        for secret in [forge.pem.as_bytes(), x.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(x).unwrap(), b""] {
            let token = forge.sign(Algorithm::HS256, &forge.claims, &EncodingKey::from_secret(secret));
            assert!(!server.takes(&token).await, "HS256");
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let payload = part(&forge.claims);
        for algorithm in ["none", "None", "NONE", "ES256"] {
            let header = part(&json!({ "alg": algorithm, "typ": "JWT", "kid": forge.kid }));
            assert!(!server.takes(&format!("{header}.{payload}.")).await, "{algorithm} without a signature");
        }
        let header = part(&json!({ "alg": "ES256", "kid": forge.kid, "jwk": jwks["keys"][0], "jku": "http://127.0.0.1:1/" }));
        assert!(!server.takes(&format!("{header}.{payload}.{}", BASE64_URL_SAFE_NO_PAD.encode([1; 64]))).await);
        for garbage in ["x", "a.b.c", "eyJ", "...", &"a".repeat(5_000)] {
            assert!(!server.takes(garbage).await, "{garbage}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_does_not_sign_for_us() {
    on_both(async |server: &Server| {
        let forge = Forge::new(server).await;
        let keys = testkit::TestKeys::new();
        let own = keys.mint(Role::Admin, 1, noon());
        assert!(!server.takes(&own).await, "an unknown key id");
        let (_, signature) = own.rsplit_once('.').unwrap();
        let real = forge.real(&forge.claims);
        let (signed, _) = real.rsplit_once('.').unwrap();
        assert!(!server.takes(&format!("{signed}.{signature}")).await, "another signature");
        let claims = Claims::new(&Actor::User(1), Role::Admin, "x".into(), noon(), TimeDelta::hours(1));
        assert!(
            !server.takes(&forge.real(&serde_json::to_value(claims).unwrap())).await,
            "no session of ours"
        );
    })
    .await;
}
