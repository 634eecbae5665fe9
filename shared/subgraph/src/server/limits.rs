//! How much a server lets its clients have.

use std::time::Duration;

/// The bounds of a server's connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long a connection may be silent; longer than the slowest answer.
    pub idle: Duration,
    /// How long the head of a request may take from its first byte on.
    pub head: Duration,
    /// How long requests under way and open sockets may take to finish when the server stops.
    pub grace: Duration,
    /// Connections at the same time, upgraded ones too; others wait in the system's queue.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(90),
            head: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            connections: 20_000,
        }
    }
}
