//! Some of the services as processes of their own, on one data folder and without the router.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use reqwest::Client;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, FromQueryResult, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Service, TestDatabase, binary, free_port};

/// What takes longer than this does not happen, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// The services and what they share.
pub struct Stand {
    // Before what they use
    running: BTreeMap<&'static str, Service>,
    ports: BTreeMap<&'static str, u16>,
    more: Vec<(String, String)>,
    folder: TempDir,
    database: Option<TestDatabase>,
}

impl Stand {
    /// Starts these services with demo data, on SQLite unless there is a database, with more settings.
    pub async fn start(
        names: &[&'static str],
        database: Option<TestDatabase>,
        more: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("leadgraph-stand-").tempdir().expect("a folder");
        let ports = names.iter().map(|name| (*name, free_port())).collect();
        let more = more.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut stand = Self { running: BTreeMap::new(), ports, more, folder, database };
        for name in names {
            stand.run(name).await;
        }
        stand
    }

    /// Starts a service, again if it runs, and waits until it is ready.
    pub async fn run(&mut self, name: &'static str) {
        drop(self.running.remove(name));
        let port = self.ports[name];
        let environment = self.environment().into_iter().chain([("PORT".into(), port.to_string())]);
        let mut service = Service::spawn(binary(name), ["serve"], environment);
        service.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        self.running.insert(name, service);
    }

    /// Ends a service as a power cut would.
    pub fn kill(&mut self, name: &str) {
        self.running.get_mut(name).expect("it was started").kill();
    }

    /// Where a service answers.
    pub fn address(&self, name: &str) -> String {
        format!("127.0.0.1:{}/graphql", self.ports[name])
    }

    /// The folder of the SQLite files and the bus.
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.more.clone();
        environment.push(("LEADGRAPH_DATA_DIR".into(), self.folder.path().display().to_string()));
        environment.push(("LEADGRAPH_DEMO".into(), "true".into()));
        environment.extend(self.database.as_ref().map(|it| ("DATABASE_URL".into(), it.url().to_owned())));
        for (name, port) in &self.ports {
            environment
                .push((format!("{}_URL", name.to_uppercase()), format!("http://127.0.0.1:{port}/graphql")));
        }
        if let Some(port) = self.ports.get("accounts") {
            let keys = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
            environment.push(("JWKS_URL".into(), keys));
        }
        environment
    }

    /// Runs `leadgraph` with the settings that the services have.
    pub fn leadgraph(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadgraph"));
        command.args(args).env_clear().envs(self.environment());
        command.output().expect("the program runs")
    }

    /// What `leadgraph` prints when it succeeds.
    pub fn says(&self, args: &[&str]) -> String {
        let output = self.leadgraph(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Asks a service for what must succeed; the answer's `data`.
    pub async fn data(&self, name: &str, token: &str, query: &str) -> Value {
        let client = Client::builder().timeout(DEADLINE).no_proxy().build().expect("a client");
        let request = client.post(format!("http://{}", self.address(name))).bearer_auth(token);
        let answer = request.json(&json!({ "query": query })).send().await.expect("an answer");
        let mut answer: Value = answer.json().await.expect("JSON");
        assert!(answer.get("errors").is_none(), "{query}: {answer:#}");
        answer["data"].take()
    }

    /// A token of the demo administrator.
    pub async fn admin(&self) -> String {
        let login =
            r#"mutation { login(input: { email: "test@example.com", password: "password" }) { token } }"#;
        let data = self.data("accounts", "", login).await;
        data["login"]["token"].as_str().expect("a token").to_owned()
    }

    /// Creates a lead with this last name; its id.
    pub async fn create_lead(&self, token: &str, last_name: &str) -> String {
        let input = format!(
            r#"{{ firstName: "Jo", lastName: "{last_name}", email: "{}@example.org" }}"#,
            last_name.to_lowercase()
        );
        let data =
            self.data("leads", token, &format!("mutation {{ createLead(input: {input}) {{ id }} }}")).await;
        data["createLead"]["id"].as_str().expect("an id").to_owned()
    }

    /// The database of a service.
    pub async fn database(&self, name: &str) -> DatabaseConnection {
        let url = match &self.database {
            Some(database) => database.url().to_owned(),
            None => format!("sqlite://{}", self.folder.path().join(name).with_extension("sqlite").display()),
        };
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        if self.database.is_some() {
            options.set_schema_search_path(name.to_owned());
        }
        Database::connect(options).await.expect("the database of a service")
    }
}

/// The rows that a question gives.
pub async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<Value> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    Value::find_by_statement(statement).all(db).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
