//! Metrics by OpenTelemetry's protocol: what a receiver is sent, also after it was away and at the end.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{metric::Data, number_data_point},
};
use serde_json::json;
use tempfile::TempDir;
use testkit::{
    Service, binary, eventually, free_port,
    otlp::{Collector, Mood},
};

/// What takes longer than this does not happen, also on a busy machine.
const SOON: Duration = Duration::from_secs(20);
const REQUESTS: &str = "leadgraph_graphql_requests_total";

/// A service that sends its metrics.
struct Sender {
    service: Service,
    url: String,
    _data: TempDir,
}

impl Sender {
    async fn start(collector: &Collector, interval: &str) -> Self {
        let (data, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let settings = [
            ("LEADGRAPH_DATA_DIR", data.path().display().to_string()),
            ("PORT", port.to_string()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
            ("OTEL_TRACES_EXPORTER", "none".into()),
            ("OTEL_METRIC_EXPORT_INTERVAL", interval.into()),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test".into()),
        ];
        let mut service = Service::spawn(binary("leads"), ["serve"], settings);
        service.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        Self { service, url: format!("http://127.0.0.1:{port}/graphql"), _data: data }
    }

    async fn ask(&self) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let query = json!({ "query": "{ __typename }" });
        assert_eq!(client.post(&self.url).json(&query).send().await.expect("an answer").status(), 200);
    }
}

/// How many requests for `__typename` the receiver has been told of last.
fn told(collector: &Collector) -> Option<u64> {
    let last = collector.metrics().pop()?;
    let metrics = last.resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics);
    let data = metrics.filter(|metric| metric.name == REQUESTS).find_map(|metric| metric.data)?;
    let Data::Sum(sum) = data else { panic!("{REQUESTS} is no sum") };
    let field =
        |labels: &[KeyValue]| labels.iter().any(|label| label.key == "field" && text(label) == "__typename");
    let point = sum.data_points.into_iter().find(|point| field(&point.attributes))?;
    assert!(point.start_time_unix_nano > 0 && point.time_unix_nano > point.start_time_unix_nano);
    let Some(number_data_point::Value::AsDouble(value)) = point.value else { panic!("{point:?}") };
    Some(format!("{value}").parse().expect("a count"))
}

fn text(label: &KeyValue) -> String {
    match label.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn resource(request: &ExportMetricsServiceRequest, key: &str) -> String {
    let resource = request.resource_metrics[0].resource.as_ref().expect("a resource");
    text(resource.attributes.iter().find(|pair| pair.key == key).unwrap_or_else(|| panic!("no {key}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_counted_arrives_also_after_the_receiver_was_away() {
    let collector = Collector::start().await;
    let mut sender = Sender::start(&collector, "100").await;
    sender.ask().await;
    eventually("it is told", SOON, async || told(&collector) == Some(1)).await;
    let request = collector.metrics().pop().expect("a request");
    assert_eq!(resource(&request, "service.name"), "leads");
    assert_eq!(resource(&request, "deployment.environment"), "test");

    collector.behave(Mood::Failing(503));
    let before = collector.requests();
    sender.ask().await;
    eventually("it was tried some times", SOON, async || collector.requests() > before + 5).await;
    assert_eq!(told(&collector), Some(1));
    collector.behave(Mood::Good);
    eventually("it is told what happened meanwhile", SOON, async || told(&collector) == Some(2)).await;
    eventually("it says so", SOON, async || sender.service.log().contains("metrics are sent again")).await;
    assert_eq!(sender.service.log().matches("metrics cannot be sent").count(), 1, "{}", sender.service.log());
    assert!(sender.service.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_last_is_sent_at_the_end() {
    let collector = Collector::start().await;
    let mut sender = Sender::start(&collector, "3600000").await;
    sender.ask().await;
    assert_eq!(collector.metrics().len(), 0);
    assert!(sender.service.terminate().await.success());
    assert_eq!(told(&collector), Some(1));
}
