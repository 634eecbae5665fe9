//! Sending spans: from a thread of its own, out of a queue that is bounded, so that no request ever waits for whoever
//! receives them.

use super::{Tracer, settings::TelemetryConfig};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};
use std::{
    sync::Mutex,
    sync::PoisonError,
    time::{Duration, Instant},
};

/// How long sending what is left may take when the service stops.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often a log line may say that spans were lost.
const COMPLAINT_INTERVAL: Duration = Duration::from_mins(1);

/// What spans are made with, and how they leave.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub tracer: SdkTracer,
    provider: SdkTracerProvider,
}

impl Tracer {
    /// Makes the spans of a service and sends them where the configuration says; makes none when it says nothing.
    ///
    /// # Errors
    /// In words for whoever configured it: what is wrong.
    pub(crate) fn start(service: &'static str, config: &TelemetryConfig) -> anyhow::Result<Self> {
        let Some(url) = config.traces()? else { return Ok(Self::default()) };
        let otlp =
            Otlp::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(url).build()?;
        let exporter = Complaining { service, otlp, lost: Mutex::default() };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue as usize)
            .with_max_export_batch_size(config.batch as usize)
            .with_scheduled_delay(Duration::from_millis(config.delay.into()))
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(config.sampler())
            .with_resource(resource(service, config))
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("leadgraph");
        Ok(Self::sending(Sending { tracer, provider }))
    }

    /// Sends what is left, if whoever receives it takes it at once.
    pub(crate) async fn shut_down(&self) {
        let Some(Sending { provider, .. }) = self.sends().cloned() else { return };
        // It blocks, also where nobody receives anything
        let sent = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_WORDS)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be sent");
        }
    }
}

/// Who sends; what the operator says of it wins.
pub(crate) fn resource(service: &'static str, config: &TelemetryConfig) -> Resource {
    let own = [
        KeyValue::new("service.namespace", "leadgraph"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let resource = Resource::builder_empty().with_attributes(own);
    let resource =
        resource.with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    resource.with_service_name(config.service_name.clone().unwrap_or_else(|| service.to_owned())).build()
}

/// Spans that were lost since the last complaint.
#[derive(Debug, Default)]
struct Lost {
    spans: usize,
    complained: Option<Instant>,
}

/// Says that spans are lost, and not too often.
#[derive(Debug)]
struct Complaining {
    service: &'static str,
    otlp: Otlp,
    lost: Mutex<Lost>,
}

impl Complaining {
    fn complain(&self, spans: usize, error: &impl std::fmt::Display) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.spans += spans;
        if lost.complained.is_some_and(|last| last.elapsed() < COMPLAINT_INTERVAL) {
            return;
        }
        let Lost { spans, .. } =
            std::mem::replace(&mut *lost, Lost { spans: 0, complained: Some(Instant::now()) });
        tracing::warn!(
            target: "leadgraph", subgraph = self.service, spans, %error,
            "spans could not be sent and are lost (OTEL_EXPORTER_OTLP_ENDPOINT)"
        );
    }
}

impl SpanExporter for Complaining {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.otlp.export(batch).await;
        if let Err(error) = &sent {
            self.complain(spans, error);
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}
