//! SQL statements as spans: made when they have ended, of what the database's driver measured.

use super::{Tracer, sending::Sending};
use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer as _},
};
use sea_orm::{DbBackend, metric::Info};
use std::time::SystemTime;

/// Characters of a statement; the longest are inserts of many rows.
const MAX_TEXT: usize = 2_000;

/// Adds a statement that has ended to the trace it is a part of, if that is recorded.
pub(crate) fn ended(info: &Info<'_>) {
    if !Context::map_current(|cx| cx.span().span_context().is_sampled()) {
        return;
    }
    let cx = Context::current();
    let Some(Sending { tracer, .. }) = cx.get::<Tracer>().and_then(Tracer::sends) else { return };
    let end = SystemTime::now();
    let system = match info.statement.db_backend {
        DbBackend::Postgres => "postgresql",
        DbBackend::Sqlite => "sqlite",
        _ => "other_sql",
    };
    let attributes = vec![
        KeyValue::new("db.system.name", system),
        KeyValue::new("db.query.text", without_values(&info.statement.sql)),
    ];
    let span = tracer.span_builder("db.query").with_kind(SpanKind::Client).with_attributes(attributes);
    let mut span = tracer.build_with_context(span.with_start_time(end - info.elapsed), &cx);
    if info.failed {
        span.set_status(Status::error(""));
    }
    span.end_with_timestamp(end);
}

/// The text of a statement, in which everything between apostrophes is a question mark. Values from outside are never
/// in it: this keeps to itself what may get there by mistake.
fn without_values(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len().min(MAX_TEXT));
    for (index, part) in sql.split('\'').enumerate() {
        if text.len() >= MAX_TEXT {
            break;
        }
        text.push_str(if index % 2 == 0 { part } else { "?" });
    }
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_apostrophes_is_not_told() {
        assert_eq!(without_values("SELECT \"a\" FROM b WHERE c = $1"), "SELECT \"a\" FROM b WHERE c = $1");
        assert_eq!(
            without_values("WHERE a = 'x' AND b = 'it''s ü' ORDER BY 1"),
            "WHERE a = ? AND b = ?? ORDER BY 1"
        );
        assert_eq!(without_values("WHERE a = 'no end"), "WHERE a = ?");
    }

    #[test]
    fn a_long_statement_is_cut() {
        let long = format!("INSERT INTO t VALUES ({})", "$1, ü".repeat(1_000));
        let cut = without_values(&long);
        assert!((1_990..=MAX_TEXT).contains(&cut.len()) && long.starts_with(&cut));
    }
}
