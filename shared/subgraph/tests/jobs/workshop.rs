//! A small service whose jobs make things piece by piece. What was made is in its audit log.

use async_graphql::{EmptyMutation, EmptySubscription, Object};
use migrations::ChassisWithJobs;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, Statement,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{LazyLock, Mutex},
    time::Duration,
};
use subgraph::{
    Caller, Change, Clock, Config, Error, Policy, Random, Result, Role, Running, Service, Subgraph, audit,
    jobs::{self, Job, Model, Progress, Run},
};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys};
use tokio::runtime::Runtime;

/// What goes wrong with a job, after its first piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    #[default]
    None,
    /// It is tired after each piece.
    AfterEachPiece,
    /// It cannot begin before this attempt.
    Until(i32),
    Refused,
    Panics,
    /// It goes on only when the test lets it.
    Hangs,
}

/// Makes some pieces of one thing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Make {
    pub thing: String,
    pub pieces: i64,
    pub trouble: Trouble,
    pub key: Option<String>,
}

impl Make {
    pub fn new(thing: &str, pieces: i64) -> Self {
        Self { thing: thing.into(), pieces, ..Self::default() }
    }

    pub fn with(self, trouble: Trouble) -> Self {
        Self { trouble, ..self }
    }

    pub fn keyed(self, key: &str) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    async fn piece(&self, run: &Run, piece: i64) -> Result<()> {
        let mut change = run.change().await?;
        change.record("piece.made", format!("{}/{piece}", self.thing), &())?;
        run.commit(change, progress(piece, self.pieces)).await
    }
}

/// After this piece.
pub fn progress(piece: i64, total: i64) -> Progress {
    Progress { position: Some(piece.to_string()), done: piece, failed: 0, total: Some(total) }
}

/// The runs that hang. Names of things are the tests' own, since tests share the process.
static HANGING: LazyLock<Mutex<HashMap<String, Vec<Run>>>> = LazyLock::new(Mutex::default);
/// The things whose jobs hang no longer.
static LET_GO: LazyLock<tokio::sync::watch::Sender<Vec<String>>> =
    LazyLock::new(|| tokio::sync::watch::Sender::new(Vec::new()));

/// The runs that hang at this thing.
pub fn hanging(thing: &str) -> Vec<Run> {
    HANGING.lock().unwrap().get(thing).cloned().unwrap_or_default()
}

/// Lets the runs that hang at this thing go on.
pub fn let_go(thing: &str) {
    LET_GO.send_modify(|things| things.push(thing.into()));
}

impl Job for Make {
    const KIND: &'static str = "make";

    fn key(&self) -> Option<String> {
        self.key.clone()
    }

    async fn run(&self, run: &Run) -> Result<()> {
        if let Trouble::Until(attempt) = self.trouble
            && run.at_start().attempts < attempt
        {
            return Err(Error::Unavailable("not now".into()));
        }
        let from: i64 = run.at_start().position.as_deref().map_or(0, |position| position.parse().unwrap());
        for piece in from + 1..=self.pieces {
            self.piece(run, piece).await?;
            match self.trouble {
                Trouble::AfterEachPiece => return Err(Error::Unavailable("tired".into())),
                Trouble::Refused => return Err(Error::conflict("there is no wood")),
                Trouble::Panics => panic!("the secret of the workshop"),
                Trouble::Hangs => {
                    HANGING.lock().unwrap().entry(self.thing.clone()).or_default().push(run.clone());
                    let mut let_go = LET_GO.subscribe();
                    let_go.wait_for(|things| things.contains(&self.thing)).await.unwrap();
                }
                Trouble::None | Trouble::Until(_) => {}
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// Nothing to ask.
    async fn nothing(&self) -> bool {
        true
    }
}

/// The services that run, by their data folders.
static SERVICES: LazyLock<Mutex<HashMap<PathBuf, Service>>> = LazyLock::new(Mutex::default);

async fn show(service: Service) -> Result<()> {
    SERVICES.lock().unwrap().insert(service.config.data_dir.clone(), service);
    Ok(())
}

pub fn subgraph() -> Subgraph {
    let policy = Policy::default().read(Role::SalesRep, &["nothing"]);
    Subgraph::new::<Query, EmptyMutation, EmptySubscription, ChassisWithJobs>("workshop", 0, policy)
        .job::<Make>()
        .on_start(show)
}

/// A database, on which services can run.
pub struct Workshop {
    pub database: TestDatabase,
    pub clock: Clock,
}

/// A service that runs.
pub struct Shift {
    pub service: Service,
    running: Running,
    folder: TempDir,
}

impl Shift {
    pub async fn end(self) {
        self.running.stop().await.unwrap();
        drop(self.folder);
    }

    /// Ends it with the runtime on which it runs: its tasks end where they are, without a goodbye.
    pub fn die(self, runtime: Runtime) {
        std::mem::forget(self.running);
        runtime.shutdown_background();
        drop(self.folder);
    }
}

impl Workshop {
    pub fn build(new: fn() -> TestDatabase) -> Self {
        Self { database: new(), clock: Clock::System }
    }

    /// The configuration of a service on this database, with a data folder of its own.
    pub fn config(&self, folder: &TempDir) -> Config {
        TestKeys::shared().install(folder.path(), "workshop");
        let flags = [
            format!("--data-dir={}", folder.path().display()),
            format!("--database-url={}", self.database.url()),
            "--demo=false".into(),
            "--port=0".into(),
            format!("--jwks-url=http://127.0.0.1:{}/", testkit::free_port()),
        ];
        subgraph().config_from(flags).unwrap()
    }

    /// Starts a service.
    pub async fn open(&self) -> Shift {
        let folder = tempfile::tempdir().unwrap();
        let config = self.config(&folder);
        let running = subgraph().start_with(config, self.clock.clone(), Random::System).await.unwrap();
        let service = SERVICES.lock().unwrap().remove(folder.path()).unwrap();
        Shift { service, running, folder }
    }

    /// A service that asks for jobs, and does none.
    pub async fn office(&self) -> (Service, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let config = self.config(&folder);
        let endpoint = subgraph().prepare(config, self.clock.clone(), Random::System).await.unwrap();
        SERVICES.lock().unwrap().remove(folder.path());
        (endpoint.service().clone(), folder)
    }
}

/// Asks for a job.
pub async fn ask(service: &Service, job: &Make) -> Model {
    let mut change = Change::begin(service, &Caller::system()).await.unwrap();
    let asked = change.enqueue(job).await.unwrap();
    change.finish(asked).await.unwrap()
}

/// A job as it is now.
pub async fn job(service: &Service, id: uuid::Uuid) -> Model {
    jobs::find::<Make>(service.db.read(), id).await.unwrap().unwrap()
}

/// The pieces of a thing that were made, in the order of their numbers.
pub async fn made(service: &Service, thing: &str) -> Vec<i64> {
    let made = audit::Entity::find().filter(audit::Column::Action.eq("piece.made"));
    let made = made.filter(audit::Column::EntityId.starts_with(format!("{thing}/")));
    let made = made.all(service.db.read()).await.unwrap();
    let mut pieces: Vec<i64> =
        made.iter().map(|row| row.entity_id.rsplit_once('/').unwrap().1.parse().unwrap()).collect();
    pieces.sort_unstable();
    pieces
}

/// How many rows the audit log has of this action.
pub async fn recorded(service: &Service, action: &str) -> u64 {
    audit::Entity::find().filter(audit::Column::Action.eq(action)).count(service.db.read()).await.unwrap()
}

/// Runs a statement.
pub async fn sql(db: &DatabaseConnection, sql: &str) {
    db.execute_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
}

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, is_so: impl FnMut() -> F) {
    testkit::eventually(what, Duration::from_secs(20), is_so).await;
}
