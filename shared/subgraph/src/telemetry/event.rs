//! Events as spans: when the bus has them, when their consequences are done, and when they are told live.

use super::{Span, Tracer, remote};
use events::{Envelope, outbox};
use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, TraceContextExt, Tracer as _},
};
use std::{sync::Arc, time::SystemTime};

impl Tracer {
    /// Adds events that were handed to the bus to the traces in which they happened.
    pub(crate) fn published(&self, rows: &[outbox::Model], since: SystemTime) {
        if self.sends().is_none() {
            return;
        }
        for row in rows {
            let Some((parent, state)) = events::trace_of(&row.envelope) else { continue };
            let attributes = vec![
                KeyValue::new("leadgraph.event.type", row.kind.clone()),
                KeyValue::new("leadgraph.event.id", row.id.to_string()),
            ];
            let cx = remote(Some(&parent), state.as_deref());
            self.ended(&cx, "event.publish", SpanKind::Producer, since, attributes);
        }
    }

    /// An attempt to do what is to be done about an event.
    pub(crate) fn applying(&self, envelope: &Envelope) -> Span {
        let span = self.work(context(envelope), "event.apply", SpanKind::Consumer);
        span.describe(|| about(envelope));
        span
    }

    /// Telling those of an event who asked the same, where the trace in which it happened is recorded.
    pub(crate) fn delivering(&self, trace: &Context, envelope: &Envelope) -> Span {
        if !trace.span().span_context().is_sampled() {
            return Span::none();
        }
        let span = self.work(trace.clone(), "live.deliver", SpanKind::Internal);
        span.describe(|| about(envelope));
        span
    }

    /// Adds something that has ended now to the trace it is a part of, if that is recorded.
    fn ended(
        &self,
        cx: &Context,
        name: &'static str,
        kind: SpanKind,
        since: SystemTime,
        attributes: Vec<KeyValue>,
    ) {
        let Some(sending) = self.sends() else { return };
        if cx.span().span_context().is_sampled() {
            let span = sending.tracer.span_builder(name).with_kind(kind).with_start_time(since);
            sending.tracer.build_with_context(span.with_attributes(attributes), cx).end();
        }
    }
}

/// The trace in which an event happened.
pub(crate) fn context(envelope: &Envelope) -> Context {
    remote(envelope.traceparent.as_deref(), envelope.tracestate.as_deref())
}

fn about(envelope: &Envelope) -> Vec<KeyValue> {
    vec![
        KeyValue::new("leadgraph.event.type", envelope.kind.clone()),
        KeyValue::new("leadgraph.event.id", envelope.id.to_string()),
        KeyValue::new("leadgraph.event.subject", envelope.subject.clone()),
    ]
}

/// An event on its way to a subscriber, whose trace is told when it has been written.
#[derive(Clone, Debug)]
pub(crate) struct Delivery(Arc<(Context, SystemTime)>);

impl Delivery {
    /// What was delivered now, if that is recorded.
    pub fn of(span: &Span) -> Option<Self> {
        span.recorded().map(|cx| Self(Arc::new((cx.clone(), SystemTime::now()))))
    }

    /// So many bytes of it were written to a socket.
    pub fn written(&self, bytes: usize) {
        let (cx, since) = &*self.0;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if let Some(tracer) = cx.get::<Tracer>() {
            let attributes = vec![KeyValue::new("leadgraph.bytes", bytes)];
            tracer.ended(cx, "live.frame", SpanKind::Producer, *since, attributes);
        }
    }
}
