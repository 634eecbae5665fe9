//! Spans: what the service does, how long that takes, and what comes of it.
//!
//! A span is in the context in which its work runs, and so is what makes spans below it. Where nobody records the
//! trace, there are none.

use super::{Tracer, sending::Sending};
use opentelemetry::{
    Context, KeyValue,
    context::{FutureExt, WithContext},
    trace::{SpanKind, Status, TraceContextExt, Tracer as _},
};

/// A span under way. It ends with this.
#[derive(Debug)]
pub struct Span(Option<Context>);

impl Span {
    /// A part of what is going on here that asks somebody else.
    pub fn asking(name: &'static str) -> Self {
        Self::child(name, SpanKind::Client)
    }

    /// A part of what is going on here.
    pub(crate) fn child(name: &'static str, kind: SpanKind) -> Self {
        Self::below(&Context::current(), name, kind)
    }

    /// A part of what goes on there. None where that is not recorded.
    pub(crate) fn below(cx: &Context, name: &'static str, kind: SpanKind) -> Self {
        let recorded = cx.span().span_context().is_sampled();
        let tracer = recorded.then(|| cx.get::<Tracer>()).flatten();
        Self(tracer.and_then(|tracer| tracer.begin(cx, name, kind)))
    }

    /// What is not told.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Adds what there is to say about it, if it is recorded.
    pub fn describe(&self, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if let Some(cx) = self.recorded() {
            cx.span().set_attributes(attributes());
        }
    }

    /// Notes that nothing came of it.
    pub fn fail(&self) {
        if let Some(cx) = self.recorded() {
            cx.span().set_status(Status::error(""));
        }
    }

    /// Does its work. No `async fn`, which would hold the work twice: requests are large, and many.
    pub fn run<F: Future>(&self, work: F) -> WithContext<F> {
        work.with_context(self.0.clone().unwrap_or_else(Context::current))
    }

    /// The context, when it is recorded.
    pub(crate) fn recorded(&self) -> Option<&Context> {
        self.0.as_ref().filter(|cx| cx.span().span_context().is_sampled())
    }
}

/// Work that goes on with the current trace where it runs: in a task of its own.
pub fn going_on<F: Future>(work: F) -> impl Future<Output = F::Output> {
    work.with_current_context()
}

impl Drop for Span {
    fn drop(&mut self) {
        // Others may have the context still
        if let Some(cx) = &self.0 {
            cx.span().end();
        }
    }
}

impl Tracer {
    /// Work that begins here, or that somebody else asked for from theirs. Where nothing is sent, it only goes on with
    /// the trace of whoever asked.
    pub(crate) fn work(&self, parent: Context, name: &'static str, kind: SpanKind) -> Span {
        match self.begin(&parent, name, kind) {
            Some(cx) => Span(Some(cx)),
            None => Span(parent.has_active_span().then_some(parent)),
        }
    }

    /// A context with a new span in it.
    fn begin(&self, parent: &Context, name: &'static str, kind: SpanKind) -> Option<Context> {
        let Sending { tracer, .. } = self.sends()?;
        let span = tracer.build_with_context(tracer.span_builder(name).with_kind(kind), parent);
        let cx = parent.with_span(span);
        // What is not recorded has nothing below it
        let has_tracer = !cx.span().span_context().is_sampled() || cx.get::<Self>().is_some();
        Some(if has_tracer { cx } else { cx.with_value(self.clone()) })
    }
}
