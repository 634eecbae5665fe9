//! Tokens that a service under test takes for those of accounts.
//!
//! The session of the user 7 is `00000000-0000-7000-8000-000000000007`.

use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{Jwk, JwkSet, ThumbprintHash};
use jsonwebtoken::{EncodingKey, Header, encode};
use subgraph::token::{ALGORITHM, Claims};
use subgraph::{Actor, Role, write_file};

/// How long the tokens count; longer than any scenario moves its clock.
const LIFETIME: TimeDelta = TimeDelta::days(365);

/// A key pair made for this run, in the place of the one that accounts has.
pub struct TestKeys {
    signing: EncodingKey,
    pem: String,
    public: JwkSet,
    kid: String,
}

impl TestKeys {
    /// A new pair.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness");
        let der = pair.to_pkcs8v1().expect("a new key");
        let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
        let pem = format!("{begin}\n{}\n{end}\n", BASE64_STANDARD.encode(der.as_ref()));
        let signing = EncodingKey::from_ec_der(der.as_ref());
        let mut public = Jwk::from_encoding_key(&signing, ALGORITHM).expect("a key of this algorithm");
        let kid = public.thumbprint(ThumbprintHash::SHA256).expect("a whole key");
        public.common.key_id = Some(kid.clone());
        Self { signing, pem, public: JwkSet { keys: vec![public] }, kid }
    }

    /// The pair that all tests of this process may share.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<TestKeys> = LazyLock::new(TestKeys::new);
        &SHARED
    }

    /// The public key, as accounts publishes it.
    #[must_use]
    pub fn jwks(&self) -> &JwkSet {
        &self.public
    }

    /// Makes `service` trust these keys when it starts with this data folder: the public ones lie where it keeps
    /// those it fetched last, the private one where accounts keeps its own.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn install(&self, data_dir: &Path, service: &str) {
        let jwks = serde_json::to_vec(&self.public).expect("a key set is JSON");
        let published = (format!("{service}.jwks.json"), jwks.as_slice());
        for (file, content) in [published, ("jwt-signing-key.pem".to_owned(), self.pem.as_bytes())] {
            write_file(&data_dir.join(file), content).expect("a folder of the test's own");
        }
    }

    /// A token of the user `user_id` that counts for a year from `at`.
    ///
    /// # Panics
    /// When signing fails.
    #[must_use]
    pub fn mint(&self, role: Role, user_id: i32, at: DateTime<Utc>) -> String {
        let session = format!("00000000-0000-7000-8000-{user_id:012}");
        let claims = Claims::new(&Actor::User(user_id), role, session, at, LIFETIME);
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(ALGORITHM) };
        encode(&header, &claims, &self.signing).expect("a key that signs")
    }
}

impl Default for TestKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKeys").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A token by [`TestKeys::shared`].
#[must_use]
pub fn mint(role: Role, user_id: i32, at: DateTime<Utc>) -> String {
    TestKeys::shared().mint(role, user_id, at)
}
