//! The services' databases: for rows that nothing in the system writes yet, and to see that nothing changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use events::cursor;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, FromQueryResult, Statement,
};
use serde_json::Value;
use tokio::time::sleep;

use super::{SERVICES, Supergraph};
use crate::process::POLL;

/// Longer than what follows from anything that a test does.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// The tables of one service.
const SQLITE_TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
const POSTGRES_TABLES: &str =
    "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()";

impl Supergraph {
    /// Which databases these are.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        if self.database.is_some() { DbBackend::Postgres } else { DbBackend::Sqlite }
    }

    /// The database of a service, as its `DATABASE_URL` takes it.
    #[must_use]
    pub fn database_url(&self, service: &str) -> String {
        match &self.database {
            Some(database) => database.url().to_owned(),
            None => format!(
                "sqlite://{}?mode=rw",
                self.data_dir().join(service).with_extension("sqlite").display()
            ),
        }
    }

    /// Runs a statement in the database of a service; how many rows it changed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn execute(&self, service: &str, sql: &str) -> u64 {
        let done = self.sql(service).await.execute_unprepared(sql).await;
        done.unwrap_or_else(|error| panic!("{service}: {sql}: {error}")).rows_affected()
    }

    /// The rows that a question to the database of a service gives.
    ///
    /// # Panics
    /// When it fails.
    pub async fn rows(&self, service: &str, sql: &str) -> Vec<Value> {
        let statement = Statement::from_string(self.backend(), sql);
        let rows = Value::find_by_statement(statement).all(self.sql(service).await).await;
        rows.unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
    }

    /// How many rows there are `FROM` what is given: a table, with a condition or not.
    ///
    /// # Panics
    /// When the database does not say.
    pub async fn count(&self, service: &str, from: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {from}");
        // JSON has no column whose type SQLite does not declare
        let row = self.sql(service).await.query_one_raw(Statement::from_string(self.backend(), &sql)).await;
        let row = row.unwrap_or_else(|error| panic!("{service}: {sql}: {error}")).expect("a count is a row");
        row.try_get_by_index(0).unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
    }

    /// How many rows each table of each service has, audit logs included: the same before and after something
    /// that changed nothing. First it waits for what follows from what happened before.
    ///
    /// # Panics
    /// When a database does not say, or a service does not run.
    pub async fn row_counts(&self) -> BTreeMap<String, i64> {
        self.settled().await;
        let tables = if self.database.is_some() { POSTGRES_TABLES } else { SQLITE_TABLES };
        let mut counts = BTreeMap::new();
        for service in SERVICES {
            for table in self.rows(service, tables).await {
                let table = table["name"].as_str().expect("a table has a name");
                counts.insert(format!("{service}.{table}"), self.count(service, table).await);
            }
        }
        counts
    }

    /// Waits until every service knows what happened in the others.
    ///
    /// # Panics
    /// When that takes longer than half a minute: a service does not run.
    pub async fn settled(&self) {
        let start = Instant::now();
        while let Some(who) = self.under_way().await {
            assert!(start.elapsed() < SETTLED_WITHIN, "{who} is not up to date");
            sleep(POLL).await;
        }
    }

    /// A service that has something to publish, or to read.
    async fn under_way(&self) -> Option<&'static str> {
        for service in SERVICES {
            if self.count(service, "outbox WHERE published_at IS NULL").await > 0 {
                return Some(service);
            }
        }
        let end = self.end_of_log().await;
        for service in SERVICES {
            let read = format!("bus_cursor WHERE name = '{}' AND position >= {end}", cursor::READ_FROM);
            if end > 0 && self.count(service, &read).await == 0 {
                return Some(service);
            }
        }
        // What they did about it may be published by now
        (self.end_of_log().await > end).then_some("the last of them")
    }

    async fn end_of_log(&self) -> i64 {
        let url = format!("sqlite://{}?mode=rw", self.data_dir().join("events.sqlite").display());
        let mut options = ConnectOptions::new(url);
        let log = Database::connect(options.max_connections(1).sqlx_logging(false).clone()).await;
        let log = log.unwrap_or_else(|error| panic!("the log of events: {error}"));
        let end = Statement::from_string(DbBackend::Sqlite, "SELECT coalesce(max(position), 0) FROM log");
        let end = log.query_one_raw(end).await.expect("the log of events").expect("a row");
        log.close().await.expect("the log closes");
        end.try_get_by_index(0).expect("a number")
    }

    /// The literal of a UUID, which the databases write differently.
    #[must_use]
    pub fn uuid(&self, uuid: &str) -> String {
        match self.backend() {
            DbBackend::Sqlite => format!("x'{}'", uuid.replace('-', "")),
            _ => format!("'{uuid}'"),
        }
    }

    async fn sql(&self, service: &str) -> &DatabaseConnection {
        let connect = || async {
            let mut options = ConnectOptions::new(self.database_url(service));
            options.max_connections(1).sqlx_logging(false);
            if self.database.is_some() {
                options.set_schema_search_path(service);
            }
            Database::connect(options)
                .await
                .unwrap_or_else(|error| panic!("the database of {service}: {error}"))
        };
        self.member(service).sql.get_or_init(connect).await
    }
}
