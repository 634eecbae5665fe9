//! Which pages may call from a browser.

use crate::config::{Config, Environment};
use poem::{http::Method, middleware::Cors};

/// Answers browsers that ask whether they may call from where their page is from.
pub(super) fn cors(config: &Config) -> Cors {
    let cors = Cors::new().allow_methods([Method::POST, Method::GET]).allow_credentials(true);
    let cors = cors.allow_headers(["content-type", "authorization", "x-request-id"]);
    let config = config.clone();
    cors.allow_origins_fn(move |origin| config.allows_origin(origin))
}

impl Config {
    /// Whether pages from this origin may call: the configured ones, in development those of this machine.
    pub fn allows_origin(&self, origin: &str) -> bool {
        if self.cors_origins.is_empty() {
            self.environment == Environment::Development && is_localhost(origin)
        } else {
            self.cors_origins.iter().any(|allowed| allowed == origin)
        }
    }
}

/// Whether an origin is a page of this machine.
pub(crate) fn is_localhost(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_this_machine_is_localhost() {
        for yes in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173"] {
            assert!(super::is_localhost(yes), "{yes}");
        }
        for no in ["http://localhost.evil.example", "http://evil.example:80", "null", "", "ftp://localhost"] {
            assert!(!super::is_localhost(no), "{no}");
        }
    }
}
