//! All containers: `docker compose up`, and what befalls them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use events::Bus;
use tempfile::TempDir;
use testkit::acceptance::System;
use testkit::stack::Databases;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use crate::container::Container;
use crate::names::Names;
use crate::place::{Network, Place};
use crate::resolved::{Condition, Entry, Resolved};

/// In a debug build on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);
/// The first container's number in the network.
const FIRST: u8 = 10;

/// All containers. Dropping this ends them.
#[derive(Debug)]
pub struct Containers {
    // Before what they use
    all: Vec<Container>,
    names: Names,
    databases: Databases,
    bus: OnceCell<Arc<dyn Bus>>,
    http: reqwest::Client,
    _network: Network,
    _folder: TempDir,
}

impl Containers {
    /// Everything that is needed, and nothing started; of `scaled` there are three.
    pub async fn new(resolved: &Resolved, scaled: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("leadgraph-containers-").tempdir().expect("a folder");
        // PostgreSQL's account has to get through
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a folder of one's own");
        let network = Network::claim();
        let names = Names::start(network.names()).await;
        let all = containers(resolved, scaled, &network, folder.path());
        let databases = Databases::postgres(&superuser(&all));
        let http = reqwest::Client::builder().timeout(Duration::from_secs(70)).no_proxy().build();
        let http = http.expect("a client without special options");
        Self { all, names, databases, bus: OnceCell::new(), http, _network: network, _folder: folder }
    }

    /// `docker compose up --wait`: each starts when those it waits for are as far, and at last all are healthy.
    pub async fn up(&mut self) {
        let mut waiting: Vec<String> = self.all.iter().map(|it| it.name.clone()).collect();
        let start = Instant::now();
        while !waiting.is_empty() {
            for name in std::mem::take(&mut waiting) {
                if self.may_start(&name).await { self.start(&name) } else { waiting.push(name) }
            }
            assert!(start.elapsed() < UP_WITHIN, "these wait for ever: {waiting:?}");
            sleep(POLL).await;
        }
        self.healthy().await;
    }

    async fn may_start(&mut self, name: &str) -> bool {
        let needs = self.named(name).entry.depends_on.clone();
        for (needed, dependency) in needs {
            let needed = self.named(&needed);
            let so = match dependency.condition {
                Condition::ServiceCompletedSuccessfully => needed.has_succeeded().await,
                Condition::ServiceHealthy => needed.is_healthy().await,
            };
            if !so {
                return false;
            }
        }
        true
    }

    /// Waits until all are healthy that are meant to run. Those that end are started again, as the engine does it.
    pub async fn healthy(&mut self) {
        let start = Instant::now();
        loop {
            let sick = self.sick().await;
            if sick.is_empty() {
                return;
            }
            assert!(start.elapsed() < UP_WITHIN, "these do not get well: {sick:?}");
            sleep(POLL).await;
        }
    }

    async fn sick(&mut self) -> Vec<String> {
        let lasting = self.all.iter().filter(|it| it.entry.restart == "unless-stopped");
        let lasting: Vec<_> = lasting.map(|it| it.name.clone()).collect();
        let mut sick = Vec::new();
        for name in lasting {
            if !self.named(&name).is_running() {
                self.start(&name);
            }
            if !self.named(&name).is_healthy().await {
                sick.push(name);
            }
        }
        sick
    }

    fn start(&mut self, name: &str) {
        self.named(name).start();
        let container = self.get(name);
        self.names.add(&container.service, container.address());
    }

    /// Ends one at once. It is started again by [`Containers::healthy`] alone.
    pub fn kill(&mut self, name: &str) {
        self.named(name).kill();
        let container = self.get(name);
        self.names.remove(&container.service, container.address());
    }

    /// Ends all at once, as a power cut would.
    pub fn kill_all(&mut self) {
        let names: Vec<_> = self.all.iter().map(|it| it.name.clone()).collect();
        for name in &names {
            self.kill(name);
        }
    }

    pub fn named(&mut self, name: &str) -> &mut Container {
        let found = self.all.iter_mut().find(|container| container.name == name);
        found.unwrap_or_else(|| panic!("there is no container {name}"))
    }

    pub fn get(&self, name: &str) -> &Container {
        let found = self.all.iter().find(|container| container.name == name);
        found.unwrap_or_else(|| panic!("there is no container {name}"))
    }

    /// What a container answers to a GET; nothing when it does not.
    pub async fn fetch(&self, name: &str, port: u16, path: &str) -> Option<String> {
        let url = format!("http://{}:{port}{path}", self.get(name).address());
        self.http.get(url).send().await.ok()?.error_for_status().ok()?.text().await.ok()
    }

    /// The system, as it is reached through the ports that are published.
    pub async fn system(&self) -> System<'_> {
        let broker = self.get("accounts").environment().into_iter().find(|(name, _)| name == "NATS_URL");
        let broker = broker.expect("NATS_URL").1;
        let open = || async { events::open(Some(&broker), Path::new("/")).await.expect("the bus opens") };
        System {
            router: format!("http://{}:4000/graphql", self.get("router").address()),
            live: format!("http://{}:4006", self.get("live").address()),
            databases: &self.databases,
            bus: self.bus.get_or_init(open).await,
            http: self.http.clone(),
        }
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        if thread::panicking() {
            for container in &self.all {
                let log = container.log();
                let lines: Vec<_> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(20)..].join("\n");
                eprintln!("== the log of {}\n{end}", container.name);
            }
        }
    }
}

/// Each container at an address of its own, with its volumes in folders and copies of what is mounted.
fn containers(resolved: &Resolved, scaled: &str, network: &Network, folder: &Path) -> Vec<Container> {
    let replicas = |service: &str| if service == scaled { 1..=3 } else { 1..=1 };
    let names = resolved.services.keys().flat_map(|service| {
        replicas(service).map(move |number| match number {
            1 => (service.clone(), service.clone()),
            _ => (format!("{service}-{number}"), service.clone()),
        })
    });
    let placed: Vec<_> = names.zip(FIRST..).map(|(names, number)| (names, network.host(number))).collect();
    let others: Vec<_> = placed.iter().map(|((name, _), address)| (name.clone(), *address)).collect();
    let container = |((name, service), address): ((String, String), _)| {
        let entry = resolved.services[&service].clone();
        let mut place = Place::new(network, address, &others);
        mount(&mut place, &entry, &name, folder);
        Container::new(name, &service, entry, place)
    };
    placed.into_iter().map(container).collect()
}

fn mount(place: &mut Place, entry: &Entry, name: &str, folder: &Path) {
    let copies = folder.join("mounts").join(name);
    fs::create_dir_all(&copies).expect("a folder");
    for volume in &entry.volumes {
        let [source, target, _] = volume.split(':').collect::<Vec<_>>()[..] else {
            panic!("{volume} is no volume")
        };
        if source.starts_with('/') {
            place.mount_copy(Path::new(source), target, &copies);
        } else {
            place.mount_volume(target, folder.join("volumes").join(source));
        }
    }
    place.settle();
}

/// The address of the database for whoever looks into all schemas.
fn superuser(containers: &[Container]) -> String {
    let postgres = containers.iter().find(|it| it.name == "postgres").expect("postgres");
    let given: BTreeMap<_, _> = postgres.environment().into_iter().collect();
    let (user, password, database) =
        (&given["POSTGRES_USER"], &given["POSTGRES_PASSWORD"], &given["POSTGRES_DB"]);
    format!("postgres://{user}:{password}@{}:5432/{database}", postgres.address())
}
