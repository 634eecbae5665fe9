//! The service as a process of its own, and its database.

use anyhow::{Context, Result};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, FromQueryResult, Statement,
};
use std::fs;
use subgraph::{Clock, Role};
use tempfile::TempDir;
use testkit::{Service, TestKeys, free_port, servers::Postgres};

/// The flags of the service.
pub fn flags(folder: &TempDir, port: u16, database: &str) -> Vec<String> {
    let nobody = || format!("http://127.0.0.1:{}/graphql", free_port());
    vec![
        format!("--port={port}"),
        "--demo=false".into(),
        "--environment=production".into(),
        "--rate-limit-user=off".into(),
        "--service-key=the service key of the bench, long enough for anybody".into(),
        format!("--data-dir={}", folder.path().display()),
        format!("--database-url={database}"),
        format!("--leads-url={}", nobody()),
        format!("--interactions-url={}", nobody()),
        format!("--jwks-url={}", nobody()),
    ]
}

/// A folder with keys that the service trusts.
pub fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("leadgraph-bench-").tempdir()?;
    TestKeys::shared().install(folder.path(), "scoring");
    Ok(folder)
}

/// A manager's token.
pub fn token() -> String {
    testkit::mint(Role::Manager, 2, Clock::System.now())
}

/// A server as an operator has it.
pub async fn postgres() -> Result<Postgres> {
    let mut server = Postgres::start().await;
    let admin = Database::connect(server.url()).await?;
    admin.execute_unprepared("ALTER SYSTEM SET shared_buffers = '512MB'").await?;
    admin.close().await?;
    server.restart().await;
    Ok(server)
}

/// A running service. Dropping it ends it.
pub struct Product {
    process: Service,
    port: u16,
    pub sql: DatabaseConnection,
    _folder: TempDir,
}

impl Product {
    /// Starts it on this database, or on a file of its own.
    pub async fn start(database: Option<&str>) -> Result<Self> {
        let (folder, port) = (folder()?, free_port());
        let file = format!("sqlite://{}?mode=rwc", folder.path().join("scoring.sqlite").display());
        let database = database.unwrap_or(&file);
        let program = env!("CARGO_BIN_EXE_scoring");
        let mut process = Service::spawn(program, flags(&folder, port, database), [("RUST_LOG", "warn")]);
        process.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        Ok(Self { process, port, sql: connect(database).await?, _folder: folder })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/graphql", self.port)
    }

    /// Runs a statement beside it.
    pub async fn execute(&self, sql: &str) -> Result<()> {
        execute(&self.sql, sql).await
    }

    /// The rows that a statement gives.
    pub async fn rows<T: FromQueryResult>(&self, sql: &str) -> Result<Vec<T>> {
        let statement = Statement::from_string(self.sql.get_database_backend(), sql);
        Ok(T::find_by_statement(statement).all(&self.sql).await?)
    }

    /// Brings statistics and visibility up to date, and writes all pages.
    pub async fn settle(&self) -> Result<()> {
        if self.sql.get_database_backend() == DbBackend::Postgres {
            for table in ["lead_view", "interaction_view", "lead_score", "score_change"] {
                self.execute(&format!("VACUUM (ANALYZE) {table}")).await?;
            }
            return self.execute("CHECKPOINT").await;
        }
        self.execute("ANALYZE").await?;
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)").await
    }

    /// Its resident memory in MB, and the most that it has been since [`Product::forget_peak`].
    pub fn memory(&self) -> Result<(f64, f64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            kib.map(|kib| kib * 1024.0 / 1e6).with_context(|| format!("no {name}"))
        };
        Ok((value("VmRSS:")?, value("VmHWM:")?))
    }

    /// Makes the most that it has been what it is now.
    pub fn forget_peak(&self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5")
            .context("cannot reset the peak of memory")
    }
}

/// Connects to a service's database.
pub async fn connect(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    if url.starts_with("postgres") {
        options.set_schema_search_path("scoring,public");
        options.map_sqlx_postgres_opts(|it| it.options([("jit", "off")]));
    }
    Ok(Database::connect(options).await?)
}

/// Runs a statement.
pub async fn execute(db: &DatabaseConnection, sql: &str) -> Result<()> {
    db.execute_unprepared(sql).await.with_context(|| sql.to_owned())?;
    Ok(())
}
