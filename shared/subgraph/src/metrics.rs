//! Counters of one subgraph, in Prometheus' form.

use prometheus::{Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

/// The counters of one subgraph. Each has its own registry, since several may share a process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// `leadgraph_graphql_requests_total`, by `operation` and `outcome`.
    pub requests: IntCounterVec,
    /// `leadgraph_graphql_request_seconds`.
    pub seconds: Histogram,
    /// `leadgraph_sql_statements_total`.
    pub statements: IntCounter,
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
        let statements = IntCounter::new("sql_statements_total", "SQL statements run")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(statements.clone()))?;
        Ok(Self { registry, requests, seconds, statements })
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
