//! The service's own database: SQLite or Postgres behind one type.

use crate::{
    config::Config,
    error::{Error, Result},
    telemetry::going_on,
};
use anyhow::Context;
use events::sqlite;
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    TransactionOptions, TransactionTrait, metric,
};
use secrecy::ExposeSecret;
use std::{sync::Arc, time::Duration};

tokio::task_local! {
    /// Set in what a service does by itself, so that its statements are not taken for those of requests.
    static BACKGROUND: ();
}

/// Marks work that no request asked for. Tasks that it spawns need a mark of their own.
pub(crate) async fn in_background<T>(work: impl Future<Output = T>) -> T {
    BACKGROUND.scope((), work).await
}

/// Whether this is part of work that no request asked for.
pub(crate) fn is_background() -> bool {
    BACKGROUND.try_with(|()| ()).is_ok()
}

/// Is told of every statement that a connection ran.
pub type StatementObserver = Arc<dyn Fn(&metric::Info<'_>) + Send + Sync>;

/// Longest time a statement may take on Postgres.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a connection or, on SQLite, for the write lock.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers of a SQLite file; there is always exactly one writer.
const SQLITE_READERS: u32 = 4;

/// Pools of one database. SQLite allows one writer at a time, so it gets a pool of its own: a
/// queue in front of the file instead of `SQLITE_BUSY` behind it.
#[derive(Clone, Debug)]
pub struct Db {
    pub(crate) read: DatabaseConnection,
    pub(crate) write: DatabaseConnection,
}

impl Db {
    /// Opens the service's database as configured.
    ///
    /// # Errors
    /// When the address is malformed or the database cannot be reached.
    pub async fn connect(
        service: &str,
        config: &Config,
        observer: Option<StatementObserver>,
    ) -> anyhow::Result<Self> {
        let url = config.database_url(service);
        let url = url.expose_secret();
        if let Some(path) = sqlite_path(url) {
            let connect = |max| on_sqlite(path, max, observer.clone());
            let write = connect(1).await.with_context(|| sqlite_help(path))?;
            let read = connect(SQLITE_READERS).await?;
            return Ok(Self { read, write });
        }
        let pool = postgres(url, service, config.database_max_connections, observer).await;
        let pool = pool.with_context(|| format!("cannot open the database of {service} on Postgres"))?;
        Ok(Self { read: pool.clone(), write: pool })
    }

    /// For reading.
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// For single statements that write.
    pub fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// Which of the two databases this is.
    pub fn backend(&self) -> DbBackend {
        self.read.get_database_backend()
    }

    /// Begins a transaction that will write. On SQLite it takes the write lock at once, since a
    /// reader that turns writer fails without waiting.
    ///
    /// Call it from a task of its own, never inside a future that a client can cancel: sqlx
    /// cancelled in `BEGIN` leaves a connection whose writes nobody else sees. Work in the background
    /// can be cancelled: there it begins in a task of its own.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        let mode = Some(SqliteTransactionMode::Immediate).filter(|_| self.backend() == DbBackend::Sqlite);
        let options = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
        let pool = self.write.clone();
        let begun = async move { pool.begin_with_options(options).await };
        if !is_background() {
            return Ok(begun.await?);
        }
        // Jobs are cancelled where they stand
        let begun = going_on(in_background(begun));
        Ok(tokio::spawn(begun).await.map_err(Error::internal)??)
    }

    /// Closes the pools, waiting for what runs.
    pub async fn close(&self) {
        for pool in [&self.read, &self.write] {
            if let Err(error) = pool.clone().close().await {
                tracing::warn!(%error, "closing the database");
            }
        }
    }
}

/// The file behind a SQLite address, or nothing for other databases.
pub(crate) fn sqlite_path(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("sqlite:")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    Some(rest.split('?').next().unwrap_or(rest))
}

fn sqlite_help(path: &str) -> String {
    format!(
        "cannot open the SQLite file {path}; check that its folder exists and can be written (LEADGRAPH_DATA_DIR)"
    )
}

async fn on_sqlite(
    path: &str,
    max: u32,
    observer: Option<StatementObserver>,
) -> anyhow::Result<DatabaseConnection> {
    sqlite::create_private(path.as_ref()).with_context(|| sqlite_help(path))?;
    let mut options = sqlite::options(path.as_ref(), max);
    options.acquire_timeout(ACQUIRE_TIMEOUT);
    open(options, observer).await
}

async fn postgres(
    url: &str,
    schema: &str,
    max: u32,
    observer: Option<StatementObserver>,
) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(max).min_connections(1).sqlx_logging(false).acquire_timeout(ACQUIRE_TIMEOUT);
    // A ping before each use would cost a round trip
    options.test_before_acquire_if_idle_for(Duration::from_secs(30));
    options.statement_timeout(STATEMENT_TIMEOUT).set_application_name(format!("leadgraph-{schema}"));
    options.set_schema_search_path(format!("{schema},public"));
    options.map_sqlx_postgres_opts(|o| {
        // The first is the second line of defence behind `Db::begin`; compiling a plan costs more than our statements
        o.options([("idle_in_transaction_session_timeout", "15s"), ("jit", "off")])
            .statement_cache_capacity(500)
    });
    open(options, observer).await
}

async fn open(
    options: ConnectOptions,
    observer: Option<StatementObserver>,
) -> anyhow::Result<DatabaseConnection> {
    let mut connection = Database::connect(options).await?;
    if let Some(observer) = observer {
        connection.set_metric_callback(move |info| observer(info));
    }
    Ok(connection)
}
