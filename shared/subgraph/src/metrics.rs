//! Counters of one subgraph: Prometheus reads them at `/metrics`, and [`push`] sends them where that is configured.

mod database;
mod events;
mod jobs;
mod live;
mod otlp;
mod process;
pub(crate) mod push;
mod requests;

pub(crate) use database::Connections;
pub use database::DatabaseMetrics;
pub use events::EventMetrics;
pub use jobs::JobMetrics;
pub use live::LiveMetrics;
pub use requests::RequestMetrics;

use prometheus::{Encoder, Registry, TextEncoder, core::Collector, proto::MetricFamily};

/// A counter, ready to be registered.
type Boxed = Box<dyn Collector>;

/// The counters of one subgraph. Each has its own registry, since several may share a process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Of the process, under the names that every program has for them.
    process: Registry,
    /// What was asked, and how it was answered.
    pub requests: RequestMetrics,
    /// What was asked of the database.
    pub database: DatabaseMetrics,
    /// Events on their way.
    pub events: EventMetrics,
    /// Live delivery.
    pub live: LiveMetrics,
    /// Work in the background.
    pub jobs: JobMetrics,
}

impl Metrics {
    /// Fresh counters for the subgraph `name`.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in the program.
    pub fn new(name: &str) -> prometheus::Result<Self> {
        let labels = || Some([("subgraph".to_owned(), name.to_owned())].into());
        let metrics = Self {
            registry: Registry::new_custom(Some("leadgraph".into()), labels())?,
            process: Registry::new_custom(None, labels())?,
            requests: RequestMetrics::new()?,
            database: DatabaseMetrics::new()?,
            events: EventMetrics::new()?,
            live: LiveMetrics::new()?,
            jobs: JobMetrics::new()?,
        };
        let Self { requests, database, events, live, jobs, .. } = &metrics;
        let all = [requests.all(), database.all(), events.all(), live.all(), jobs.all()];
        all.into_iter().flatten().try_for_each(|collector| metrics.registry.register(collector))?;
        process::register(&metrics.process)?;
        Ok(metrics)
    }

    /// Adds counters of a part that not every subgraph has.
    ///
    /// # Errors
    /// When there is one of that name: a mistake in the program.
    pub fn add(&self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))
    }

    /// All counters as text.
    ///
    /// # Errors
    /// When a counter cannot be written as text, which a registered one can.
    pub fn text(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// All counters as they are now.
    fn gather(&self) -> Vec<MetricFamily> {
        let mut families = self.registry.gather();
        families.extend(self.process.gather());
        families
    }
}
