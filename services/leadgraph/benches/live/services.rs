//! The services as the product starts them: all in one process, or each in its own.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use futures_util::future::select_all;
use leadgraph::services;
use std::{path::Path, str::FromStr, time::SystemTime};
use subgraph::{
    Role,
    telemetry::{self, LogFormat},
};
use tempfile::TempDir;
use testkit::{PortRow, Service, TestKeys};

const SERVICE_KEY: &str = "the service key of the bench, long enough for anybody";

/// A service and its port, as `leads:4002`.
#[derive(Clone)]
pub struct Listener {
    name: String,
    port: u16,
}

impl FromStr for Listener {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, port) = text.split_once(':').context("say NAME:PORT")?;
        Ok(Self { name: name.into(), port: port.parse()? })
    }
}

/// Runs services in this process, for ever.
pub async fn run(listeners: Vec<Listener>) -> Result<()> {
    telemetry::init(LogFormat::Text, "warn,leadgraph=info");
    let mut running = Vec::new();
    for Listener { name, port } in &listeners {
        for service in services::named(Some(name))? {
            running.push(service.start(service.config_from([format!("--port={port}")])?).await?);
        }
    }
    let ends = running.iter_mut().map(|service| Box::pin(service.ended()));
    bail!("a service ended: {:#}", select_all(ends).await.0)
}

/// Services in processes of their own. Dropping it ends them.
pub struct Fleet {
    processes: Vec<Service>,
    ports: Vec<(&'static str, u16)>,
    folder: TempDir,
}

impl Fleet {
    /// All services in one process, over SQLite and the local bus.
    pub async fn embedded() -> Self {
        let mut fleet = Self::new();
        let all: Vec<_> = fleet.ports.iter().map(listener).collect();
        fleet.start(&all, &[]).await;
        fleet
    }

    /// Every service in a process of its own, over these servers.
    pub async fn networked(postgres: String, nats: String) -> Self {
        let mut fleet = Self::new();
        let servers = [("DATABASE_URL", postgres), ("NATS_URL", nats)];
        for index in 0..fleet.ports.len() {
            let one = listener(&fleet.ports[index]);
            fleet.start(&[one], &servers).await;
        }
        fleet
    }

    /// One service alone, over SQLite and the local bus.
    pub async fn alone(name: &str) -> Self {
        let mut fleet = Self::new();
        fleet.ports.retain(|(other, _)| *other == name);
        let one = listener(&fleet.ports[0]);
        fleet.start(&[one], &[]).await;
        fleet
    }

    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("leadgraph-bench-").tempdir();
        let folder = folder.expect("a temporary folder");
        let ports: Vec<_> =
            services::all().iter().map(subgraph::Subgraph::name).zip(PortRow::free().all().skip(1)).collect();
        for (name, _) in &ports {
            TestKeys::shared().install(folder.path(), name);
        }
        Self { processes: Vec::new(), ports, folder }
    }

    async fn start(&mut self, listeners: &[String], servers: &[(&str, String)]) {
        let program = std::env::current_exe().expect("the bench knows its own file");
        let args = std::iter::once("services").chain(listeners.iter().map(String::as_str));
        let mut environment = vec![
            ("LEADGRAPH_DATA_DIR".to_owned(), self.folder.path().display().to_string()),
            ("LEADGRAPH_DEMO".to_owned(), "false".to_owned()),
            ("SERVICE_KEY".to_owned(), SERVICE_KEY.to_owned()),
        ];
        environment.extend(servers.iter().map(|(name, url)| ((*name).to_owned(), url.clone())));
        environment.extend(
            self.ports.iter().map(|(name, port)| (format!("{}_URL", name.to_uppercase()), url(*port))),
        );
        let mut process = Service::spawn(program, args, environment);
        for listener in listeners {
            let port = listener.rsplit_once(':').expect("a listener has a port").1;
            process.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        }
        self.processes.push(process);
    }

    /// Where a service answers.
    pub fn url(&self, name: &str) -> String {
        let found = self.ports.iter().find(|(other, _)| *other == name);
        url(found.expect("a service of the product").1)
    }

    /// Where a service lets clients subscribe.
    pub fn live_url(&self, name: &str) -> String {
        self.url(name).replacen("http", "ws", 1)
    }

    /// The folder of the SQLite files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The first process.
    pub fn process(&self) -> u32 {
        self.processes[0].id()
    }
}

fn listener((name, port): &(&'static str, u16)) -> String {
    format!("{name}:{port}")
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/graphql")
}

/// A token that every service takes.
pub fn token() -> String {
    TestKeys::shared().mint(Role::Admin, 1, DateTime::<Utc>::from(SystemTime::now()))
}
