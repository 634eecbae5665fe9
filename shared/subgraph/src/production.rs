//! What production refuses: a start that would not be safe. All faults are told at once, each with what to set.

use crate::{builder::Subgraph, config::Config, server::cors::is_localhost};
use anyhow::bail;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use std::{collections::HashSet, net::IpAddr};

/// The service key of the containers in development, which everybody knows: it stands in docker-compose.yml.
pub const DEVELOPMENT_SERVICE_KEY: &str = "published-with-leadgraph-for-development-only";
/// Their passwords of databases and the broker.
pub const DEVELOPMENT_PASSWORD: &str = "development-only";

/// Characters of the service key, at least.
pub(crate) const MIN_SERVICE_KEY: usize = 32;
/// Different ones among them, at least: 32 random hexadecimal digits have 14 on the average.
const MIN_DIFFERENT: usize = 8;
/// What is said where the key is missing.
pub(crate) const NO_SERVICE_KEY: &str = "SERVICE_KEY is not set, and production makes none by itself: set the same for \
                                         all services; make one with `openssl rand -hex 32`";
/// Passwords of databases that are tried first.
const OBVIOUS: [&str; 11] = [
    DEVELOPMENT_PASSWORD,
    "postgres",
    "postgresql",
    "leadgraph",
    "password",
    "passwort",
    "changeme",
    "secret",
    "admin",
    "root",
    "test",
];

/// What is wrong with a configuration, for production.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is refused.
    pub faults: Vec<String>,
    /// What is only said.
    pub warnings: Vec<String>,
}

impl Subgraph {
    /// What is wrong with this configuration; nothing in development.
    pub fn findings(&self, config: &Config) -> Findings {
        if config.is_development() {
            return Findings::default();
        }
        let faults = [service_key(config), demo(config), database(self.name, config), broker(config)];
        let mut faults: Vec<_> = faults.into_iter().flatten().chain(origins(config)).collect();
        faults.extend(self.insist.map(|insist| insist(config)).unwrap_or_default());
        Findings { faults, warnings: warnings(config) }
    }

    /// Refuses to start where production does not allow it.
    pub(crate) fn must_be_safe(&self, config: &Config) -> anyhow::Result<()> {
        refuse(&self.findings(config).faults)
    }
}

impl Findings {
    /// Adds another service's; what is common to all is said once.
    pub fn add(&mut self, other: Self) {
        let Self { faults, warnings } = other;
        for (all, more) in [(&mut self.faults, faults), (&mut self.warnings, warnings)] {
            for words in more {
                if !all.contains(&words) {
                    all.push(words);
                }
            }
        }
    }

    /// Logs what is only said.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!(target: "leadgraph", "{warning}");
        }
    }
}

/// Says all faults, one in a line.
///
/// # Errors
/// There are some.
pub fn refuse(faults: &[String]) -> anyhow::Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = faults.iter().map(|fault| format!("  - {fault}")).collect();
    bail!("production refuses to start (LEADGRAPH_ENV=production):\n{}", lines.join("\n"))
}

fn service_key(config: &Config) -> Option<String> {
    let Some(key) = &config.service_key else { return Some(NO_SERVICE_KEY.into()) };
    let key = key.expose_secret().trim();
    let how = "make one with `openssl rand -hex 32`, the same for all services";
    if key == DEVELOPMENT_SERVICE_KEY {
        return Some(format!("SERVICE_KEY is the one of development, which everybody knows: {how}"));
    }
    if key.chars().count() < MIN_SERVICE_KEY {
        return Some(format!("SERVICE_KEY has fewer than {MIN_SERVICE_KEY} characters: {how}"));
    }
    (different_characters(key) < MIN_DIFFERENT)
        .then(|| format!("SERVICE_KEY has fewer than {MIN_DIFFERENT} different characters: {how}"))
}

/// How many different characters a secret has.
pub fn different_characters(secret: &str) -> usize {
    secret.chars().collect::<HashSet<_>>().len()
}

fn demo(config: &Config) -> Option<String> {
    (config.demo == Some(true)).then(|| "demo data is refused in production: unset LEADGRAPH_DEMO".into())
}

/// A password that is easily guessed guards nothing where others can reach the database.
fn database(name: &str, config: &Config) -> Option<String> {
    let (variable, url) = match (&config.database_url, &config.shared_database_url) {
        (Some(own), _) => (format!("{}_DATABASE_URL", name.to_uppercase()), own),
        (None, Some(shared)) => ("DATABASE_URL".into(), shared),
        (None, None) => return None,
    };
    let url = Url::parse(url.expose_secret()).ok()?;
    if !url.scheme().starts_with("postgres") || is_near(&url) {
        return None;
    }
    let parameter =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let user = parameter("user").unwrap_or_else(|| url.username().to_owned());
    let password = parameter("password").or_else(|| url.password().map(str::to_owned)).unwrap_or_default();
    let how = "give the role one with `ALTER ROLE … PASSWORD` and put it into the address; make one with `openssl rand \
               -hex 24`";
    if password.is_empty() {
        return Some(format!("{variable} has no password, and its host is not this machine: {how}"));
    }
    let obvious = OBVIOUS.contains(&&*password.to_lowercase()) || password == user || password == name;
    obvious.then(|| format!("{variable} has a password that everybody tries first: {how}"))
}

/// The password of the containers' broker is no secret.
fn broker(config: &Config) -> Option<String> {
    let published = |url: &Url| !is_near(url) && url.password() == Some(DEVELOPMENT_PASSWORD);
    let published = config.nats_url.as_ref().is_some_and(|urls| servers(urls).any(|url| published(&url)));
    published.then(|| {
        "NATS_URL has the password of development, which everybody knows: make one with `openssl rand -hex 24`".into()
    })
}

/// Whether an address is this machine's: loopback, or a socket in a folder.
fn is_near(url: &Url) -> bool {
    let named = url.query_pairs().find(|(key, _)| key == "host").map(|(_, host)| host.into_owned());
    let host = named.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    let host = host.trim_matches(['[', ']']);
    let socket =
        host.is_empty() || host.starts_with('/') || host.starts_with("%2F") || host.starts_with("%2f");
    socket || host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn origins(config: &Config) -> impl Iterator<Item = String> {
    let (address, origins) = (config.listen_addr, &config.cors_origins);
    let open = !address.is_loopback() && origins.is_empty();
    let open = open.then(|| {
        format!(
            "LISTEN_ADDR is {address}, which others reach, and CORS_ORIGINS is not set: list the origins whose pages may \
             call, such as https://crm.example.com"
        )
    });
    let any = origins.iter().any(|origin| origin.contains('*'));
    let any = any.then(|| {
        "CORS_ORIGINS has a *, with which every page on the internet may call: list the origins, such as \
         https://crm.example.com"
            .to_owned()
    });
    open.into_iter().chain(any)
}

fn warnings(config: &Config) -> Vec<String> {
    let mut said = Vec::new();
    let plain =
        config.cors_origins.iter().find(|origin| origin.starts_with("http://") && !is_localhost(origin));
    if let Some(origin) = plain {
        said.push(format!(
            "CORS_ORIGINS has {origin}: what goes over http:// can be read and changed on the way"
        ));
    }
    if config.nats_url.as_ref().is_some_and(is_open_broker) {
        said.push("NATS_URL has no credentials, and its host is not this machine: whoever reaches the broker reads and \
                   writes events; add a user and a password, or a token"
            .into());
    }
    if !config.listen_addr.is_loopback() && config.trusted_proxies.is_empty() {
        said.push("TRUSTED_PROXIES is not set: whatever comes through the router or a proxy counts as one address, so that one \
                   stranger's wrong passwords keep everybody from signing in; list their addresses"
            .into());
    }
    said
}

/// Whether one of the servers is on another machine and asks nobody who they are.
fn is_open_broker(urls: &SecretString) -> bool {
    servers(urls).any(|url| !is_near(&url) && url.username().is_empty())
}

/// The servers of an address, each of which may stand without `nats://`.
fn servers(urls: &SecretString) -> impl Iterator<Item = Url> {
    let parse = |server: &str| {
        let scheme = if server.contains("://") { "" } else { "nats://" };
        Url::parse(&format!("{scheme}{server}")).ok()
    };
    urls.expose_secret().split(',').map(str::trim).filter_map(parse)
}

#[cfg(test)]
mod tests;
