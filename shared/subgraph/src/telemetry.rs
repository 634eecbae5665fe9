//! Logs: readable lines in development, JSON in production.

use crate::config::Environment;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging for the whole process; `RUST_LOG` wins over `default_filter`. A second call does
/// nothing.
pub fn init(environment: Environment, default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let logs = logs.with_ansi(std::io::stderr().is_terminal());
    let started = match environment {
        Environment::Development => logs.compact().try_init(),
        Environment::Production => logs.json().try_init(),
    };
    drop(started);
}
