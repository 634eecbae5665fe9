//! A fresh database for one test, on SQLite or PostgreSQL.

use std::env;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::SystemTime;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr};
use tempfile::TempDir;

/// Names the server on which [`TestDatabase::postgres`] creates databases; set by `with-servers`.
pub(crate) const POSTGRES_VARIABLE: &str = "LEADGRAPH_TEST_POSTGRES";

/// An empty database of the test's own, removed when this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    storage: Storage,
}

/// What has to be removed.
#[derive(Debug)]
enum Storage {
    Folder { _held_until_drop: TempDir },
    Database { name: String, server: String },
}

impl TestDatabase {
    /// A file in a temporary folder, created by the first connection.
    ///
    /// # Panics
    /// When there is no room for a temporary folder.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder =
            tempfile::Builder::new().prefix("leadgraph-sqlite-").tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display());
        Self { url, storage: Storage::Folder { _held_until_drop: folder } }
    }

    /// A new database on the server of the test run.
    ///
    /// # Panics
    /// When the tests run without that server, or it refuses.
    #[must_use]
    pub fn postgres() -> Self {
        let server = server();
        let name = unique_name();
        // From template0, which nobody can be connected to: a connection to the template makes it fail
        administer(&server, format!("CREATE DATABASE {name} TEMPLATE template0"))
            .unwrap_or_else(|error| panic!("no new database on {server}: {error}"));
        let url = format!("{}/{name}", server.rsplit_once('/').expect("the server's URL names a database").0);
        Self { url, storage: Storage::Database { name, server } }
    }

    /// One of each kind, for a test that must hold on both. Each is created when its turn comes.
    pub fn both() -> impl Iterator<Item = Self> {
        [Self::sqlite, Self::postgres].into_iter().map(|create| create())
    }

    /// Where it is, as `DATABASE_URL` takes it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Which kind it is, for messages and for what differs.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        match self.storage {
            Storage::Folder { .. } => DbBackend::Sqlite,
            Storage::Database { .. } => DbBackend::Postgres,
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Storage::Database { name, server } = &self.storage
            // The server goes away with the test run: what stays behind is not worth a second panic
            && let Err(error) = administer(server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        {
            eprintln!("database {name} is left behind: {error}");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "set by with-servers for the tests alone; no configuration of the product"
)]
fn server() -> String {
    env::var(POSTGRES_VARIABLE).unwrap_or_else(|_| {
        panic!(
            "{POSTGRES_VARIABLE} is not set: run ./test, which starts a PostgreSQL for the tests and stops it"
        )
    })
}

/// Unlike any name that another thread, process or earlier run on the same server takes.
fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_micros();
    format!("test_{since}_{}_{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Runs one statement on a thread and runtime of its own, so that it works inside a runtime and in `drop`.
fn administer(server: &str, statement: String) -> Result<(), DbErr> {
    let mut options = ConnectOptions::new(server);
    options.max_connections(1).sqlx_logging(false);
    let run = async move {
        let connection = Database::connect(options).await?;
        connection.execute_unprepared(&statement).await?;
        connection.close().await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    thread::spawn(move || runtime.block_on(run)).join().expect("the statement's thread does not panic")
}
