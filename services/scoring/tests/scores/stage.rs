//! The running service on a database of its own, and the bus by which it is told what happens.

use chrono::{DateTime, Utc};
use events::{Bus, Envelope, Event, LocalBus, outbox};
use reqwest::Client;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    FromQueryResult, Statement, TransactionTrait,
};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use subgraph::{Clock, Config, Random, Role, Running};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys, eventually, free_port, mint};

/// Longer than anything here takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);
const RECALCULATE: &str = "mutation { recalculateAllScores { count failed } }";

/// The service and what it uses.
pub struct Stage {
    pub clock: Clock,
    database: TestDatabase,
    folder: TempDir,
    bus: Arc<LocalBus>,
    running: Option<Running>,
    sql: DatabaseConnection,
    client: Client,
}

/// Where clocks stand that stand still.
pub fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_478_400, 0).unwrap()
}

impl Stage {
    /// The service with a clock that stands still.
    pub async fn set(database: TestDatabase) -> Self {
        Self::with(database, Clock::fixed(beginning()), &[]).await
    }

    /// The service with this clock and more flags.
    pub async fn with(database: TestDatabase, clock: Clock, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        TestKeys::shared().install(folder.path(), "scoring");
        let bus = LocalBus::open(&folder.path().join("events.sqlite")).await.unwrap();
        let mut options = ConnectOptions::new(database.url());
        options.max_connections(4).sqlx_logging(false);
        if database.backend() == DbBackend::Postgres {
            options.set_schema_search_path("scoring,public");
        }
        let sql = Database::connect(options).await.unwrap();
        let client = Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        let mut stage = Self { clock, database, folder, bus, running: None, sql, client };
        stage.start(flags).await;
        stage
    }

    /// Starts the service again after [`Stage::stop`].
    pub async fn start(&mut self, flags: &[&str]) {
        let service = scoring::subgraph();
        let running = service.start_with(self.config(flags), self.clock.clone(), Random::System).await;
        self.running = Some(running.unwrap());
    }

    /// Stops the service; its database stays.
    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop().await.unwrap();
    }

    /// Ends all of it, so that nobody is connected when the database is removed.
    pub async fn strike(mut self) {
        if self.running.is_some() {
            self.stop().await;
        }
        self.sql.close().await.unwrap();
    }

    /// Which database it is.
    pub fn backend(&self) -> DbBackend {
        self.database.backend()
    }

    /// Where the service answers.
    pub fn addr(&self) -> SocketAddr {
        self.running.as_ref().unwrap().addr
    }

    /// As the service is configured.
    pub fn config(&self, more: &[&str]) -> Config {
        let flags = self.flags(0).into_iter().chain(more.iter().map(ToString::to_string));
        Config { nats_url: None, ..scoring::subgraph().config_from(flags).unwrap() }
    }

    /// The flags of a process on this stage.
    pub fn flags(&self, port: u16) -> Vec<String> {
        let nobody = || format!("http://127.0.0.1:{}/graphql", free_port());
        vec![
            format!("--port={port}"),
            "--demo=false".into(),
            "--environment=development".into(),
            "--service-key=the service key of the tests, long enough".into(),
            format!("--data-dir={}", self.folder.path().display()),
            format!("--database-url={}", self.database.url()),
            format!("--leads-url={}", nobody()),
            format!("--interactions-url={}", nobody()),
            format!("--jwks-url={}", nobody()),
        ]
    }

    /// Asks as a manager does; takes what is not an error.
    pub async fn data(&self, query: &str) -> Value {
        self.ask(query).await
    }

    /// The same, to be waited for elsewhere.
    pub fn ask(&self, query: &str) -> impl Future<Output = Value> + Send + use<> {
        let request = self.client.post(format!("http://{}/graphql", self.addr()));
        let request = request.bearer_auth(self.token()).json(&json!({ "query": query }));
        async move {
            let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
            assert!(answer["errors"].is_null(), "{answer}");
            answer["data"].take()
        }
    }

    /// A manager's token.
    pub fn token(&self) -> String {
        mint(Role::Manager, 2, self.clock.now())
    }

    /// Recalculates; how many were saved and how many failed.
    pub fn recalculate(&self) -> impl Future<Output = (i64, i64)> + Send + use<> {
        let asked = self.ask(RECALCULATE);
        async move {
            let said = asked.await["recalculateAllScores"].take();
            (said["count"].as_i64().unwrap(), said["failed"].as_i64().unwrap())
        }
    }

    /// A statement on the service's database.
    pub async fn execute(&self, sql: &str) {
        self.sql.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The rows that a statement gives.
    pub async fn rows<T: FromQueryResult>(&self, sql: &str) -> Vec<T> {
        let rows = T::find_by_statement(Statement::from_string(self.backend(), sql)).all(&self.sql).await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The number that a statement asks for.
    pub async fn number(&self, sql: &str) -> i64 {
        let row = self.sql.query_one_raw(Statement::from_string(self.backend(), sql)).await.unwrap();
        row.unwrap().try_get_by(0).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The service's database.
    pub fn sql(&self) -> &DatabaseConnection {
        &self.sql
    }

    /// A transaction beside the service.
    pub async fn begin(&self) -> DatabaseTransaction {
        self.sql.begin().await.unwrap()
    }

    /// Until the service waits for a lock of somebody else's, on Postgres.
    pub async fn until_waiting(&self) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
        eventually("it waits", PATIENCE, async || self.number(sql).await > 0).await;
    }

    /// Until there is a number of something.
    pub async fn until(&self, sql: &str, number: i64) {
        eventually(sql, PATIENCE, async || self.number(sql).await == number).await;
    }

    /// What happened, as it goes over the bus.
    pub fn told<E: Event>(&self, event: &E) -> outbox::Model {
        let now = self.clock.now();
        let id = Random::System.uuid(now);
        let envelope = Envelope::new(event, id, now, "user:1".into(), None).unwrap();
        let envelope = serde_json::to_string(&envelope).unwrap();
        let kind = E::TYPE.into();
        outbox::Model {
            position: 0,
            id,
            kind,
            envelope,
            created_at: now,
            published_at: None,
            keep_until: None,
        }
    }

    /// Tells the service of things that happened, in this order.
    pub async fn tell(&self, events: &[outbox::Model]) {
        self.bus.append(events).await.unwrap();
    }

    /// Until so many events were told to the service altogether, and it has dealt with them.
    pub async fn dealt_with(&self, events: usize) {
        self.until("SELECT count(*) FROM inbox", i64::try_from(events).unwrap()).await;
        assert_eq!(self.number("SELECT count(*) FROM parked_event").await, 0, "an event was put aside");
    }
}
