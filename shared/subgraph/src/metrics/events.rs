//! Counters of events on their way: out of the outbox, and in from the bus.

use super::Boxed;
use chrono::{DateTime, Utc};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts};

/// Counters of events on their way.
#[derive(Clone, Debug)]
pub struct EventMetrics {
    /// `leadgraph_events_published_total`.
    pub published: IntCounter,
    /// `leadgraph_events_applied_total`, by `type` and `outcome`: `applied`, `repeated` or `parked`.
    pub applied: IntCounterVec,
    /// `leadgraph_events_parked`: those that could not be applied and wait for somebody to look.
    pub parked: IntGauge,
    outbox_depth: IntGauge,
    outbox_age: Gauge,
    lag: IntGauge,
    read_at: Gauge,
}

impl EventMetrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let applied = Opts::new("events_applied_total", "Events of other services that were dealt with");
        Ok(Self {
            published: IntCounter::new("events_published_total", "Events handed to the bus")?,
            applied: IntCounterVec::new(applied, &["type", "outcome"])?,
            parked: IntGauge::new("events_parked", "Events that could not be applied and were put aside")?,
            outbox_depth: IntGauge::new("outbox_depth", "Events that wait to be published")?,
            outbox_age: Gauge::new(
                "outbox_oldest_age_seconds",
                "Age of the oldest event that waits to be published",
            )?,
            lag: IntGauge::new("consumer_lag", "Events on the bus that were not dealt with yet")?,
            read_at: Gauge::new(
                "consumer_read_timestamp_seconds",
                "When the bus was last read without a fault, in seconds since 1970",
            )?,
        })
    }

    pub(super) fn all(&self) -> Vec<Boxed> {
        let Self { published, applied, parked, outbox_depth, outbox_age, lag, read_at } = self.clone();
        vec![
            Box::new(published),
            Box::new(applied),
            Box::new(parked),
            Box::new(outbox_depth),
            Box::new(outbox_age),
            Box::new(lag),
            Box::new(read_at),
        ]
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

    /// Shows that nothing keeps the service from reading the bus.
    pub(crate) fn read(&self, now: DateTime<Utc>) {
        self.read_at.set((now - DateTime::UNIX_EPOCH).as_seconds_f64());
    }
}
