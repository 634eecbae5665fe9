//! Counters of work in the background.

use super::Boxed;
use prometheus::{IntCounterVec, IntGauge, Opts};

/// Counters of work in the background.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    /// `leadgraph_jobs_total`, by `kind` and `outcome`: `succeeded`, `failed`, `given_back` or `lost`.
    pub ended: IntCounterVec,
    /// `leadgraph_jobs_waiting`.
    pub waiting: IntGauge,
}

impl JobMetrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let ended = Opts::new("jobs_total", "Jobs that were worked on, by what came of it");
        Ok(Self {
            ended: IntCounterVec::new(ended, &["kind", "outcome"])?,
            waiting: IntGauge::new("jobs_waiting", "Jobs that nobody does yet")?,
        })
    }

    pub(super) fn all(&self) -> Vec<Boxed> {
        let Self { ended, waiting } = self.clone();
        vec![Box::new(ended), Box::new(waiting)]
    }
}
