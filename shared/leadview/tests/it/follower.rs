//! A service that does nothing but follow leads, and asks about those it does not know.

use async_graphql::{EmptyMutation, EmptySubscription, Object};
use events::{Event, contract::LeadRemoved};
use leadview::{Entity, LeadView, Model};
use sea_orm::EntityTrait;
use subgraph::{
    Caller, Change, Clock, Config, Consumer, Endpoint, Policy, Random, Received, Role, Service, Subgraph,
};
use tempfile::TempDir;
use testkit::{TestDatabase, binary, free_port};

/// Signs the calls to the leads service.
const SERVICE_KEY: &str = "--service-key=the service key of the tests, long enough for anybody";

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// What a lead is called.
    async fn name(&self) -> &'static str {
        "follower"
    }
}

/// The subgraph, which owns no tables of its own.
pub fn subgraph() -> Subgraph {
    let policy = Policy::default().read(Role::SalesRep, &["name"]);
    leadview::follow(
        Subgraph::new::<Query, EmptyMutation, EmptySubscription, migrations::scoring::Migrator>(
            "follower", 4010, policy,
        )
        .peer("leads", 4002),
    )
}

/// The leads service, with demo data.
pub struct Leads {
    process: testkit::Service,
    port: u16,
}

impl Leads {
    pub async fn start() -> Self {
        let port = free_port();
        let flags = [
            "--demo=true".to_owned(),
            "--data-dir=data".into(),
            format!("--port={port}"),
            SERVICE_KEY.into(),
        ];
        let mut process = testkit::Service::spawn(binary("leads"), flags, [("", ""); 0]);
        process.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        Self { process, port }
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// The follower on a database, in a folder of its own.
pub struct Follower {
    pub folder: TempDir,
    pub config: Config,
}

impl Follower {
    /// One that finds the leads service there, or nobody.
    pub fn new(database: &TestDatabase, leads: Option<&Leads>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = leads.map_or_else(free_port, |leads| leads.port);
        let flags = [
            "--port=0".to_owned(),
            "--demo=false".into(),
            SERVICE_KEY.into(),
            format!("--data-dir={}", folder.path().display()),
            format!("--database-url={}", database.url()),
            format!("--leads-url=http://127.0.0.1:{port}/graphql"),
        ];
        let config = Config { nats_url: None, ..subgraph().config_from(flags).unwrap() };
        Self { folder, config }
    }

    /// Over its database, without reading the bus.
    pub async fn prepare(&self) -> Endpoint {
        subgraph().prepare(self.config.clone(), Clock::System, Random::System).await.unwrap()
    }
}

/// Applies an event.
pub async fn apply<E: Event>(service: &Service, event: E)
where
    LeadView: Consumer<E>,
{
    let mut change = begin(service).await;
    let (id, at) = (service.random.uuid(change.at()), change.at());
    LeadView::apply(&mut change, &Received { event, id, at, batch: None }).await.unwrap();
    finish(change).await;
}

/// Removes the lead with this id.
pub async fn remove(service: &Service, id: i32) {
    apply(service, LeadRemoved { id, version: 9 }).await;
}

pub async fn begin(service: &Service) -> Change {
    Change::begin(service, &Caller::system()).await.unwrap()
}

pub async fn finish(mut change: Change) {
    change.record("test.done", 1, &()).unwrap();
    change.finish(()).await.unwrap();
}

/// What the view has of a lead.
pub async fn seen(service: &Service, id: i32) -> Option<Model> {
    Entity::find_by_id(id).one(service.db.read()).await.unwrap()
}
