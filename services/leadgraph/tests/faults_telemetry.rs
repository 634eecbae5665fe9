//! Receivers of traces that are away, slow or broken: no request notices, and a service stops in its time.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use testkit::otlp::{Collector, Mood};
use testkit::{Service, binary, eventually, free_port};

const SOON: Duration = Duration::from_secs(20);
/// Requests of one turn; the queue of spans is smaller.
const TURN: usize = 100;
/// What the line begins with that says that spans were lost.
const LOST: &str = "spans could not be sent and are lost";

/// A service that sends all its traces somewhere, or nowhere.
struct Sender {
    service: Service,
    url: String,
    http: reqwest::Client,
    _data: TempDir,
}

impl Sender {
    async fn start(endpoint: Option<String>) -> Self {
        let (data, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut settings = vec![
            ("LEADGRAPH_DATA_DIR", data.path().display().to_string()),
            ("PORT", port.to_string()),
            ("OTEL_METRICS_EXPORTER", "none".into()),
            ("OTEL_BSP_SCHEDULE_DELAY", "50".into()),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "50".into()),
        ];
        settings.extend(endpoint.map(|endpoint| ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)));
        let mut service = Service::spawn(binary("leads"), ["serve"], settings);
        service.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { service, url: format!("http://127.0.0.1:{port}/graphql"), http, _data: data }
    }

    /// How long each of some requests took.
    async fn turn(&self) -> Vec<Duration> {
        let mut took = Vec::new();
        for _ in 0..TURN {
            let start = Instant::now();
            let request = self.http.post(&self.url).json(&json!({ "query": "{ __typename }" }));
            assert_eq!(request.send().await.unwrap().status(), 200);
            took.push(start.elapsed());
        }
        took
    }

    /// Stops it: how long that took, and what it had logged.
    async fn stop(mut self) -> (Duration, String) {
        let start = Instant::now();
        assert!(self.service.terminate().await.success(), "{}", self.service.log());
        (start.elapsed(), self.service.log())
    }
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_slow_or_broken_costs_a_request_nothing() {
    let (slow, broken, good) = (Collector::start().await, Collector::start().await, Collector::start().await);
    slow.behave(Mood::Slow(Duration::from_mins(1)));
    broken.behave(Mood::Failing(500));
    let away = format!("http://127.0.0.1:{}", free_port());
    let endpoints = [None, Some(away), Some(slow.endpoint()), Some(broken.endpoint()), Some(good.endpoint())];
    let mut senders = Vec::new();
    for endpoint in endpoints {
        senders.push(Sender::start(endpoint).await);
    }
    let mut took = vec![Vec::new(); senders.len()];
    for _ in 0..4 {
        // By turns, so that what else the machine does is everybody's
        for (sender, took) in senders.iter().zip(&mut took) {
            took.extend(sender.turn().await);
        }
    }
    eventually("all were sent something", SOON, async || {
        [&slow, &broken, &good].iter().all(|it| it.requests() > 0)
    })
    .await;
    assert!(good.spans().iter().all(|span| span.service == "leads" && span.name == "graphql.request"));
    let medians: Vec<_> = took.into_iter().map(median).collect();
    for (number, median) in medians.iter().enumerate() {
        let limit = medians[0] * 2 + Duration::from_millis(2);
        assert!(*median < limit, "{number}: {medians:?}");
    }
    for (number, sender) in senders.into_iter().enumerate() {
        let (took, log) = sender.stop().await;
        assert!(took < Duration::from_secs(5), "{number} took {took:?} to stop:\n{log}");
        let lost = log.lines().filter(|line| line.contains(LOST)).count();
        let expected = match number {
            0 => 0..=0,
            // The queue is small for the good one, too
            4 => 0..=1,
            _ => 1..=1,
        };
        assert!(expected.contains(&lost), "{number} says {lost} times that spans were lost:\n{log}");
        assert!(!log.contains("panicked"), "{number}:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_sent_when_the_service_stops() {
    let collector = Collector::start().await;
    let data = tempfile::tempdir().unwrap();
    let port = free_port();
    let settings = [
        ("LEADGRAPH_DATA_DIR", data.path().display().to_string()),
        ("PORT", port.to_string()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000".into()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,service.namespace=mine".into()),
    ];
    let mut service = Service::spawn(binary("leads"), ["serve"], settings);
    service.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request =
        http.post(format!("http://127.0.0.1:{port}/graphql")).json(&json!({ "query": "{ __typename }" }));
    request.send().await.unwrap();
    assert!(collector.spans().is_empty());
    assert!(service.terminate().await.success());
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    assert_eq!(spans[0].attribute("leadgraph.field"), "__typename");
    for (name, value) in [
        ("service.name", "leads"),
        ("service.namespace", "mine"),
        ("deployment.environment", "test"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(spans[0].resource[name], value);
    }
}

#[test]
fn what_is_malformed_stops_the_start_with_its_name() {
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "10%"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999999999999999"),
        ("OTEL_SDK_DISABLED", "perhaps"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut service = Command::new(binary("leads"));
        service
            .env("LEADGRAPH_DATA_DIR", data.path())
            .env("PORT", free_port().to_string())
            .env(variable, value);
        let ended = service.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{variable}={value}");
        let flags =
            ["--traces-exporter", "--traces-sampler", "--traces-share", "--spans-queue", "--otel-disabled"];
        let named = said.contains(variable) || flags.iter().any(|flag| said.contains(flag));
        assert!(named && !said.contains("panicked"), "{variable}={value}: {said}");
    }
}
