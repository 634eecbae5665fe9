//! The services' databases: for rows that nothing in the system writes yet, and to see that nothing changed.

use std::collections::BTreeMap;

use sea_orm::DbBackend;
use serde_json::Value;

use super::{ROUTER, SERVICES, Supergraph};
use crate::acceptance::System;

/// The tables of one service.
const SQLITE_TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
const POSTGRES_TABLES: &str =
    "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()";

impl Supergraph {
    /// Which databases these are.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.databases.backend()
    }

    /// Runs a statement in the database of a service; how many rows it changed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn execute(&self, service: &str, sql: &str) -> u64 {
        self.databases.execute(service, sql).await
    }

    /// The rows that a question to the database of a service gives.
    ///
    /// # Panics
    /// When it fails.
    pub async fn rows(&self, service: &str, sql: &str) -> Vec<Value> {
        let rows = self.databases.rows(service, sql).await;
        rows.unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
    }

    /// How many rows there are `FROM` what is given: a table, with a condition or not.
    ///
    /// # Panics
    /// When the database does not say.
    pub async fn count(&self, service: &str, from: &str) -> i64 {
        self.databases.count(service, from).await
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

    /// This system, for the steps of [`crate::acceptance`].
    ///
    /// # Panics
    /// When the log of events cannot be opened.
    pub async fn system(&self) -> System<'_> {
        let bus = self.bus.get_or_init(async || {
            events::open(None, self.data_dir())
                .await
                .unwrap_or_else(|error| panic!("the log of events: {error}"))
        });
        System {
            router: self.url(ROUTER),
            live: format!("http://127.0.0.1:{}", self.port("notifications")),
            databases: &self.databases,
            bus: bus.await,
            http: self.client.clone(),
        }
    }

    /// Waits until every service knows what happened in the others.
    ///
    /// # Panics
    /// When that takes longer than half a minute: a service does not run.
    pub async fn settled(&self) {
        self.system().await.settled().await;
    }
}
