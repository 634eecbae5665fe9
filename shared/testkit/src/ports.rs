//! Ports for the whole system in one process.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// How many rows there are to choose from.
const ROWS: u16 = 2_000;

/// Ports in a row as `leadgraph up` takes them: the router's, the six services' and the health check's.
#[derive(Clone, Copy, Debug)]
pub struct PortRow {
    /// What `--port-offset` is told.
    pub offset: u16,
}

impl PortRow {
    /// A row that is free now. It lies below the ports that the system gives to anybody, so that it stays free.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Tests in other processes begin elsewhere
        let first = u16::try_from(process::id() % u32::from(ROWS)).unwrap_or_default();
        let rows = std::iter::repeat_with(|| (first + NEXT.fetch_add(1, Ordering::Relaxed)) % ROWS);
        let rows = rows.take(ROWS.into()).map(|row| Self { offset: 1_000 + 10 * row });
        rows.into_iter().find(|row| row.all().all(is_free)).expect("a row of free ports")
    }

    /// What `--port` is told.
    #[must_use]
    pub fn router(self) -> u16 {
        4_000 + self.offset
    }

    /// What `--health-port` is told.
    #[must_use]
    pub fn health(self) -> u16 {
        4_007 + self.offset
    }

    /// What `leadgraph up` is told, over this data folder.
    #[must_use]
    pub fn up(self, data: &Path) -> Vec<String> {
        vec![
            "up".into(),
            format!("--data-dir={}", data.display()),
            format!("--port={}", self.router()),
            format!("--health-port={}", self.health()),
            format!("--port-offset={}", self.offset),
        ]
    }

    /// Every port of the row; the services' are the ones between.
    pub fn all(self) -> impl Iterator<Item = u16> {
        self.router()..=self.health()
    }
}

/// Whether nothing listens on this port of the loopback address.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
