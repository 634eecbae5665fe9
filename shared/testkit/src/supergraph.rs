//! The whole system under test: the real Apollo Router over the six services, each a process of its own.

mod client;
mod log;
mod router;
mod sql;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use events::Bus;
use reqwest::Client;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::stack::Databases;
use crate::{Service, TestDatabase, binary};

pub use client::{Answer, User, code};
pub use log::{Load, RequestLog};
pub use router::router_binary;

/// The subgraphs, accounts first.
pub const SERVICES: [&str; 6] = ["accounts", "leads", "interactions", "tasks", "scoring", "notifications"];
/// What [`Supergraph::url`] takes for the router.
pub const ROUTER: &str = "router";
/// Signs the calls between the services.
pub const SERVICE_KEY: &str = "the service key of the tests, long enough for anybody";

/// One for each service, then the router's two.
type Ports = [u16; SERVICES.len() + 2];
/// Longer than the slowest answer, which the router gives up on after 65 s.
const PATIENCE: Duration = Duration::from_secs(70);

/// The running system with demo data, on databases of its own. Dropping it ends all of it.
#[derive(Debug)]
pub struct Supergraph {
    // In the order in which they have to go: nobody may use a database that is removed
    members: Vec<Member>,
    router: Service,
    router_port: u16,
    client: Client,
    databases: Databases,
    bus: OnceCell<Arc<dyn Bus>>,
    data_dir: TempDir,
    database: Option<TestDatabase>,
}

/// One service.
#[derive(Debug)]
struct Member {
    name: &'static str,
    port: u16,
    environment: Vec<(String, String)>,
    process: Service,
}

impl Supergraph {
    /// Starts everything with a SQLite file for each service.
    ///
    /// # Panics
    /// When a part does not start, or the router is not there.
    pub async fn sqlite() -> Self {
        Self::start(None, &[]).await
    }

    /// As [`Supergraph::sqlite`], where each service and the router have these variables too.
    ///
    /// # Panics
    /// As [`Supergraph::sqlite`].
    pub async fn sqlite_with(more: &[(&str, String)]) -> Self {
        Self::start(None, more).await
    }

    /// As [`Supergraph::postgres`], where each service and the router have these variables too.
    ///
    /// # Panics
    /// As [`Supergraph::postgres`].
    pub async fn postgres_with(more: &[(&str, String)]) -> Self {
        Self::start(Some(TestDatabase::postgres()), more).await
    }

    /// Starts everything on one Postgres database with a schema for each service.
    ///
    /// # Panics
    /// When a part does not start, or the router or Postgres is not there.
    pub async fn postgres() -> Self {
        Self::start(Some(TestDatabase::postgres()), &[]).await
    }

    async fn start(database: Option<TestDatabase>, more: &[(&str, String)]) -> Self {
        let data_dir = tempfile::Builder::new().prefix("leadgraph-data-").tempdir().expect("a folder");
        let ports = free_ports();
        let mut environment = environment(data_dir.path(), database.as_ref(), &ports);
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        // All at once, then wait: together they take as long as the slowest
        let members =
            SERVICES.iter().zip(&ports).map(|(name, port)| Member::start(name, *port, &environment));
        let members = members.collect();
        let [.., router_port, health_port] = ports;
        let router = router::spawn(&ports, more);
        let client = Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.expect("a client without special options");
        let databases = match &database {
            Some(database) => Databases::postgres(database.url()),
            None => Databases::sqlite(data_dir.path()),
        };
        let mut started = Self {
            members,
            router,
            router_port,
            client,
            databases,
            bus: OnceCell::new(),
            data_dir,
            database,
        };
        for member in &mut started.members {
            member.wait_ready().await;
        }
        started.router.wait_ready(&format!("http://127.0.0.1:{health_port}/health?ready")).await;
        started
    }

    /// Ends a service at once, as a power cut would.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn kill(&mut self, service: &str) {
        self.member_mut(service).process.kill();
    }

    /// Starts a service again on the same port and data; it runs and is ready afterwards.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self, service: &str) {
        let member = self.member_mut(service);
        member.process.kill();
        member.process = Service::spawn(binary(member.name), ["serve"], member.environment.clone());
        member.wait_ready().await;
    }

    /// Where GraphQL is answered: by the router ([`ROUTER`]), or by one of the [`SERVICES`] itself.
    ///
    /// # Panics
    /// When there is no such service.
    #[must_use]
    pub fn url(&self, target: &str) -> String {
        format!("http://127.0.0.1:{}/graphql", self.port(target))
    }

    /// The port of the router or of a service.
    ///
    /// # Panics
    /// When there is no such service.
    #[must_use]
    pub fn port(&self, target: &str) -> u16 {
        if target == ROUTER { self.router_port } else { self.member(target).port }
    }

    /// The folder of the SQLite files and the keys.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// What the services and the router have logged, by name.
    pub fn logs(&self) -> impl Iterator<Item = (&'static str, String)> {
        let services = self.members.iter().map(|member| (member.name, member.process.log()));
        services.chain([(ROUTER, self.router.log())])
    }

    fn member(&self, name: &str) -> &Member {
        let found = self.members.iter().find(|member| member.name == name);
        found.unwrap_or_else(|| panic!("there is no service {name}"))
    }

    fn member_mut(&mut self, name: &str) -> &mut Member {
        let found = self.members.iter_mut().find(|member| member.name == name);
        found.unwrap_or_else(|| panic!("there is no service {name}"))
    }
}

impl Drop for Supergraph {
    fn drop(&mut self) {
        if thread::panicking() {
            for (name, log) in self.logs() {
                eprintln!("== the log of {name}\n{}", crate::process::tail(&log));
            }
        }
    }
}

impl Member {
    fn start(name: &'static str, port: u16, environment: &[(String, String)]) -> Self {
        let mut environment = environment.to_owned();
        environment.push(("PORT".into(), port.to_string()));
        let process = Service::spawn(binary(name), ["serve"], environment.clone());
        Self { name, port, environment, process }
    }

    async fn wait_ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/health/ready", self.port);
        self.process.wait_ready(&url).await;
    }
}

/// One port for each service, then the router's two. All are held until all are known, so that none comes twice.
fn free_ports() -> Ports {
    let listeners: [_; SERVICES.len() + 2] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound address").port())
}

/// The same for every service: each takes what concerns it.
fn environment(data_dir: &Path, database: Option<&TestDatabase>, ports: &[u16]) -> Vec<(String, String)> {
    let mut environment = vec![
        ("LEADGRAPH_DATA_DIR".into(), data_dir.display().to_string()),
        ("LEADGRAPH_DEMO".into(), "true".into()),
        ("SERVICE_KEY".into(), SERVICE_KEY.into()),
        ("JWKS_URL".into(), format!("http://127.0.0.1:{}/.well-known/jwks.json", ports[0])),
    ];
    environment.extend(database.map(|database| ("DATABASE_URL".into(), database.url().to_owned())));
    environment.extend(subgraph_urls(ports));
    environment
}

/// Where each service answers, as they tell it each other and the router.
fn subgraph_urls(ports: &[u16]) -> impl Iterator<Item = (String, String)> {
    let url = |(name, port): (&&str, &u16)| {
        (format!("{}_URL", name.to_uppercase()), format!("http://127.0.0.1:{port}/graphql"))
    };
    SERVICES.iter().zip(ports).map(url)
}

/// Declares tests that must hold on both databases: each of these `async fn(Supergraph)` becomes
/// `sqlite::NAME` and `postgres::NAME`.
#[macro_export]
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($crate::Supergraph::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($crate::Supergraph::postgres().await).await;
            })+
        }
    };
}
