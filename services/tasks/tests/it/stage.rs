//! The running service, on a database of its own, with what it was told of some leads.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Client;
use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, IntoActiveModel, Statement, TransactionTrait,
};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use subgraph::{Clock, Config, Random, Role, Running};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys, free_port};

/// The service, whose clock stands still.
pub struct Stage {
    pub clock: Clock,
    database: TestDatabase,
    folder: TempDir,
    running: Option<Running>,
    sql: DatabaseConnection,
    client: Client,
}

/// When all of it begins.
pub fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_478_400, 0).unwrap()
}

impl Stage {
    /// The service with these flags.
    pub async fn set(database: TestDatabase, flags: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        TestKeys::shared().install(folder.path(), "tasks");
        let clock = Clock::fixed(beginning());
        let running = start(own_flags(&database, &folder, 0), &clock, flags).await;
        let mut options = ConnectOptions::new(database.url());
        options.max_connections(1).sqlx_logging(false);
        if database.backend() == DbBackend::Postgres {
            options.set_schema_search_path("tasks,public");
        }
        let sql = Database::connect(options).await.unwrap();
        let client = Client::builder().timeout(Duration::from_mins(1)).no_proxy().build().unwrap();
        Self { clock, database, folder, running: Some(running), sql, client }
    }

    /// Stops the service and starts it again, with these flags.
    pub async fn restart(&mut self, flags: &[String]) {
        self.stop().await;
        self.resume_with(flags).await;
    }

    /// Starts the stopped service again, with these flags.
    pub async fn resume_with(&mut self, flags: &[String]) {
        self.running = Some(self.replica(flags).await);
    }

    /// Stops the service; its database stays.
    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop().await.unwrap();
    }

    /// A second one on the same database, with these flags.
    pub async fn replica(&self, flags: &[String]) -> Running {
        start(self.flags(0), &self.clock, flags).await
    }

    /// The flags of a service on this stage.
    pub fn flags(&self, port: u16) -> Vec<String> {
        own_flags(&self.database, &self.folder, port)
    }

    /// Stops the service, so that nobody is connected when the database is removed.
    pub async fn strike(mut self) {
        self.stop().await;
        self.sql.close().await.unwrap();
    }

    /// What the service was told of a lead.
    pub async fn lead(&self, id: i32, first_name: &str) {
        let row = leadview::Model {
            id,
            version: 1,
            first_name: Some(first_name.into()),
            last_name: Some("Doe".into()),
            status: Some("CONTACTED".into()),
            budget_cents: Some(1_250_050),
            has_phone: true,
            location: None,
            owner_id: None,
            created_at: Some(beginning()),
            updated_at: Some(beginning()),
            removed_at: None,
        };
        row.into_active_model().reset_all().insert(&self.sql).await.unwrap();
    }

    /// What the service was told of an interaction an hour ago, with the lead of the same id.
    pub async fn call(&self, id: i32, notes: &str) {
        let at = (self.clock.now() - TimeDelta::hours(1)).timestamp_micros();
        let (lead_id, kind, notes) = (Some(id), "CALL".into(), Some(notes.into()));
        let row = leadview::interactions::Model { id, version: 1, lead_id, kind, at, notes };
        row.into_active_model().reset_all().insert(&self.sql).await.unwrap();
    }

    /// Asks as a sales rep does; takes what is not an error.
    pub async fn data(&self, query: &str) -> Value {
        let answer = self.ask(query).await;
        assert!(answer["errors"].is_null(), "{query}: {answer}");
        answer["data"].clone()
    }

    /// Asks as a sales rep does.
    pub fn ask(&self, query: &str) -> impl Future<Output = Value> + Send + use<> {
        self.ask_at(self.running.as_ref().unwrap().addr, query)
    }

    /// The same at another replica of the service.
    pub fn ask_at(&self, addr: SocketAddr, query: &str) -> impl Future<Output = Value> + Send + use<> {
        let url = format!("http://{addr}/graphql");
        let token = TestKeys::shared().mint(Role::SalesRep, 3, beginning());
        let request = self.client.post(url).bearer_auth(token).json(&json!({ "query": query }));
        async move { request.send().await.unwrap().json().await.unwrap() }
    }

    /// A statement on the service's database.
    pub async fn execute(&self, sql: &str) {
        self.sql.execute_unprepared(sql).await.unwrap();
    }

    /// The number that a statement asks for.
    pub async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.sql.get_database_backend(), sql);
        self.sql.query_one_raw(statement).await.unwrap().unwrap().try_get_by(0).unwrap()
    }

    /// A transaction on the service's database, beside the service.
    pub async fn begin(&self) -> DatabaseTransaction {
        self.sql.begin().await.unwrap()
    }

    /// Until the service waits for a lock, on Postgres.
    pub async fn until_waiting(beside: &DatabaseTransaction) {
        let sql = "SELECT count(*), pg_stat_clear_snapshot() FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        testkit::eventually("it waits", Duration::from_secs(8), async || {
            let statement = Statement::from_string(DbBackend::Postgres, sql);
            let row = beside.query_one_raw(statement).await.unwrap().unwrap();
            row.try_get_by::<i64, _>(0).unwrap() == 1
        })
        .await;
    }

    /// Takes the tables back to before there were recommendations, while the service is stopped.
    pub async fn downgrade(&self) {
        let tasks = tasks::subgraph();
        let config = tasks.config_from(self.flags(0)).unwrap();
        assert_eq!(
            tasks.migrations().down("tasks", &config, 2).await.unwrap(),
            ["0024_job_trace", "0022_recommendation"]
        );
    }

    /// What is recommended for a lead.
    pub async fn recommended(&self, lead: i32) -> Vec<Value> {
        let query = format!("mutation {{ generateTaskRecommendations(leadId: {lead}) {TASK} }}");
        self.data(&query).await["generateTaskRecommendations"].as_array().unwrap().clone()
    }

    /// Decides on a suggestion.
    pub async fn decide(&self, task: &Value, source: &str) {
        let id = task["id"].as_str().unwrap();
        self.data(&format!("mutation {{ updateTaskSource(taskId: {id}, source: {source}) {{ id }} }}")).await;
    }

    /// Does a task.
    pub async fn complete(&self, task: &Value) {
        let id = task["id"].as_str().unwrap();
        self.data(&format!("mutation {{ completeTask(id: {id}) {{ id }} }}")).await;
    }
}

/// What tests look at.
pub const TASK: &str = "{ id title description source aiReasoning priority dueDate completed leadId }";

/// The ids of some tasks.
pub fn ids(tasks: &[Value]) -> Vec<&str> {
    tasks.iter().map(|task| task["id"].as_str().unwrap()).collect()
}

/// Whether the built-in rules made this task.
pub fn is_by_rules(task: &Value) -> bool {
    task["aiReasoning"].as_str().unwrap().starts_with("Built-in rule: ")
}

fn own_flags(database: &TestDatabase, folder: &TempDir, port: u16) -> Vec<String> {
    let nobody = || format!("http://127.0.0.1:{}/graphql", free_port());
    vec![
        format!("--port={port}"),
        "--demo=false".into(),
        "--environment=development".into(),
        "--service-key=the service key of the tests, long enough".into(),
        format!("--data-dir={}", folder.path().display()),
        format!("--database-url={}", database.url()),
        format!("--leads-url={}", nobody()),
        format!("--interactions-url={}", nobody()),
        format!("--scoring-url={}", nobody()),
        format!("--jwks-url={}", nobody()),
    ]
}

/// Whatever whoever runs the tests has in the environment.
const NO_PROVIDER: [&str; 2] = ["--openrouter-api-key=", "--llm-base-url="];

async fn start(mut flags: Vec<String>, clock: &Clock, more: &[String]) -> Running {
    let name = |flag: &str| flag.split('=').next().map(str::to_owned);
    flags.retain(|own| !more.iter().any(|other| name(other) == name(own)));
    flags.extend(if more.is_empty() { NO_PROVIDER.map(str::to_owned).to_vec() } else { more.to_vec() });
    let config = tasks::subgraph().config_from(flags).unwrap();
    let config = Config { nats_url: None, ..config };
    tasks::subgraph().start_with(config, clock.clone(), Random::System).await.unwrap()
}
