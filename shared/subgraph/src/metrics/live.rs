//! Counters of live delivery.

use super::Boxed;
use prometheus::{IntCounter, IntGauge};

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
    pub(super) fn new() -> prometheus::Result<Self> {
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

    pub(super) fn all(&self) -> Vec<Boxed> {
        let Self { sockets, subscriptions, frames, missed, resumed } = self.clone();
        vec![
            Box::new(sockets),
            Box::new(subscriptions),
            Box::new(frames),
            Box::new(missed),
            Box::new(resumed),
        ]
    }
}
