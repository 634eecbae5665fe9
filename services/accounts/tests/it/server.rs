//! A running service with a clock that stands still.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectOptions, Database, DbBackend, FromQueryResult, Statement};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use subgraph::{Clock, Random, Running};
use tempfile::TempDir;
use testkit::TestDatabase;

/// The demo user, who is an administrator.
pub(crate) const ADMIN: (&str, &str) = ("test@example.com", "password");

/// A running service.
pub(crate) struct Server {
    running: Running,
    clock: Clock,
    client: reqwest::Client,
    folder: TempDir,
    database: String,
    backend: DbBackend,
}

/// What signing in gave.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

/// Runs a test on each database, with demo data.
pub(crate) async fn on_both(test: impl AsyncFn(&Server)) {
    for database in TestDatabase::both() {
        let server = Server::start(&database, &["--demo", "true"]).await.unwrap();
        test(&server).await;
        server.stop().await;
    }
}

/// The start of every test.
pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_478_400, 0).unwrap()
}

impl Server {
    /// Starts the service on a database, in a data folder of its own.
    pub(crate) async fn start(database: &TestDatabase, flags: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data_dir = folder.path().display().to_string();
        let own = ["--data-dir", &data_dir, "--port", "0", "--database-url", database.url()];
        let subgraph = accounts::subgraph();
        let config = subgraph.config_from(own.iter().chain(flags).copied())?;
        let clock = Clock::fixed(noon());
        let running = subgraph.start_with(config, clock.clone(), Random::System).await?;
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).no_proxy().build()?;
        let (database, backend) = (database.url().to_owned(), database.backend());
        Ok(Self { running, clock, client, folder, database, backend })
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await.unwrap();
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr)
    }

    /// The whole answer to an operation.
    pub(crate) async fn ask(&self, token: &str, query: &str) -> Value {
        let request = self.client.post(self.url("/graphql")).json(&json!({ "query": query }));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        request.send().await.unwrap().json().await.unwrap()
    }

    /// The data of an operation that must succeed.
    pub(crate) async fn data(&self, token: &str, query: &str) -> Value {
        let mut answer = self.ask(token, query).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].take()
    }

    /// The code of the error that an operation must end with.
    pub(crate) async fn code(&self, token: &str, query: &str) -> String {
        let answer = self.ask(token, query).await;
        answer["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{query}: {answer}"))
            .to_owned()
    }

    pub(crate) async fn login(&self, (email, password): (&str, &str)) -> Tokens {
        let data = self.data("", &login(email, password)).await;
        tokens(&data["login"])
    }

    /// Creates a user with the password `12345678`, and gives the id.
    pub(crate) async fn create_user(&self, admin: &str, email: &str, role: &str) -> String {
        let input = format!("{{email: \"{email}\", role: {role}, password: \"12345678\"}}");
        let data = self.data(admin, &format!("mutation {{ createUser(input: {input}) {{ id }} }}")).await;
        data["createUser"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn update_user(&self, admin: &str, input: &str) -> Value {
        self.ask(admin, &format!("mutation {{ updateUser(input: {{{input}}}) {{ id name role active }} }}"))
            .await
    }

    /// Whether the service takes the token.
    pub(crate) async fn takes(&self, token: &str) -> bool {
        let answer = self.ask(token, "{ users { id } }").await;
        match answer["errors"][0]["extensions"]["code"].as_str() {
            None => true,
            Some("UNAUTHENTICATED") => false,
            Some(_) => panic!("{answer}"),
        }
    }

    pub(crate) async fn jwks(&self) -> Value {
        self.client.get(self.url("/.well-known/jwks.json")).send().await.unwrap().json().await.unwrap()
    }

    /// The rows of a SELECT, each as JSON.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Value> {
        let mut options = ConnectOptions::new(&self.database);
        options.max_connections(1).sqlx_logging(false);
        if self.backend == DbBackend::Postgres {
            options.set_schema_search_path("accounts,public");
        }
        let db = Database::connect(options).await.unwrap();
        let rows =
            Value::find_by_statement(Statement::from_string(self.backend, sql)).all(&db).await.unwrap();
        db.close().await.unwrap();
        rows
    }
}

pub(crate) fn login(email: &str, password: &str) -> String {
    let fields = "token refreshToken expiresAt user { id email name role active createdAt }";
    format!("mutation {{ login(input: {{email: \"{email}\", password: \"{password}\"}}) {{ {fields} }} }}")
}

pub(crate) fn refresh(token: &str) -> String {
    format!(
        "mutation {{ refreshToken(refreshToken: \"{token}\") {{ token refreshToken user {{ id role }} }} }}"
    )
}

pub(crate) fn tokens(payload: &Value) -> Tokens {
    let text = |field: &str| payload[field].as_str().unwrap().to_owned();
    Tokens { token: text("token"), refresh_token: text("refreshToken") }
}
