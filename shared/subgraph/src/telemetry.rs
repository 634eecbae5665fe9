//! What the service tells of what it does: logs, and traces where they are asked for.
//!
//! Logs are readable lines in development and JSON in production. Traces are spans of OpenTelemetry ([`span`]), sent
//! over HTTP ([`sending`]); they go on in other services and in what is done about events ([`carried`]).

mod carried;
mod event;
mod job;
mod line;
mod request;
mod sending;
mod settings;
mod span;
mod statement;

pub(crate) use carried::{Carried, remote, remote_of};
pub(crate) use event::{Delivery, context as context_of};
pub use opentelemetry::KeyValue;
pub(crate) use request::Answered;
pub(crate) use sending::resource;
pub use settings::{Exporter, Sampling, TelemetryConfig};
pub use span::{Span, going_on};
pub(crate) use statement::ended as statement_ended;

use clap::ValueEnum;
use sending::Sending;
use std::{io::IsTerminal, sync::Arc};
use tracing_subscriber::EnvFilter;

/// Makes the spans of one service, if they are sent anywhere. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Sending>>);

impl Tracer {
    fn sending(sending: Sending) -> Self {
        Self(Some(Arc::new(sending)))
    }

    fn sends(&self) -> Option<&Sending> {
        self.0.as_deref()
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, one object on each line.
    Json,
}

/// Starts logging for the whole process; `RUST_LOG` wins over `default_filter`. A second call does
/// nothing.
pub fn init(format: LogFormat, default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let logs = logs.with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => logs.compact().try_init(),
        LogFormat::Json => logs.json().map_event_format(line::WithTrace).try_init(),
    };
    drop(started);
}
