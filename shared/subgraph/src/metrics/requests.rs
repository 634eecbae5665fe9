//! Counters of requests: rate, errors and duration of each operation, and what HTTP refused before that.

use super::Boxed;
use crate::error::Error;
use async_graphql::{ServerError, Value};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

/// Counters of requests.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    /// `leadgraph_graphql_requests_total`, by `operation`, `field` and `outcome`.
    answered: IntCounterVec,
    /// `leadgraph_graphql_request_seconds`, by `field`.
    seconds: HistogramVec,
    /// `leadgraph_graphql_errors_total`, by `code`.
    errors: IntCounterVec,
    /// `leadgraph_http_errors_total`, by `status`.
    http_errors: IntCounterVec,
}

impl RequestMetrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let answered = Opts::new("graphql_requests_total", "GraphQL requests answered");
        let seconds =
            HistogramOpts::new("graphql_request_seconds", "Time to answer a GraphQL request, in seconds");
        let buckets = prometheus::exponential_buckets(0.0005, 2.0, 18)?;
        let errors = Opts::new("graphql_errors_total", "Errors in answers to GraphQL requests");
        let http_errors = Opts::new(
            "http_errors_total",
            "Answers with an HTTP status of 400 and above, whatever was asked",
        );
        let metrics = Self {
            answered: IntCounterVec::new(answered, &["operation", "field", "outcome"])?,
            seconds: HistogramVec::new(seconds.buckets(buckets), &["field"])?,
            errors: IntCounterVec::new(errors, &["code"])?,
            http_errors: IntCounterVec::new(http_errors, &["status"])?,
        };
        // There from the beginning: a rate does not see the first of what was not there before
        for code in Error::CODES {
            drop(metrics.errors.with_label_values(&[code]));
        }
        Ok(metrics)
    }

    pub(super) fn all(&self) -> Vec<Boxed> {
        let Self { answered, seconds, errors, http_errors } = self.clone();
        vec![Box::new(answered), Box::new(seconds), Box::new(errors), Box::new(http_errors)]
    }

    /// Notes an answer. `field` is the schema's name of what was asked for, never the client's word.
    pub(crate) fn answered(&self, operation: &str, field: &str, errors: &[ServerError]) {
        let outcome = if errors.is_empty() { "ok" } else { "error" };
        self.answered.with_label_values(&[operation, field, outcome]).inc();
        for code in errors.iter().filter_map(code) {
            self.errors.with_label_values(&[code]).inc();
        }
    }

    /// Notes how long an answer took, in seconds.
    pub(crate) fn took(&self, field: &str, seconds: f64) {
        self.seconds.with_label_values(&[field]).observe(seconds);
    }

    /// Notes an answer by HTTP alone.
    pub(crate) fn http_error(&self, status: poem::http::StatusCode) {
        self.http_errors.with_label_values(&[status.as_str()]).inc();
    }
}

/// The code of an error, if it is one of ours.
fn code(error: &ServerError) -> Option<&'static str> {
    let Value::String(said) = error.extensions.as_ref()?.get("code")? else { return None };
    Error::CODES.into_iter().find(|code| code == said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_codes() {
        let metrics = RequestMetrics::new().unwrap();
        let taken = || Error::conflict("taken").into_server_error();
        metrics.answered("mutation", "createThing", &[taken(), taken(), ServerError::new("?", None)]);
        assert_eq!(metrics.errors.with_label_values(&["CONFLICT"]).get(), 2);
        assert_eq!(metrics.errors.with_label_values(&["INTERNAL"]).get(), 0);
        assert_eq!(metrics.answered.with_label_values(&["mutation", "createThing", "error"]).get(), 1);
    }
}
