//! Requests as spans: what was asked, by the schema's words and never the client's, and what came of it.

use super::{Span, Tracer, remote_of};
use crate::caller::Actor;
use async_graphql::{ServerError, Value};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value as Attribute, trace::SpanKind};
use poem::http::HeaderMap;

/// The name of a request's span.
const REQUEST: &str = "graphql.request";

/// What was answered to whom.
pub(crate) struct Answered<'a> {
    /// `query`, `mutation`, `subscription` or `refused`.
    pub kind: &'static str,
    /// The root field as the schema has it.
    pub field: &'static str,
    /// The request's id.
    pub request: &'a str,
    /// Who asked.
    pub actor: &'a Actor,
    /// What went wrong.
    pub errors: &'a [ServerError],
}

impl Tracer {
    /// A request over HTTP, which may be a part of its sender's trace.
    pub(crate) fn request(&self, headers: &HeaderMap) -> Span {
        self.work(remote_of(headers), REQUEST, SpanKind::Server)
    }

    /// A request over a socket, which has no headers.
    pub(crate) fn message(&self) -> Span {
        self.work(Context::new(), REQUEST, SpanKind::Server)
    }
}

impl Span {
    /// Notes what was answered. A mistake of whoever asked is no failure of the service.
    pub(crate) fn answered(&self, answered: &Answered<'_>) {
        self.describe(|| attributes(answered));
        if codes(answered.errors).any(|code| matches!(code, "INTERNAL" | "UNAVAILABLE")) {
            self.fail();
        }
    }
}

fn attributes(Answered { kind, field, request, actor, errors }: &Answered<'_>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("graphql.operation.type", *kind),
        KeyValue::new("leadgraph.field", *field),
        KeyValue::new("leadgraph.outcome", if errors.is_empty() { "ok" } else { "error" }),
        KeyValue::new("leadgraph.request", (*request).to_owned()),
        KeyValue::new("leadgraph.actor", actor.to_string()),
    ];
    if !errors.is_empty() {
        let mut codes: Vec<_> = codes(errors).map(|code| StringValue::from(code.to_owned())).collect();
        codes.dedup();
        attributes.push(KeyValue::new("leadgraph.errors", Attribute::Array(Array::String(codes))));
    }
    attributes
}

fn codes(errors: &[ServerError]) -> impl Iterator<Item = &str> {
    errors.iter().filter_map(|error| match error.extensions.as_ref()?.get("code") {
        Some(Value::String(code)) => Some(code.as_str()),
        _ => None,
    })
}
