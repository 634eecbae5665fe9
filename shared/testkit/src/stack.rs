//! The six services as processes, without a router, over servers of their own: for tests that break things.
//!
//! [`Stack::networked`] has a PostgreSQL and a NATS that keep what they acknowledge; [`Stack::embedded`] has a
//! folder with SQLite files and the log of events in one more. Everything can be killed, paused and started again.

pub(crate) mod actions;
mod client;
mod databases;
mod hold;
mod replica;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;

use events::Bus;
use sea_orm::DbBackend;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::PortRow;
use crate::process::tail;
use crate::servers::{Nats, Postgres};
use crate::supergraph::{SERVICE_KEY, SERVICES};

pub use crate::settle::delivery;
pub use client::{Client, Failure};
pub use databases::Databases;
pub use hold::{Hold, Moment};
pub use replica::Replica;

/// The running services. Dropping it ends all of it.
#[derive(Debug)]
pub struct Stack {
    // In the order in which they have to go: nobody may use a database that is removed
    replicas: Vec<Replica>,
    client: Client,
    environment: Vec<(String, String)>,
    databases: Databases,
    bus: OnceCell<Arc<dyn Bus>>,
    nats_url: Option<String>,
    nats: Option<Nats>,
    postgres: Option<Postgres>,
    folder: Folder,
}

impl Stack {
    /// Starts the services over a PostgreSQL and a NATS of their own, with demo data.
    ///
    /// # Panics
    /// When a part does not start or is not installed.
    pub async fn networked() -> Self {
        let mut stack = Self::servers().await;
        stack.start_services().await;
        stack
    }

    /// As [`Stack::networked`], but NATS was never there yet: [`Nats::restart`] starts it.
    ///
    /// # Panics
    /// As [`Stack::networked`].
    pub async fn networked_without_nats() -> Self {
        let mut stack = Self::servers().await;
        stack.nats().kill();
        stack.nats().wipe();
        stack.start_services().await;
        stack
    }

    /// Starts the services over SQLite files in a temporary folder, with demo data.
    ///
    /// # Panics
    /// When a part does not start.
    pub async fn embedded() -> Self {
        let mut stack = Self::over(Folder::temporary(), None, None);
        stack.start_services().await;
        stack
    }

    /// As [`Stack::embedded`], in a folder that stays.
    ///
    /// # Panics
    /// When a part does not start.
    pub async fn embedded_in(folder: &Path) -> Self {
        let mut stack = Self::over(Folder::Lasting(folder.to_owned()), None, None);
        stack.start_services().await;
        stack
    }

    /// Starts the services over a database and a NATS of the test, with their keys in a folder that stays.
    ///
    /// # Panics
    /// When a part does not start.
    pub async fn networked_over(database: &str, nats: &str, folder: &Path) -> Self {
        let mut stack =
            Self::at(Folder::Lasting(folder.to_owned()), Some(database.into()), Some(nats.into()));
        stack.start_services().await;
        stack
    }

    async fn servers() -> Self {
        let (nats, postgres) = tokio::join!(Nats::start(), Postgres::start());
        Self::over(Folder::temporary(), Some(nats), Some(postgres))
    }

    fn over(folder: Folder, nats: Option<Nats>, postgres: Option<Postgres>) -> Self {
        let (database, nats_url) = (postgres.as_ref().map(Postgres::url), nats.as_ref().map(Nats::url));
        let mut stack = Self::at(folder, database, nats_url);
        (stack.nats, stack.postgres) = (nats, postgres);
        stack
    }

    fn at(folder: Folder, database: Option<String>, nats_url: Option<String>) -> Self {
        let ports = PortRow::free();
        let ports: Vec<_> = SERVICES.into_iter().zip(ports.all().skip(1)).collect();
        let client = Client::new(&ports);
        let databases = match &database {
            Some(url) => Databases::postgres(url),
            None => Databases::sqlite(folder.path()),
        };
        let mut environment = environment(folder.path(), &ports);
        environment.extend(database.map(|url| ("DATABASE_URL".into(), url)));
        environment.extend(nats_url.clone().map(|url| ("NATS_URL".into(), url)));
        let replicas = ports.iter().map(|(name, port)| Replica::new(name, *port, &environment));
        let replicas = replicas.collect();
        let (nats, postgres, bus) = (None, None, OnceCell::new());
        Self { replicas, client, environment, databases, bus, nats_url, nats, postgres, folder }
    }

    /// All at once, then wait: together they take as long as the slowest.
    async fn start_services(&mut self) {
        for replica in &mut self.replicas {
            replica.spawn();
        }
        for replica in &mut self.replicas {
            replica.wait_ready().await;
        }
        self.client.sign_in().await.expect("the demo login");
    }

    /// The NATS of this stack.
    ///
    /// # Panics
    /// When it has none.
    pub fn nats(&mut self) -> &mut Nats {
        self.nats.as_mut().expect("this stack has no NATS")
    }

    /// The PostgreSQL of this stack.
    ///
    /// # Panics
    /// When it has none.
    pub fn postgres(&mut self) -> &mut Postgres {
        self.postgres.as_mut().expect("this stack has no PostgreSQL")
    }

    /// Which databases these are.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.databases.backend()
    }

    /// The services' databases.
    #[must_use]
    pub fn databases(&self) -> &Databases {
        &self.databases
    }

    /// The folder of the keys, the SQLite files and the log of events.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks the services what their clients ask; may be cloned and taken to other tasks.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The process of a service; of several replicas the first one.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn replica(&mut self, service: &str) -> &mut Replica {
        let found = self.replicas.iter_mut().find(|replica| replica.name() == service);
        found.unwrap_or_else(|| panic!("there is no service {service}"))
    }

    /// Ends a service at once, as a power cut would.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn kill(&mut self, service: &str) {
        self.replica(service).kill();
    }

    /// Asks a service to end, and waits until it has.
    ///
    /// # Panics
    /// When it does not.
    pub async fn terminate(&mut self, service: &str) -> ExitStatus {
        self.replica(service).terminate().await
    }

    /// Starts a service, killed first where it runs, on the same port and data; it is ready afterwards.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self, service: &str) {
        let replica = self.replica(service);
        replica.kill();
        replica.spawn();
        replica.wait_ready().await;
    }

    /// Starts one more replica of a service on the same database; clients use all of them.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn replicate(&mut self, service: &'static str) -> &mut Replica {
        let mut replica = Replica::new(service, PortRow::free().router(), &self.environment);
        replica.spawn();
        replica.wait_ready().await;
        self.client.also(service, replica.port());
        self.replicas.push(replica);
        self.replicas.last_mut().expect("it was just added")
    }

    /// Kills the replica of a service that was added last; clients know it no longer.
    ///
    /// # Panics
    /// When it has no more than one.
    pub fn retire(&mut self, service: &str) {
        let of_service = |it: &Replica| it.name() == service;
        let (first, last) =
            (self.replicas.iter().position(of_service), self.replicas.iter().rposition(of_service));
        let index =
            last.filter(|_| first != last).unwrap_or_else(|| panic!("{service} has no other replica"));
        let mut replica = self.replicas.remove(index);
        self.client.no_longer(service, replica.port());
        replica.kill();
    }

    /// What a service says of its health; nothing when it does not answer.
    pub async fn health(&self, service: &str) -> Option<Value> {
        self.client.get(service, "/health/ready").await.and_then(|text| serde_json::from_str(&text).ok())
    }

    /// The sum of a metric over all its labels; nothing when the service does not answer or does not have it.
    pub async fn metric(&self, service: &str, name: &str) -> Option<f64> {
        let text = self.client.get(service, "/metrics").await?;
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
            rest.rsplit_once(' ')?.1.parse::<f64>().ok()
        });
        samples.reduce(|sum, value| sum + value)
    }

    /// The bus between the services, to read from it and write to it.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn bus(&self) -> &Arc<dyn Bus> {
        let url = self.nats_url.as_deref();
        let open = || async { events::open(url, self.folder()).await.expect("the bus opens") };
        self.bus.get_or_init(open).await
    }

    /// The ends of all logs, for whoever has to find out what went wrong.
    #[must_use]
    pub fn logs(&self) -> String {
        let log = |it: &Replica| {
            format!("== the log of {} on port {}\n{}\n", it.name(), it.port(), tail(&it.log()))
        };
        self.replicas.iter().map(log).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

/// Where the files are.
#[derive(Debug)]
enum Folder {
    /// It goes with the stack.
    Temporary(TempDir),
    /// It is somebody else's.
    Lasting(PathBuf),
}

impl Folder {
    fn temporary() -> Self {
        let folder = tempfile::Builder::new().prefix("leadgraph-stack-").tempdir();
        Self::Temporary(folder.expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Lasting(path) => path,
        }
    }
}

/// The same for every service: each takes what concerns it.
fn environment(folder: &Path, ports: &[(&'static str, u16)]) -> Vec<(String, String)> {
    let mut environment = vec![
        ("LEADGRAPH_DATA_DIR".into(), folder.display().to_string()),
        ("LEADGRAPH_DEMO".into(), "true".into()),
        ("SERVICE_KEY".into(), SERVICE_KEY.into()),
        ("JWKS_URL".into(), format!("http://127.0.0.1:{}/.well-known/jwks.json", ports[0].1)),
    ];
    let url = |(name, port): &(&str, u16)| {
        (format!("{}_URL", name.to_uppercase()), format!("http://127.0.0.1:{port}/graphql"))
    };
    environment.extend(ports.iter().map(url));
    environment
}
