//! Sending spans: from a thread of its own, out of a queue that is bounded, so that no request ever waits for whoever
//! receives them.

use super::{Tracer, settings::TelemetryConfig};
use anyhow::Context as _;
use opentelemetry::{Context, KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter,
        SpanProcessor,
    },
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
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
        let headers = config.headers()?.into_iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name?.to_string(), value.to_str().ok()?.to_owned())));
        let otlp = Otlp::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(url);
        let otlp = otlp.with_headers(headers.collect()).build();
        let otlp = otlp.context("traces cannot be sent as the OTEL_EXPORTER_OTLP_ variables say")?;
        let complaints =
            Arc::new(Complaints { service, waiting: AtomicUsize::new(0), lost: Mutex::default() });
        let exporter = Complaining { otlp, complaints: complaints.clone() };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue as usize)
            .with_max_export_batch_size(config.batch as usize)
            .with_scheduled_delay(Duration::from_millis(config.delay.into()))
            .build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let processor = Bounded { batches, complaints, queue: config.queue as usize };
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
struct Complaints {
    service: &'static str,
    /// Spans that were neither sent nor lost yet.
    waiting: AtomicUsize,
    lost: Mutex<Lost>,
}

impl Complaints {
    fn lost(&self, spans: usize, why: &impl std::fmt::Display) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.spans += spans;
        if lost.complained.is_some_and(|last| last.elapsed() < COMPLAINT_INTERVAL) {
            return;
        }
        let Lost { spans, .. } =
            std::mem::replace(&mut *lost, Lost { spans: 0, complained: Some(Instant::now()) });
        tracing::warn!(
            target: "leadgraph", subgraph = self.service, spans, error = %why,
            "spans could not be sent and are lost (OTEL_EXPORTER_OTLP_ENDPOINT)"
        );
    }
}

/// Lets so many spans wait as the queue holds; OpenTelemetry's own queue drops more in silence.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    complaints: Arc<Complaints>,
    queue: usize,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.batches.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.complaints.waiting.fetch_add(1, Ordering::Relaxed) < self.queue {
            return self.batches.on_end(span);
        }
        self.complaints.waiting.fetch_sub(1, Ordering::Relaxed);
        self.complaints.lost(1, &"more wait than OTEL_BSP_MAX_QUEUE_SIZE lets");
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Sends, and tells what could not be sent.
#[derive(Debug)]
struct Complaining {
    otlp: Otlp,
    complaints: Arc<Complaints>,
}

impl SpanExporter for Complaining {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.otlp.export(batch).await;
        self.complaints.waiting.fetch_sub(spans, Ordering::Relaxed);
        if let Err(error) = &sent {
            self.complaints.lost(spans, error);
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
