//! The running service, on a database of its own, with what it was told of some leads.

use chrono::{DateTime, Utc};
use leadview::interactions;
use reqwest::Client;
use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend,
    FromQueryResult, IntoActiveModel, Statement,
};
use serde_json::{Value, json};
use std::time::Duration;
use subgraph::{Clock, Config, Random, Role, Running};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys, free_port};

/// What tests look at.
pub const FIELDS: &str =
    "{ id summary summaryStale summaryWrittenAt summaryWrittenBy activityScore scoreCalculatedAt }";

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
        TestKeys::shared().install(folder.path(), "scoring");
        let clock = Clock::fixed(beginning());
        let running = start(&database, &folder, &clock, flags).await;
        let sql = connect(&database).await;
        let client = Client::builder().timeout(Duration::from_mins(1)).no_proxy().build().unwrap();
        Self { clock, database, folder, running: Some(running), sql, client }
    }

    /// Stops the service and starts it again, with these flags.
    pub async fn restart(&mut self, flags: &[String]) {
        self.running.take().unwrap().stop().await.unwrap();
        self.running = Some(start(&self.database, &self.folder, &self.clock, flags).await);
    }

    /// Stops the service, so that nobody is connected when the database is removed.
    pub async fn strike(mut self) {
        self.running.take().unwrap().stop().await.unwrap();
        self.sql.close().await.unwrap();
    }

    /// What the service was told of a lead.
    pub async fn lead(&self, id: i32) {
        lead(&self.sql, id).await;
    }

    /// What the service makes of a call an hour ago.
    pub async fn call(&self, id: i32, lead: i32, notes: &str) {
        let at = self.clock.now().timestamp_micros() - 3_600_000_000;
        let (kind, notes) = ("CALL".into(), Some(notes.into()));
        let row = interactions::Model { id, version: 1, lead_id: Some(lead), kind, at, notes };
        row.into_active_model().reset_all().insert(&self.sql).await.unwrap();
        // Ten points, as of then
        self.execute(&format!(
            "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, decayed_sum, as_of, touched, \
             model_version) VALUES ({lead}, 20, '{}', 10, {at}, 1, '1') \
             ON CONFLICT (lead_id) DO UPDATE SET touched = lead_score.touched + 1",
            self.clock.now().to_rfc3339()
        ))
        .await;
    }

    /// Writes a lead's summary; takes what is not an error.
    pub async fn summary(&self, lead: i32) -> Value {
        let query = format!("mutation {{ generateSummary(leadId: {lead}) {FIELDS} }}");
        self.data(&query).await["generateSummary"].clone()
    }

    /// What is stored about a lead.
    pub async fn shown(&self, lead: i32) -> Value {
        let query = format!(
            "{{ _entities(representations: [{{ __typename: \"Lead\", id: \"{lead}\" }}]) {{ ... on Lead {FIELDS} }} }}"
        );
        self.data(&query).await["_entities"][0].clone()
    }

    /// Asks as a manager does; takes what is not an error.
    pub async fn data(&self, query: &str) -> Value {
        let answer = self.ask(query).await;
        assert!(answer["errors"].is_null(), "{query}: {answer}");
        answer["data"].clone()
    }

    /// Asks as a manager does.
    pub fn ask(&self, query: &str) -> impl Future<Output = Value> + Send + use<> {
        let url = format!("http://{}/graphql", self.running.as_ref().unwrap().addr);
        let token = TestKeys::shared().mint(Role::Manager, 2, beginning());
        let request = self.client.post(url).bearer_auth(token).json(&json!({ "query": query }));
        async move { request.send().await.unwrap().json().await.unwrap() }
    }

    /// A statement on the service's database.
    pub async fn execute(&self, sql: &str) {
        self.sql.execute_unprepared(sql).await.unwrap();
    }

    /// The number that a statement asks for.
    pub async fn number(&self, sql: &str) -> i64 {
        number(&self.sql, sql).await
    }

    /// All that the database holds, as text.
    pub async fn all_text(&self) -> String {
        let sql = match self.sql.get_database_backend() {
            DbBackend::Postgres => {
                "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'scoring'"
            }
            _ => "SELECT name FROM sqlite_master WHERE type = 'table'",
        };
        let mut all = String::new();
        for table in self.rows(sql).await {
            let table = table["name"].as_str().unwrap().to_owned();
            all.extend([format!(
                "{table}: {}\n",
                Value::from(self.rows(&format!("SELECT * FROM {table}")).await)
            )]);
        }
        assert!(all.contains("lead_summary: [{"), "{all}");
        all
    }

    async fn rows(&self, sql: &str) -> Vec<Value> {
        let statement = Statement::from_string(self.sql.get_database_backend(), sql);
        Value::find_by_statement(statement).all(&self.sql).await.unwrap()
    }
}

/// Beside the service.
pub async fn connect(database: &TestDatabase) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1).sqlx_logging(false);
    if database.backend() == DbBackend::Postgres {
        options.set_schema_search_path("scoring,public");
    }
    Database::connect(options).await.unwrap()
}

/// The number that a statement asks for.
pub async fn number(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_one_raw(statement).await.unwrap().unwrap().try_get_by(0).unwrap()
}

/// What the service was told of a lead.
pub async fn lead(db: &DatabaseConnection, id: i32) {
    let row = leadview::Model {
        id,
        version: 1,
        first_name: Some("John".into()),
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
    row.into_active_model().reset_all().insert(db).await.unwrap();
}

/// Whether the built-in rules wrote this summary.
pub fn is_by_rules(lead: &Value) -> bool {
    let said = lead["summary"].as_str().unwrap().ends_with(" Written by built-in rules.");
    assert_eq!(said, lead["summaryWrittenBy"] == "built-in rules", "{lead}");
    said
}

async fn start(database: &TestDatabase, folder: &TempDir, clock: &Clock, flags: &[String]) -> Running {
    let nobody = || format!("http://127.0.0.1:{}/graphql", free_port());
    let own = [
        "--port=0".to_owned(),
        "--demo=false".into(),
        "--environment=development".into(),
        "--service-key=the service key of the tests, long enough".into(),
        format!("--data-dir={}", folder.path().display()),
        format!("--database-url={}", database.url()),
        format!("--leads-url={}", nobody()),
        format!("--interactions-url={}", nobody()),
        format!("--jwks-url={}", nobody()),
    ];
    let config = scoring::subgraph().config_from(own.into_iter().chain(flags.iter().cloned())).unwrap();
    let config = Config { nats_url: None, ..config };
    scoring::subgraph().start_with(config, clock.clone(), Random::System).await.unwrap()
}
