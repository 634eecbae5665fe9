//! A running service and what a test does to it.

use events::{Bus, Envelope, Event, LocalBus, contract::ScoresRecalculated, outbox};
use notifications::subgraph;
use sea_orm::{ConnectionTrait, Database, prelude::Uuid};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use subgraph::{Clock, Config, Random, Role, Running};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys, free_port, mint};

/// The service on a port of its own, with a bus that the test writes to.
pub struct Stage {
    pub port: u16,
    pub clock: Clock,
    database: TestDatabase,
    folder: TempDir,
    running: Option<Running>,
    more: Vec<String>,
    written: AtomicU64,
}

impl Stage {
    pub async fn set(database: TestDatabase) -> Self {
        let folder = tempfile::Builder::new().prefix("leadgraph-clients-").tempdir().unwrap();
        TestKeys::shared().install(folder.path(), "notifications");
        let clock = Clock::fixed(Clock::System.now());
        let (port, written) = (free_port(), AtomicU64::new(0));
        let mut stage = Self { port, clock, database, folder, running: None, more: Vec::new(), written };
        stage.start().await;
        stage
    }

    /// Starts it again with more flags.
    pub async fn restart_with(&mut self, flags: &[&str]) {
        self.stop().await;
        self.more = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.start().await;
    }

    pub async fn start(&mut self) {
        let config = self.config(self.port);
        self.running = Some(subgraph().start_with(config, self.clock.clone(), Random::System).await.unwrap());
    }

    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.unwrap();
        }
    }

    /// A second service on the same database.
    pub async fn replica(&self) -> Running {
        subgraph().start_with(self.config(0), self.clock.clone(), Random::System).await.unwrap()
    }

    fn config(&self, port: u16) -> Config {
        let flags = [
            "--environment=development".to_owned(),
            "--listen-addr=127.0.0.1".to_owned(),
            "--migrate-on-start=true".to_owned(),
            "--demo=false".to_owned(),
            format!("--data-dir={}", self.folder.path().display()),
            format!("--port={port}"),
            format!("--database-url={}", self.database.url()),
            format!("--jwks-url=http://127.0.0.1:{}/", free_port()),
        ];
        subgraph().config_from(flags.into_iter().chain(self.more.iter().cloned())).unwrap()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A token of the user with this id, whose session is the one of [`session`].
    pub fn token(&self, user: i32) -> String {
        mint(Role::Manager, user, self.clock.now())
    }

    /// Something happens in another service.
    pub async fn publish(&self, event: &impl Event) {
        self.publish_all(std::slice::from_ref(event)).await;
    }

    pub async fn publish_all(&self, events: &[impl Event]) {
        let bus = LocalBus::open(&self.folder.path().join("events.sqlite")).await.unwrap();
        let rows: Vec<_> = events.iter().map(|event| self.row(event)).collect();
        bus.append(&rows).await.unwrap();
    }

    fn row<E: Event>(&self, event: &E) -> outbox::Model {
        let id = Uuid::from_u128(self.written.fetch_add(1, Ordering::Relaxed).into());
        let envelope = Envelope::new(event, id, self.clock.now(), "user:1".into(), None).unwrap();
        let (kind, created_at, envelope) =
            (envelope.kind.clone(), envelope.time, serde_json::to_string(&envelope).unwrap());
        outbox::Model { position: 0, id, kind, envelope, created_at, published_at: None, keep_until: None }
    }

    /// Makes so many notifications; the message of each is "N leads recalculated", with N from `first` on.
    pub async fn notify(&self, first: i32, count: i32) {
        let events: Vec<_> =
            (first..first + count).map(|count| ScoresRecalculated { count, failed: 0 }).collect();
        self.publish_all(&events).await;
    }

    pub async fn graphql(&self, query: &str) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/graphql", self.url())).bearer_auth(self.token(9));
        let answer: Value =
            request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    /// The value of one of the service's metrics.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = reqwest::get(format!("{}/metrics", self.url())).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("there is no {name} in\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    pub async fn sql(&self, sql: &str) {
        let db = Database::connect(self.database.url()).await.unwrap();
        db.execute_unprepared(sql).await.unwrap();
        db.close().await.unwrap();
    }
}

/// The session of a user's tokens.
pub fn session(user: i32) -> String {
    format!("00000000-0000-7000-8000-{user:012}")
}

/// Waits until something is true, which it must be within half a minute.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it never came true: {what}");
}
