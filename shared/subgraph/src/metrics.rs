//! Counters of one subgraph, in Prometheus' form.

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// Counters of live delivery.
#[derive(Clone, Debug)]
pub struct LiveMetrics {
    /// `leadgraph_live_sockets`.
    pub sockets: IntGauge,
    /// `leadgraph_live_subscriptions`.
    pub subscriptions: IntGauge,
    /// `leadgraph_live_frames_total`.
    pub frames: IntCounter,
    /// `leadgraph_live_missed_total`: clients that read too slowly.
    pub missed: IntCounter,
    /// `leadgraph_live_resumed_total`: clients that came back.
    pub resumed: IntCounter,
}

impl LiveMetrics {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            sockets: IntGauge::new("live_sockets", "WebSocket connections that are open")?,
            subscriptions: IntGauge::new(
                "live_subscriptions",
                "Subscriptions that get events as they happen",
            )?,
            frames: IntCounter::new("live_frames_total", "Results of subscriptions that were sent")?,
            missed: IntCounter::new(
                "live_missed_total",
                "Subscriptions that ended because the client read too slowly",
            )?,
            resumed: IntCounter::new("live_resumed_total", "Subscriptions that went on from a place")?,
        })
    }

    fn all(&self) -> [Box<dyn prometheus::core::Collector>; 5] {
        [
            Box::new(self.sockets.clone()),
            Box::new(self.subscriptions.clone()),
            Box::new(self.frames.clone()),
            Box::new(self.missed.clone()),
            Box::new(self.resumed.clone()),
        ]
    }
}

/// Counters of work in the background.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    /// `leadgraph_jobs_total`, by `kind` and `outcome`: `succeeded`, `failed`, `given_back` or `lost`.
    pub ended: IntCounterVec,
    /// `leadgraph_jobs_waiting`.
    pub waiting: IntGauge,
}

impl JobMetrics {
    fn new() -> prometheus::Result<Self> {
        let ended = Opts::new("jobs_total", "Jobs that were worked on, by what came of it");
        Ok(Self {
            ended: IntCounterVec::new(ended, &["kind", "outcome"])?,
            waiting: IntGauge::new("jobs_waiting", "Jobs that nobody does yet")?,
        })
    }

    fn all(&self) -> [Box<dyn prometheus::core::Collector>; 2] {
        [Box::new(self.ended.clone()), Box::new(self.waiting.clone())]
    }
}

/// The counters of one subgraph. Each has its own registry, since several may share a process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// `leadgraph_graphql_requests_total`, by `operation` and `outcome`.
    pub requests: IntCounterVec,
    /// `leadgraph_graphql_request_seconds`.
    pub seconds: Histogram,
    /// `leadgraph_sql_statements_total`, by what they are `for`: `requests` or `background`.
    pub statements: IntCounterVec,
    /// `leadgraph_events_published_total`.
    pub published: IntCounter,
    /// `leadgraph_events_applied_total`, by `type` and `outcome`: `applied`, `repeated` or `parked`.
    pub applied: IntCounterVec,
    /// `leadgraph_events_parked`: those that could not be applied and wait for somebody to look.
    pub parked: IntGauge,
    /// Live delivery.
    pub live: LiveMetrics,
    /// Work in the background.
    pub jobs: JobMetrics,
    outbox_depth: IntGauge,
    outbox_age: Gauge,
    lag: IntGauge,
}

impl Metrics {
    /// Fresh counters for the subgraph `name`.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in the program.
    pub fn new(name: &str) -> prometheus::Result<Self> {
        let labels = [("subgraph".to_owned(), name.to_owned())].into();
        let registry = Registry::new_custom(Some("leadgraph".into()), Some(labels))?;
        let requests = Opts::new("graphql_requests_total", "GraphQL requests answered");
        let requests = IntCounterVec::new(requests, &["operation", "outcome"])?;
        let buckets = prometheus::exponential_buckets(0.0005, 2.0, 18)?;
        let seconds =
            HistogramOpts::new("graphql_request_seconds", "Time to answer a GraphQL request, in seconds");
        let seconds = Histogram::with_opts(seconds.buckets(buckets))?;
        let metrics = Self {
            requests,
            seconds,
            statements: IntCounterVec::new(
                Opts::new("sql_statements_total", "SQL statements run"),
                &["for"],
            )?,
            published: IntCounter::new("events_published_total", "Events handed to the bus")?,
            applied: {
                let applied =
                    Opts::new("events_applied_total", "Events of other services that were dealt with");
                IntCounterVec::new(applied, &["type", "outcome"])?
            },
            parked: IntGauge::new("events_parked", "Events that could not be applied and were put aside")?,
            outbox_depth: IntGauge::new("outbox_depth", "Events that wait to be published")?,
            outbox_age: Gauge::new(
                "outbox_oldest_age_seconds",
                "Age of the oldest event that waits to be published",
            )?,
            lag: IntGauge::new("consumer_lag", "Events on the bus that were not dealt with yet")?,
            live: LiveMetrics::new()?,
            jobs: JobMetrics::new()?,
            registry,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        let all: [Box<dyn prometheus::core::Collector>; 9] = [
            Box::new(self.requests.clone()),
            Box::new(self.seconds.clone()),
            Box::new(self.statements.clone()),
            Box::new(self.published.clone()),
            Box::new(self.applied.clone()),
            Box::new(self.parked.clone()),
            Box::new(self.outbox_depth.clone()),
            Box::new(self.outbox_age.clone()),
            Box::new(self.lag.clone()),
        ];
        let all = all.into_iter().chain(self.live.all()).chain(self.jobs.all());
        all.into_iter().try_for_each(|collector| self.registry.register(collector))
    }

    /// Adds counters of a part that not every subgraph has.
    ///
    /// # Errors
    /// When there is one of that name: a mistake in the program.
    pub fn add(&self, collector: impl prometheus::core::Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))
    }

    /// Shows what waits in the outbox: how many events, and for how many seconds the oldest.
    pub(crate) fn outbox(&self, depth: i64, age: f64) {
        self.outbox_depth.set(depth);
        self.outbox_age.set(age);
    }

    /// Shows how many events on the bus were not dealt with yet.
    pub(crate) fn lag(&self, behind: u64) {
        self.lag.set(i64::try_from(behind).unwrap_or(i64::MAX));
    }

    /// All counters as text.
    ///
    /// # Errors
    /// When a counter cannot be written as text, which a registered one can.
    pub fn text(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
