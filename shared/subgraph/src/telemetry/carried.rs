//! Traces that go on elsewhere: the headers of the W3C's Trace Context, and the attributes of events of the same name.

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::TraceContextExt,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use poem::http::{HeaderMap, HeaderName, HeaderValue};

/// Says of which trace something is a part.
pub(crate) const PARENT: &str = "traceparent";
/// What others keep beside it.
pub(crate) const STATE: &str = "tracestate";

/// A place in a trace as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The trace and the span.
    pub parent: Option<String>,
    /// What others keep beside it.
    pub state: Option<String>,
}

impl Carried {
    /// Where this work is, when it is part of a trace.
    pub fn current() -> Self {
        let mut carried = Self::default();
        Context::map_current(|cx| {
            if cx.span().span_context().is_valid() {
                TraceContextPropagator::new().inject_context(cx, &mut carried);
            }
        });
        carried
    }

    /// Adds it to the headers of a request.
    pub fn write(self, headers: &mut HeaderMap) {
        for (name, value) in [(PARENT, self.parent), (STATE, self.state)] {
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

impl Injector for Carried {
    fn set(&mut self, key: &str, value: String) {
        let value = Some(value).filter(|value| !value.is_empty());
        match key {
            PARENT => self.parent = value,
            STATE => self.state = value,
            _ => {}
        }
    }
}

/// A place in a trace as somebody else wrote it down.
struct Given<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl Extractor for Given<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            PARENT => Some(self.parent),
            STATE => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![PARENT, STATE]
    }
}

/// What others keep is kept on up to this length, as the specification asks: it goes into every event.
const MAX_STATE: usize = 512;

/// What goes on with a trace that somebody else has begun; a trace of its own, where nothing or nonsense is given.
pub(crate) fn remote(parent: Option<&str>, state: Option<&str>) -> Context {
    let cx = Context::new();
    let state = state.filter(|state| state.len() <= MAX_STATE);
    match parent {
        Some(parent) => TraceContextPropagator::new().extract_with_context(&cx, &Given { parent, state }),
        None => cx,
    }
}

/// As [`remote`], by a request's headers.
pub(crate) fn remote_of(headers: &HeaderMap) -> Context {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    remote(text(PARENT), text(STATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_carried_comes_out_again() {
        let cx = remote(Some(HERE), Some("vendor=x"));
        let _current = cx.attach();
        let carried = Carried::current();
        assert_eq!(carried, Carried { parent: Some(HERE.into()), state: Some("vendor=x".into()) });
        let mut headers = HeaderMap::new();
        carried.write(&mut headers);
        let again = remote_of(&headers);
        assert_eq!(again.span().span_context().trace_id().to_string(), &HERE[3..35]);
        assert!(again.span().span_context().is_sampled() && again.span().span_context().is_remote());
    }

    #[test]
    fn what_others_keep_is_dropped_when_it_is_long() {
        let long = format!("a={},b={}", "x".repeat(250), "y".repeat(260));
        let _current = remote(Some(HERE), Some(&long)).attach();
        assert_eq!(Carried::current(), Carried { parent: Some(HERE.into()), state: None });
    }

    #[test]
    fn nonsense_is_no_place_in_a_trace() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for nonsense in [None, Some(""), Some("00"), Some("x-y-z-w"), Some(zeros), Some(&HERE[..50])] {
            assert!(!remote(nonsense, None).span().span_context().is_valid(), "{nonsense:?}");
        }
        assert_eq!(Carried::current(), Carried::default());
    }
}
