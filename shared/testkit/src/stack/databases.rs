//! The services' databases, looked into from outside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sea_orm::sqlx::{postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, FromQueryResult, SqlxPostgresConnector,
    SqlxSqliteConnector, Statement,
};

use crate::supergraph::SERVICES;

/// Where they are.
#[derive(Clone, Debug)]
enum Place {
    Server(String),
    Folder(PathBuf),
}

/// The database of each service. Connections are made when they are needed, and made again when they were lost.
#[derive(Clone, Debug)]
pub struct Databases {
    place: Place,
    pools: BTreeMap<&'static str, DatabaseConnection>,
}

impl Databases {
    /// Schemas of one Postgres database, at this address.
    ///
    /// # Panics
    /// When the address is malformed.
    #[must_use]
    pub fn postgres(url: &str) -> Self {
        let pool = |service: &str| {
            let pool = PgPoolOptions::new().min_connections(0).max_connections(4);
            let separator = if url.contains('?') { '&' } else { '?' };
            // The service's schema alone, as the service itself has it
            let url = format!("{url}{separator}options=-c%20search_path%3D{service}");
            SqlxPostgresConnector::from_sqlx_postgres_pool(pool.connect_lazy(&url).expect("an address"))
        };
        let pools = SERVICES.into_iter().map(|service| (service, pool(service))).collect();
        Self { place: Place::Server(url.to_owned()), pools }
    }

    /// SQLite files in this folder.
    ///
    /// # Panics
    /// When the folder's name is no part of an address.
    #[must_use]
    pub fn sqlite(folder: &Path) -> Self {
        let pool = |service: &str| {
            let url = format!("sqlite://{}?mode=rw", folder.join(service).with_extension("sqlite").display());
            let pool = SqlitePoolOptions::new().min_connections(0).max_connections(4);
            SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.connect_lazy(&url).expect("an address"))
        };
        let pools = SERVICES.into_iter().map(|service| (service, pool(service))).collect();
        Self { place: Place::Folder(folder.to_owned()), pools }
    }

    /// The same databases through connections of their own.
    #[must_use]
    pub fn reopened(&self) -> Self {
        match &self.place {
            Place::Server(url) => Self::postgres(url),
            Place::Folder(folder) => Self::sqlite(folder),
        }
    }

    /// Which databases these are.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        match self.place {
            Place::Server(_) => DbBackend::Postgres,
            Place::Folder(_) => DbBackend::Sqlite,
        }
    }

    /// The database of a service.
    ///
    /// # Panics
    /// When there is no such service.
    #[must_use]
    pub fn of(&self, service: &str) -> &DatabaseConnection {
        self.pools.get(service).unwrap_or_else(|| panic!("there is no service {service}"))
    }

    /// The rows that a question gives.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rows<T: FromQueryResult>(&self, service: &str, sql: &str) -> Result<Vec<T>, DbErr> {
        T::find_by_statement(Statement::from_string(self.backend(), sql)).all(self.of(service)).await
    }

    /// How many rows there are `FROM` what is given: a table, with a condition or not.
    ///
    /// # Panics
    /// When the database does not say.
    pub async fn count(&self, service: &str, from: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {from}");
        let row = self.of(service).query_one_raw(Statement::from_string(self.backend(), &sql)).await;
        let row = row.unwrap_or_else(|error| panic!("{service}: {sql}: {error}")).expect("a count is a row");
        row.try_get_by_index(0).unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
    }

    /// Runs statements; how many rows the last one changed.
    ///
    /// # Panics
    /// When one fails.
    pub async fn execute(&self, service: &str, sql: &str) -> u64 {
        let done = self.of(service).execute_unprepared(sql).await;
        done.unwrap_or_else(|error| panic!("{service}: {sql}: {error}")).rows_affected()
    }

    /// Closes all connections, so that nobody is in the way of whoever copies or removes the databases.
    ///
    /// # Panics
    /// When that fails.
    pub async fn close(&self) {
        for pool in self.pools.values() {
            pool.clone().close().await.expect("connections close");
        }
    }
}
