//! What is counted.

use crate::{completion::Usage, failure::Failure};
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};
use std::time::Duration;
use subgraph::Metrics;

/// The counters of one client.
#[derive(Debug)]
pub(crate) struct Counters {
    /// `leadgraph_llm_requests_total`, by `outcome`.
    requests: IntCounterVec,
    /// `leadgraph_llm_request_seconds`.
    seconds: Histogram,
    /// `leadgraph_llm_tokens_total`, by `kind`.
    tokens: IntCounterVec,
    /// `leadgraph_llm_breaker_state`.
    pub(crate) breaker: IntGauge,
}

impl Counters {
    /// Counters among those of a subgraph.
    pub(crate) fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let requests =
            Opts::new("llm_requests_total", "Questions to the language model, by what came of them");
        let seconds = HistogramOpts::new("llm_request_seconds", "Time for a question to the language model");
        let tokens = Opts::new("llm_tokens_total", "Tokens that the provider counted");
        let counters = Self {
            requests: IntCounterVec::new(requests, &["outcome"])?,
            seconds: Histogram::with_opts(seconds.buckets(prometheus::exponential_buckets(0.05, 2.0, 10)?))?,
            tokens: IntCounterVec::new(tokens, &["kind"])?,
            breaker: IntGauge::new(
                "llm_breaker_state",
                "0: the provider is asked, 1: one question finds out whether it works again, 2: it is left alone",
            )?,
        };
        metrics.add(counters.requests.clone())?;
        metrics.add(counters.seconds.clone())?;
        metrics.add(counters.tokens.clone())?;
        metrics.add(counters.breaker.clone())?;
        Ok(counters)
    }

    /// An answer that somebody else had asked for.
    pub(crate) fn shared(&self) {
        self.requests.with_label_values(&["shared"]).inc();
    }

    /// A question that came to its end.
    pub(crate) fn ended(&self, failure: Option<&Failure>, took: Duration) {
        self.requests.with_label_values(&[failure.map_or("answered", Failure::outcome)]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// What an answer cost.
    pub(crate) fn used(&self, usage: Usage) {
        self.tokens.with_label_values(&["prompt"]).inc_by(usage.prompt);
        self.tokens.with_label_values(&["completion"]).inc_by(usage.completion);
    }
}
