//! A service that is offered a language model.

use crate::asker::{Grade, KEY, good, grade};
use async_graphql::{EmptyMutation, EmptySubscription, Object};
use chrono::DateTime;
use llm::{Failure, Question};
use serde_json::json;
use std::time::{Duration, Instant};
use subgraph::{Clock, Config, Endpoint, Policy, Random, Role, Subgraph};
use tempfile::TempDir;
use testkit::{
    TestDatabase,
    provider::{Provider, Reply},
};

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// What it is called.
    async fn name(&self) -> &'static str {
        "asker"
    }
}

fn subgraph() -> Subgraph {
    let policy = Policy::default().read(Role::SalesRep, &["name"]);
    llm::offered(Subgraph::new::<Query, EmptyMutation, EmptySubscription, migrations::scoring::Migrator>(
        "asker", 4010, policy,
    ))
}

/// Starts the service with these flags, over a database of its own.
async fn prepare(flags: &[&str]) -> anyhow::Result<(Endpoint, TestDatabase, TempDir)> {
    let (database, folder) = (TestDatabase::sqlite(), tempfile::tempdir().unwrap());
    let own = [
        "--port=0".to_owned(),
        "--demo=false".into(),
        "--service-key=the service key of the tests, long enough for anybody".into(),
        format!("--data-dir={}", folder.path().display()),
        format!("--database-url={}", database.url()),
    ];
    let flags = own.into_iter().chain(flags.iter().map(|flag| (*flag).to_owned()));
    let config = Config { nats_url: None, ..subgraph().config_from(flags).unwrap() };
    let endpoint = subgraph().prepare(config, Clock::fixed(DateTime::UNIX_EPOCH), Random::seeded(1)).await?;
    Ok((endpoint, database, folder))
}

fn question() -> Question<'static> {
    Question { subject: "grade:1", instructions: "Grade it.", data: json!({}) }
}

#[tokio::test]
async fn without_key_and_address_there_is_no_client() {
    // Empty variables are as good as none
    let flags = ["--openrouter-api-key=", "--llm-base-url=", "--llm-model=x"];
    let (endpoint, _database, _folder) = prepare(&flags).await.unwrap();
    assert!(llm::client(endpoint.service()).is_none());
    assert!(!endpoint.service().metrics.text().unwrap().contains("leadgraph_llm"));
    let (endpoint, _database, _folder) =
        prepare(&["--openrouter-api-key=x", "--llm-base-url="]).await.unwrap();
    let shown = format!("{:?}", llm::client(endpoint.service()).unwrap());
    assert!(shown.contains("https://openrouter.ai") && shown.contains("gpt-4o-mini"), "{shown}");
}

#[tokio::test]
async fn a_configured_service_asks_and_counts() {
    let provider = Provider::always(Reply::answer(&good())).await;
    let [flag, url] = provider.flags();
    let key = format!("--openrouter-api-key={KEY}");
    let (endpoint, _database, _folder) = prepare(&[&flag, &url, &key, "--llm-model=m"]).await.unwrap();
    let client = llm::client(endpoint.service()).unwrap();
    for _ in 0..2 {
        assert_eq!(client.ask::<Grade>(&question()).await.unwrap().answer, grade());
    }
    assert_eq!(provider.requests()[0].body["model"], "m");
    assert!(!format!("{:?}", endpoint.service().config).contains(KEY));
    let text = endpoint.service().metrics.text().unwrap();
    for line in [
        "leadgraph_llm_requests_total{outcome=\"answered\",subgraph=\"asker\"} 1",
        "leadgraph_llm_requests_total{outcome=\"shared\",subgraph=\"asker\"} 1",
        "leadgraph_llm_request_seconds_count{subgraph=\"asker\"} 1",
        "leadgraph_llm_tokens_total{kind=\"prompt\",subgraph=\"asker\"} 100",
        "leadgraph_llm_tokens_total{kind=\"completion\",subgraph=\"asker\"} 20",
        "leadgraph_llm_breaker_state{subgraph=\"asker\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn the_time_for_a_question_can_be_shorter() {
    let provider = Provider::always(Reply::silence()).await;
    let [flag, url] = provider.flags();
    let (endpoint, _database, _folder) = prepare(&[&flag, &url, "--llm-timeout-ms=200"]).await.unwrap();
    let start = Instant::now();
    let outcome = llm::client(endpoint.service()).unwrap().ask::<Grade>(&question()).await;
    assert_eq!(outcome.unwrap_err(), Failure::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_wrong_configuration_ends_the_start() {
    for (flag, variable) in [
        ("--llm-base-url=gopher://x", "LLM_BASE_URL"),
        ("--openrouter-api-key=a\nb", "OPENROUTER_API_KEY"),
        ("--llm-timeout-ms=20001", "LLM_TIMEOUT_MS"),
        ("--llm-timeout-ms=0", "LLM_TIMEOUT_MS"),
        ("--llm-timeout-ms=1s", "LLM_TIMEOUT_MS"),
    ] {
        let other = if variable == "OPENROUTER_API_KEY" { "--llm-model=m" } else { "--openrouter-api-key=x" };
        let error = prepare(&[flag, other]).await.err().unwrap();
        assert!(format!("{error:#}").contains(variable), "{flag}: {error:#}");
    }
}
