//! `leads` as processes of their own, with telemetry and without, and a router before each.

use crate::{receiver::Receiver, turns::End};
use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use leadgraph::services;
use serde_json::{Value, json};
use std::{fs, path::Path, time::SystemTime};
use subgraph::{
    Role, stop_signal,
    telemetry::{self, LogFormat},
};
use tempfile::TempDir;
use testkit::{Service, TestKeys, free_port, supergraph::router_binary};

const SERVICE_KEY: &str = "the service key of the bench, long enough for anybody";
/// Leads in the list; as many as one mutation takes.
const LEADS: usize = 1_000;

/// Runs `leads` in this process until it is asked to stop.
pub async fn run(port: u16) -> Result<()> {
    telemetry::init(LogFormat::Text, "warn");
    let [leads] = services::named(Some("leads"))?.try_into().ok().context("there is one")?;
    let mut running = leads.start(leads.config_from([format!("--port={port}")])?).await?;
    tokio::select! {
        error = running.ended() => bail!("leads ended: {error:#}"),
        signal = stop_signal() => signal?,
    }
    running.stop().await
}

/// A folder with the database of a `leads` that has been stopped.
pub async fn seeded() -> Result<TempDir> {
    let folder = folder()?;
    TestKeys::shared().install(folder.path(), "leads");
    let mut leads = Leads::start(folder.path(), &[]).await;
    let lead = |n: usize| json!({ "firstName": "John", "lastName": format!("Doe {n}"), "email": format!("{n}@example.com"), "budget": n });
    let query = "mutation($input: [CreateLeadInput!]!) { createLeads(input: $input) { error { code } } }";
    let input = json!({ "input": (0..LEADS).map(lead).collect::<Vec<_>>() });
    let request = reqwest::Client::builder().no_proxy().build()?.post(&leads.url).bearer_auth(token());
    let answer: Value =
        request.json(&json!({ "query": query, "variables": input })).send().await?.json().await?;
    ensure!(answer["errors"].is_null(), "{answer}");
    ensure!(leads.process.terminate().await.success(), "leads does not stop:\n{}", leads.process.log());
    Ok(folder)
}

/// Two of the same.
pub struct Pair {
    with: Leads,
    without: Leads,
    _folders: [TempDir; 2],
}

impl Pair {
    /// Starts them over copies of the database in `data`.
    pub async fn start(data: &Path, receiver: &Receiver) -> Result<Self> {
        let folders = [copy(data)?, copy(data)?];
        let with = Leads::start(folders[0].path(), &sending(receiver)).await;
        let without = Leads::start(folders[1].path(), &[]).await;
        Ok(Self { with, without, _folders: folders })
    }

    /// Both of them themselves.
    pub fn services(&self) -> [End; 2] {
        [&self.with, &self.without]
            .map(|leads| End { url: leads.url.clone(), processes: vec![leads.process.id()] })
    }

    /// Puts a router before each.
    pub async fn routed(&self, receiver: &Receiver) -> Routed<'_> {
        let with = Router::start(&self.with.url, &routing(receiver)).await;
        Routed { pair: self, with, without: Router::start(&self.without.url, &[]).await }
    }
}

/// Two of the same behind a router each.
pub struct Routed<'a> {
    pair: &'a Pair,
    with: Router,
    without: Router,
}

impl Routed<'_> {
    /// Both routers.
    pub fn ends(&self) -> [End; 2] {
        let end = |router: &Router, leads: &Leads| End {
            url: router.url.clone(),
            processes: vec![router.process.id(), leads.process.id()],
        };
        [end(&self.with, &self.pair.with), end(&self.without, &self.pair.without)]
    }
}

struct Leads {
    process: Service,
    url: String,
}

impl Leads {
    async fn start(folder: &Path, more: &[(&str, String)]) -> Self {
        let port = free_port();
        let mut settings = vec![
            ("LEADGRAPH_DATA_DIR", folder.display().to_string()),
            ("LEADGRAPH_DEMO", "false".into()),
            ("SERVICE_KEY", SERVICE_KEY.into()),
        ];
        settings.extend(more.iter().cloned());
        let program = std::env::current_exe().expect("the bench knows its own file");
        let mut process = Service::spawn(program, ["leads", &port.to_string()], settings);
        process.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        Self { process, url: format!("http://127.0.0.1:{port}/graphql") }
    }
}

struct Router {
    process: Service,
    url: String,
}

impl Router {
    async fn start(leads: &str, more: &[(&str, String)]) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../router");
        let file = |name: &str| shipped.join(name).display().to_string();
        let (port, health) = (free_port(), free_port());
        let mut settings = vec![
            ("APOLLO_TELEMETRY_DISABLED", "1".to_owned()),
            ("ROUTER_LISTEN", format!("127.0.0.1:{port}")),
            ("ROUTER_HEALTH_LISTEN", format!("127.0.0.1:{health}")),
            ("ROUTER_RHAI", file("rhai")),
            ("LEADS_URL", leads.to_owned()),
        ];
        settings.extend(more.iter().cloned());
        let args = ["--config", &file("router.yaml"), "--supergraph", &file("supergraph.graphql")];
        let mut process = Service::spawn(router_binary(), args, settings);
        process.wait_ready(&format!("http://127.0.0.1:{health}/health?ready")).await;
        Self { process, url: format!("http://127.0.0.1:{port}/graphql") }
    }
}

/// What makes a service send a tenth of its traces, and its metrics often.
fn sending(receiver: &Receiver) -> [(&'static str, String); 4] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".into()),
        ("OTEL_TRACES_SAMPLER_ARG", "0.1".into()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000".into()),
    ]
}

/// What makes a router send a tenth of its traces.
fn routing(receiver: &Receiver) -> [(&'static str, String); 3] {
    [
        ("ROUTER_OTLP", "true".into()),
        ("ROUTER_OTLP_ENDPOINT", receiver.endpoint()),
        ("OTEL_TRACES_SAMPLER_ARG", "0.1".into()),
    ]
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("leadgraph-bench-").tempdir()?)
}

fn copy(data: &Path) -> Result<TempDir> {
    let copy = folder()?;
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
    }
    Ok(copy)
}

/// A token that `leads` takes.
pub fn token() -> String {
    TestKeys::shared().mint(Role::Admin, 1, DateTime::<Utc>::from(SystemTime::now()))
}
