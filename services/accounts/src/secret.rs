//! Secrets that are shown once and kept only as a hash.
//!
//! They are 256 random bits, so one round of SHA-256 is enough: nobody can try them all, and a
//! slow hash would only slow down the honest.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subgraph::Random;

/// A new secret in base64url.
pub(crate) fn generate(random: &Random) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random.bytes::<32>())
}

/// The hash under which a secret is kept.
pub(crate) fn hash(secret: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(secret))
}

/// Whether `secret` is the one kept as `hash`; takes the same time wherever they differ, and also
/// when there is none.
pub(crate) fn matches(secret: &str, kept: Option<&str>) -> bool {
    let (given, nobody) = (hash(secret), hash(""));
    verify_slices_are_equal(given.as_bytes(), kept.unwrap_or(&nobody).as_bytes()).is_ok() && kept.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_matches_its_hash() {
        let secret = generate(&Random::seeded(1));
        assert_eq!(secret.len(), 43, "32 bytes");
        let kept = hash(&secret);
        assert!(matches(&secret, Some(&kept)));
        assert!(!matches("other", Some(&kept)));
        assert!(!matches(&secret, None));
        assert!(!matches("", None), "what stands in for a missing hash opens nothing");
    }
}
