//! Sends the counters by OpenTelemetry's protocol every now and then, for those who have no Prometheus.

use super::otlp::{self, Span};
use crate::{
    http,
    server::AbortOnDropHandle,
    service::Service,
    telemetry::{self, TelemetryConfig},
};
use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use poem::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use prost::Message;
use reqwest::Url;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Where the counters go, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    url: Url,
    headers: HeaderMap,
    every: Duration,
}

impl Target {
    /// The configured one; nothing when the counters are not to be sent.
    ///
    /// # Errors
    /// In words for whoever starts the service, when the configuration makes no sense.
    pub fn of(config: &TelemetryConfig) -> anyhow::Result<Option<Self>> {
        let Some(url) = config.metrics()? else { return Ok(None) };
        let mut headers = config.headers()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let every = Duration::from_millis(config.metrics_interval.into());
        Ok(Some(Self { url, headers, every }))
    }
}

/// The sending, which ends with this.
pub(crate) struct Pushing {
    sender: Arc<Sender>,
    running: AbortOnDropHandle,
}

impl Pushing {
    /// Starts it.
    pub fn start(service: &Service, target: Target) -> Self {
        let start = nanos(service.clock.now());
        let sender = Sender { service: service.clone(), target, start, failing: AtomicBool::default() };
        let sender = Arc::new(sender);
        let running = AbortOnDropHandle(tokio::spawn(keep_sending(sender.clone())));
        Self { sender, running }
    }

    /// Sends what was counted last, and ends.
    pub async fn stop(self) {
        drop(self.running);
        self.sender.send().await;
    }
}

async fn keep_sending(sender: Arc<Sender>) {
    let every = sender.target.every;
    let mut due = interval_at(Instant::now() + every, every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        sender.send().await;
    }
}

struct Sender {
    service: Service,
    target: Target,
    /// When counting began, in nanoseconds since 1970.
    start: u64,
    failing: AtomicBool,
}

impl Sender {
    /// Sends all counters. What does not arrive is in the next request, too: they count from the start.
    async fn send(&self) {
        let failed = self.post().await.err();
        let was_failing = self.failing.swap(failed.is_some(), Ordering::Relaxed);
        let subgraph = self.service.name;
        match failed {
            Some(error) if !was_failing => {
                let error = format!("{error:#}");
                tracing::warn!(target: "leadgraph", subgraph, error, "metrics cannot be sent; trying on");
            }
            None if was_failing => tracing::info!(target: "leadgraph", subgraph, "metrics are sent again"),
            _ => {}
        }
    }

    async fn post(&self) -> anyhow::Result<()> {
        let request = http::client()?.post(self.target.url.clone()).headers(self.target.headers.clone());
        let answer = request.body(self.request().encode_to_vec()).send().await;
        // The address may hold a password
        answer.and_then(reqwest::Response::error_for_status).map_err(reqwest::Error::without_url)?;
        Ok(())
    }

    fn request(&self) -> ExportMetricsServiceRequest {
        let span = Span { start: self.start, now: nanos(self.service.clock.now()) };
        let resource = telemetry::resource(self.service.name, &self.service.config.telemetry);
        otlp::request(&self.service.metrics.gather(), &resource, span)
    }
}

fn nanos(at: DateTime<Utc>) -> u64 {
    at.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or_default()
}
