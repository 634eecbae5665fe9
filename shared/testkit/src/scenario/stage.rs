//! Where a scenario is played: a service on a database of its own, reached as its clients reach it.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use events::LocalBus;
use reqwest::{Client, StatusCode};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, FromQueryResult, Statement,
};
use serde_json::{Value, json};
use subgraph::{Clock, Config, Random, Role, Running, Subgraph};
use tempfile::TempDir;

use super::event::{Told, deliver};
use super::step::{Kind, Step};
use crate::{Service, TestDatabase, TestKeys, binary, free_port};

/// Signs the calls between the service under test and its peers.
const SERVICE_KEY: &str = "the service key of the tests, long enough for anybody";

/// When every scenario begins.
fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_478_400, 0).expect("2026-01-15T12:00:00Z")
}

/// The services that the one under test asks, with demo data.
#[derive(Debug)]
pub(crate) struct Peers {
    /// Each with the flag that says where it is.
    running: Vec<(String, Service)>,
}

impl Peers {
    /// Starts what `subgraph` asks, as processes of their own.
    pub(crate) async fn start(subgraph: &Subgraph) -> Self {
        let declared = subgraph.config_from(["--port", "0"]).expect("a subgraph's own flags").peers;
        let mut running = Vec::new();
        for name in declared.keys() {
            let port = free_port();
            let mut flags = common_flags(Path::new("data"), port);
            flags.push("--demo=true".into());
            let mut service = Service::spawn(binary(name), flags, [("", ""); 0]);
            service.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
            running.push((format!("--{name}-url=http://127.0.0.1:{port}/graphql"), service));
        }
        Self { running }
    }
}

/// What nobody's environment may change.
fn common_flags(data_dir: &Path, port: u16) -> Vec<String> {
    vec![
        "--environment=development".into(),
        "--listen-addr=127.0.0.1".into(),
        "--migrate-on-start=true".into(),
        format!("--data-dir={}", data_dir.display()),
        format!("--port={port}"),
        format!("--service-key={SERVICE_KEY}"),
        // Nothing answers there: keys come from the data folder alone
        format!("--jwks-url=http://127.0.0.1:{}/", free_port()),
    ]
}

/// A service under test.
pub(crate) struct Stage {
    url: String,
    client: Client,
    clock: Clock,
    sql: DatabaseConnection,
    running: Running,
    steps: usize,
    folder: TempDir,
}

impl Stage {
    /// Starts `subgraph` on an empty database or one with its demo data, at the beginning of all scenarios.
    pub(crate) async fn set(subgraph: &Subgraph, database: &TestDatabase, peers: &Peers, demo: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("leadgraph-scenario-").tempdir().expect("a folder");
        TestKeys::shared().install(folder.path(), subgraph.name());
        let clock = Clock::fixed(beginning());
        let config = Config { demo: Some(demo), ..config(subgraph, database, peers, folder.path()) };
        let running = subgraph.start_with(config, clock.clone(), Random::seeded(1)).await;
        let running = running.unwrap_or_else(|error| panic!("{} does not start: {error:#}", subgraph.name()));
        let client = Client::builder().timeout(Duration::from_mins(1)).no_proxy().build();
        Self {
            url: format!("http://{}/graphql", running.addr),
            client: client.expect("a client without special options"),
            clock,
            sql: connect(subgraph.name(), database).await,
            running,
            steps: 0,
            folder,
        }
    }

    /// What a step answers, as it stands in the snapshot.
    pub(crate) async fn play(&mut self, step: &Step) -> Result<String, String> {
        self.clock.advance(step.advance);
        self.steps += 1;
        let backend = self.sql.get_database_backend();
        let text = step.rendered(backend)?;
        match step.kind {
            Kind::Operation(role) => self.operation(role, &text).await.map_err(|error| error.to_string()),
            Kind::Sql => self.sql(&text).await.map_err(|error| error.to_string()),
            Kind::Event => self.event(&text).await.map_err(|error| format!("{error:#}")),
        }
    }

    async fn operation(&self, role: Option<Role>, query: &str) -> reqwest::Result<String> {
        // Ids that the service draws must not depend on how often it was asked
        let request = self.client.post(&self.url).header("x-request-id", format!("step-{}", self.steps));
        let request = match role {
            Some(role) => request.bearer_auth(TestKeys::shared().mint(role, user(role), beginning())),
            None => request,
        };
        let response = request.json(&json!({ "query": query })).send().await?;
        let status = response.status();
        let answer = shown(response.json().await?);
        Ok(if status == StatusCode::OK { answer } else { format!("HTTP {status}\n{answer}") })
    }

    /// The rows of a question, or how many rows any other statement changed.
    async fn sql(&self, sql: &str) -> Result<String, sea_orm::DbErr> {
        let words = sql.trim_start().get(..6).unwrap_or_default();
        if !words.eq_ignore_ascii_case("select") {
            let done = self.sql.execute_unprepared(sql).await?;
            return Ok(format!("{} rows", done.rows_affected()));
        }
        let statement = Statement::from_string(self.sql.get_database_backend(), sql);
        let mut rows = Value::find_by_statement(statement).all(&self.sql).await?;
        rows.iter_mut().for_each(open_envelope);
        rows.iter_mut().for_each(Value::sort_all_objects);
        let lines: Vec<_> = rows.iter().map(ToString::to_string).collect();
        Ok(if lines.is_empty() { "(no rows)".into() } else { lines.join("\n") })
    }

    /// What the service made of something that happened now, in another service or in itself.
    async fn event(&self, text: &str) -> anyhow::Result<String> {
        let text: String = text.lines().filter(|line| !line.starts_with('#')).collect();
        let told: Told = serde_json::from_str(&text)?;
        let envelope = told.envelope(self.steps, self.clock.now())?;
        let bus = LocalBus::open(&self.folder.path().join("events.sqlite")).await?;
        deliver(&envelope, &bus, &self.sql).await
    }

    /// Stops the service, so that nobody is connected when the database is removed.
    pub(crate) async fn strike(self) {
        self.running.stop().await.expect("the server stops");
        self.sql.close().await.expect("the connection closes");
    }
}

/// Fails for a table that differs from its entity, on an empty database.
pub(crate) async fn check_tables(subgraph: &Subgraph, database: &TestDatabase, peers: &Peers) {
    let folder = tempfile::Builder::new().prefix("leadgraph-tables-").tempdir().expect("a folder");
    let config = config(subgraph, database, peers, folder.path());
    let endpoint = subgraph.prepare(config, Clock::fixed(beginning()), Random::seeded(1)).await;
    let endpoint = endpoint.unwrap_or_else(|error| panic!("{} does not start: {error:#}", subgraph.name()));
    let checked = subgraph.check_tables(&endpoint).await;
    endpoint.service().db.close().await;
    checked.unwrap_or_else(|error| panic!("{:?}: {error:#}; is a migration missing?", database.backend()));
}

fn config(subgraph: &Subgraph, database: &TestDatabase, peers: &Peers, data_dir: &Path) -> Config {
    let own = ["--demo=false".to_owned(), format!("--database-url={}", database.url())];
    let peers = peers.running.iter().map(|(flag, _)| flag.clone());
    let flags = common_flags(data_dir, 0).into_iter().chain(own).chain(peers);
    let config = subgraph.config_from(flags).expect("a subgraph's own flags");
    // The bus of a stage is the file in its folder
    Config { nats_url: None, ..config }
}

async fn connect(schema: &str, database: &TestDatabase) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1).sqlx_logging(false);
    if database.backend() == DbBackend::Postgres {
        options.set_schema_search_path(format!("{schema},public"));
    }
    Database::connect(options).await.expect("the database that the service uses")
}

/// The user that each role has in scenarios.
fn user(role: Role) -> i32 {
    match role {
        Role::Admin => 1,
        Role::Manager => 2,
        Role::SalesRep => 3,
    }
}

/// An answer as it stands in the snapshot, without what differs between runs: reference ids and signatures.
fn shown(mut answer: Value) -> String {
    for error in answer.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(reference) = error["extensions"]["reference"].as_str().map(str::to_owned) {
            replace(error, &|text| {
                text.contains(&reference).then(|| text.replace(&reference, "[reference]"))
            });
        }
    }
    let is_token = |text: &str| text.starts_with("eyJ") && text.split('.').count() == 3;
    replace(&mut answer, &|text| is_token(text).then(|| "[token]".to_owned()));
    // In one order, whether or not some crate in the build asks serde_json to keep theirs
    answer.sort_all_objects();
    format!("{answer:#}")
}

/// An event as JSON instead of as text, where a row has one.
fn open_envelope(row: &mut Value) {
    let Some(column) = row.get_mut("envelope") else { return };
    if let Some(event) = column.as_str().and_then(|text| serde_json::from_str(text).ok()) {
        *column = event;
    }
}

/// Replaces every text in a value for which there is something else.
fn replace(value: &mut Value, other: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => *text = other(text).unwrap_or_else(|| std::mem::take(text)),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, other)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, other)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_shown_as_what_it_is() {
        let mut row = json!({ "kind": "x", "envelope": "{\"id\":1}" });
        open_envelope(&mut row);
        assert_eq!(row, json!({ "kind": "x", "envelope": { "id": 1 } }));
        let mut broken = json!({ "envelope": "no event" });
        open_envelope(&mut broken);
        assert_eq!(broken, json!({ "envelope": "no event" }));
    }

    #[test]
    fn what_differs_between_runs_is_not_shown() {
        let error = json!({ "message": "Internal error, reference 0a", "extensions": { "reference": "0a" } });
        let shown = shown(
            json!({ "data": { "login": { "token": "eyJh.eyJp.c2ln", "id": "0a" } }, "errors": [error] }),
        );
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["errors"][0]["message"], "Internal error, reference [reference]");
        assert_eq!(shown["errors"][0]["extensions"]["reference"], "[reference]");
        assert_eq!(shown["data"]["login"], json!({ "token": "[token]", "id": "0a" }));
        assert_eq!(super::shown(json!({ "data": null })), "{\n  \"data\": null\n}");
    }
}
