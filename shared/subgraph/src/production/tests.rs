//! Each rule by itself, over the flags that people set.

use super::*;
use async_graphql::{EmptyMutation, EmptySubscription, Object};

const KEY: &str = "3f9c2b7a51e84d06b8fa0c6d9e21573f";

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// Nothing to ask.
    async fn nothing(&self) -> bool {
        true
    }
}

fn subgraph() -> Subgraph {
    Subgraph::new::<Query, EmptyMutation, EmptySubscription, migrations::Chassis>(
        "bells",
        0,
        crate::Policy::default(),
    )
}

fn findings(flags: &[&str]) -> Findings {
    let usual = ["--environment=production"];
    let key = format!("--service-key={KEY}");
    let key = (!flags.iter().any(|flag| flag.starts_with("--service-key"))).then_some(&*key);
    let flags =
        usual.into_iter().chain(key).chain(flags.iter().copied().filter(|flag| *flag != "--service-key"));
    subgraph().findings(&subgraph().config_from(flags).unwrap())
}

/// The one fault, or nothing.
fn fault(flags: &[&str]) -> String {
    let faults = findings(flags).faults;
    assert!(faults.len() < 2, "{faults:?}");
    faults.into_iter().next().unwrap_or_default()
}

fn assert_fault(flags: &[&str], words: &str) {
    assert!(fault(flags).starts_with(words), "{flags:?}: {:?}", fault(flags));
}

#[test]
fn the_service_key_is_set_and_random() {
    assert_fault(&[], "");
    assert_fault(&["--service-key"], "SERVICE_KEY is not set");
    let published = format!("--service-key={DEVELOPMENT_SERVICE_KEY}");
    for (key, words) in [
        (published.as_str(), "SERVICE_KEY is the one of development"),
        ("--service-key= 3f9c2b7a51e84d06b8fa0c6d9e21573 ", "SERVICE_KEY has fewer than 32 characters"),
        ("--service-key=abcdefgabcdefgabcdefgabcdefgabcdefg", "SERVICE_KEY has fewer than 8 different"),
    ] {
        assert_fault(&[key], words);
        assert!(fault(&[key]).contains("openssl rand -hex 32"), "{key}");
    }
}

#[test]
fn there_is_no_demo_data() {
    assert_fault(&["--demo=true"], "demo data is refused in production: unset LEADGRAPH_DEMO");
    assert_eq!(fault(&["--demo=false"]), "");
}

#[test]
fn an_open_bind_has_a_list_of_origins() {
    for open in ["0.0.0.0", "192.0.2.1", "::"] {
        let open = format!("--listen-addr={open}");
        assert_fault(&[&open], "LISTEN_ADDR is ");
        assert_eq!(fault(&[&open, "--cors-origins=https://crm.example.com"]), "");
    }
    assert_eq!(fault(&["--listen-addr=::1"]), "");
    for any in ["*", "https://a.example,*", "https://*.example.com"] {
        assert_fault(&[&format!("--cors-origins={any}")], "CORS_ORIGINS has a *");
    }
}

#[test]
fn a_distant_database_has_a_password_that_is_one() {
    let url = |url: &str| format!("--database-url={url}");
    for (bad, words) in [
        ("postgres://leads@db/crm", "BELLS_DATABASE_URL has no password"),
        ("postgres://leads:@db/crm", "BELLS_DATABASE_URL has no password"),
        ("postgres://leads:leads@db/crm", "BELLS_DATABASE_URL has a password that everybody tries first"),
        (
            "postgres://crm:Password@10.0.0.1/crm",
            "BELLS_DATABASE_URL has a password that everybody tries first",
        ),
        ("postgresql://crm:bells@db/crm", "BELLS_DATABASE_URL has a password that everybody tries first"),
        ("postgres://localhost/crm?host=db&user=crm&password=crm", "BELLS_DATABASE_URL has a password that"),
    ] {
        assert_fault(&[&url(bad)], words);
    }
    for good in [
        "postgres://leads:d2f0a91bc4@db/crm",
        "postgres://leads:leads@localhost/crm",
        "postgres://leads@127.0.0.1:5433/crm",
        "postgres://leads@[::1]/crm",
        "postgres://leads@db/crm?host=/run/postgresql",
        "postgres://leads@%2Frun%2Fpostgresql/crm",
        "postgres:///crm",
        "sqlite:///var/lib/leads.sqlite",
    ] {
        assert_eq!(fault(&[&url(good)]), "", "{good}");
    }
    assert_fault(&["--shared-database-url=postgres://crm:crm@db/crm"], "DATABASE_URL has a password");
}

#[test]
fn what_stands_in_the_containers_files_is_refused() {
    let compose = include_str!("../../../../docker-compose.yml");
    assert!(compose.contains(&format!("${{SERVICE_KEY:-{DEVELOPMENT_SERVICE_KEY}}}")));
    for variable in ["POSTGRES_PASSWORD", "NATS_PASSWORD"] {
        assert!(compose.contains(&format!("${{{variable}:-{DEVELOPMENT_PASSWORD}}}")), "{variable}");
    }
    let database = format!("--database-url=postgres://leads:{DEVELOPMENT_PASSWORD}@postgres/crm");
    assert_fault(&[&database], "BELLS_DATABASE_URL has a password that everybody tries first");
    let broker =
        format!("--nats-url=nats://a:other@one:4222,nats://leadgraph:{DEVELOPMENT_PASSWORD}@nats:4222");
    assert_fault(&[&broker], "NATS_URL has the password of development");
    let bare = format!("--nats-url=leadgraph:{DEVELOPMENT_PASSWORD}@nats:4222");
    assert_fault(&[&bare], "NATS_URL has the password of development");
}

#[test]
fn what_is_only_unwise_is_said() {
    let warned = |flags: &[&str]| findings(flags).warnings;
    assert_eq!(warned(&["--cors-origins=https://crm.example.com,http://localhost:3000"]), [""; 0]);
    assert!(warned(&["--cors-origins=http://crm.example.com"])[0].starts_with("CORS_ORIGINS has http://crm"));
    for open in ["nats://broker:4222", "nats://a:b@one:4222,nats://two:4222", "broker:4222", "10.0.0.5:4222"]
    {
        assert!(warned(&[&format!("--nats-url={open}")])[0].starts_with("NATS_URL has no credentials"));
    }
    for closed in ["nats://127.0.0.1:4222", "nats://a:b@broker:4222", "tls://token@broker"] {
        assert_eq!(warned(&[&format!("--nats-url={closed}")]), [""; 0]);
    }
    let open = ["--listen-addr=0.0.0.0", "--cors-origins=https://crm.example.com"];
    assert!(warned(&open)[0].starts_with("TRUSTED_PROXIES is not set"));
    assert_eq!(warned(&[&open[..], &["--trusted-proxies=10.0.0.1"]].concat()), [""; 0]);
}

#[test]
fn all_faults_are_told_at_once_and_none_in_development() {
    let flags = ["--listen-addr=0.0.0.0", "--demo=true", "--service-key=short"];
    let faults = findings(&flags).faults;
    assert_eq!(faults.len(), 3, "{faults:?}");
    let said = refuse(&faults).unwrap_err().to_string();
    assert_eq!(said.lines().count(), 4, "{said}");
    let config = subgraph().config_from(flags).unwrap();
    assert!(subgraph().findings(&config).faults.is_empty());
}
