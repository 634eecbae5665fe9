//! Two tiny services: bells ring, and ears hear. What ears heard is in their audit log.

use async_graphql::{Context, EmptyMutation, EmptySubscription, Object};
use chrono::Utc;
use events::Event;
use migrations::Chassis;
use reqwest::Client;
use schemars::JsonSchema;
use sea_orm::{
    ColumnTrait, ConnectOptions, Database, DatabaseConnection, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};
use subgraph::{
    Change, Config, Consumer, ContextExt, Error, Policy, Received, Result, Role, Running, Subgraph, audit,
};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys};

/// A bell rang.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rung {
    /// The bell.
    pub bell: i32,
}

impl Event for Rung {
    const TYPE: &'static str = "bell.rung";
    const PRODUCER: &'static str = "bells";

    fn subject(&self) -> String {
        format!("bell/{}", self.bell)
    }

    fn version(&self) -> Option<i32> {
        Some(1)
    }

    fn example() -> Self {
        Self { bell: 1 }
    }
}

#[derive(Default)]
pub struct Query;

#[Object]
impl Query {
    /// Nothing to ask.
    async fn nothing(&self) -> bool {
        true
    }
}

#[derive(Default)]
pub struct Mutation;

#[Object]
impl Mutation {
    /// Rings so many bells at once, from this one on.
    async fn ring(&self, ctx: &Context<'_>, first: i32, count: i32) -> Result<bool> {
        let mut change = ctx.change().await?;
        for bell in first..first + count {
            change.record_event("bell.rung", bell, &(), &Rung { bell })?;
        }
        change.finish(true).await
    }
}

/// What happens to ears that hear a bell, and how often.
#[derive(Clone, Copy)]
pub enum Trouble {
    Unavailable,
    Refused,
    Panics,
}

/// By data folder and bell, since tests share the process.
type Troubles = HashMap<(PathBuf, i32), (Trouble, u32)>;

static TROUBLES: LazyLock<Mutex<Troubles>> = LazyLock::new(Mutex::default);

struct Ears;

impl Consumer<Rung> for Ears {
    async fn apply(change: &mut Change, received: &Received<Rung>) -> Result<()> {
        let bell = received.event.bell;
        change.record("bell.heard", bell, &json!({ "event": received.id }))?;
        let key = (change.service().config.data_dir.clone(), bell);
        let mut troubles = TROUBLES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some((trouble, times)) = troubles.get_mut(&key).filter(|(_, times)| *times > 0) else {
            return Ok(());
        };
        *times -= 1;
        match trouble {
            Trouble::Unavailable => Err(Error::Unavailable("not now".into())),
            Trouble::Refused => Err(Error::invalid("bell", "is out of tune")),
            Trouble::Panics => panic!("too loud"),
        }
    }
}

fn bells() -> Subgraph {
    let policy = Policy::default().read(Role::SalesRep, &["nothing"]).allow(Role::SalesRep, &["ring"]);
    Subgraph::new::<Query, Mutation, EmptySubscription, Chassis>("bells", 0, policy)
}

fn ears() -> Subgraph {
    let policy = Policy::default().read(Role::SalesRep, &["nothing"]);
    Subgraph::new::<Query, EmptyMutation, EmptySubscription, Chassis>("ears", 0, policy).on::<Rung, Ears>()
}

/// One installation: a data folder, a database for each service, and what runs.
pub struct Tower {
    pub folder: TempDir,
    databases: [TestDatabase; 2],
    bells: Vec<Running>,
    ears: Vec<Running>,
}

impl Tower {
    /// On databases of one kind, with nothing running.
    pub fn build(new: fn() -> TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        TestKeys::shared().install(folder.path(), "bells");
        Self { folder, databases: [new(), new()], bells: vec![], ears: vec![] }
    }

    pub async fn start_bells(&mut self) {
        self.bells.push(start(&bells(), self.folder.path(), &self.databases[0]).await);
    }

    pub async fn start_ears(&mut self) {
        self.ears.push(start(&ears(), self.folder.path(), &self.databases[1]).await);
    }

    pub async fn stop_bells(&mut self) {
        for running in self.bells.drain(..) {
            running.stop().await.unwrap();
        }
    }

    pub async fn stop_ears(&mut self) {
        for running in self.ears.drain(..) {
            running.stop().await.unwrap();
        }
    }

    /// Lets the ears have trouble with a bell so many times.
    pub fn trouble(&self, bell: i32, trouble: Trouble, times: u32) {
        let key = (self.folder.path().to_owned(), bell);
        let mut troubles = TROUBLES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        troubles.insert(key, (trouble, times));
    }

    /// Rings at one of the replicas.
    pub async fn ring(&self, replica: usize, first: i32, count: i32) {
        let url = format!("http://{}/graphql", self.bells[replica].addr);
        let token = TestKeys::shared().mint(Role::SalesRep, 1, Utc::now());
        let query = format!("mutation {{ ring(first: {first}, count: {count}) }}");
        let client = Client::builder().no_proxy().build().unwrap();
        let answer =
            client.post(url).bearer_auth(token).json(&json!({ "query": query })).send().await.unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(answer["data"]["ring"], true, "{answer}");
    }

    pub async fn ears_db(&self) -> DatabaseConnection {
        connect("ears", &self.databases[1]).await
    }

    /// The bells that were heard, in that order.
    pub async fn heard(&self) -> Vec<i32> {
        let heard = audit::Entity::find().filter(audit::Column::Action.eq("bell.heard"));
        // Ids of one millisecond are in no order: of the inbox, the position of the row is
        let rows = heard.order_by_asc(audit::Column::At).order_by_asc(audit::Column::Id);
        let rows = rows.all(&self.ears_db().await).await.unwrap();
        rows.iter().map(|row| row.entity_id.parse().unwrap()).collect()
    }

    /// Waits until so many were heard, and shows which.
    pub async fn wait_until_heard(&self, count: usize) -> Vec<i32> {
        let start = Instant::now();
        loop {
            let heard = self.heard().await;
            if heard.len() >= count {
                return heard;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "heard only {heard:?} of {count}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn start(subgraph: &Subgraph, folder: &Path, database: &TestDatabase) -> Running {
    let flags = [
        format!("--data-dir={}", folder.display()),
        format!("--database-url={}", database.url()),
        "--demo=false".into(),
        "--port=0".into(),
        format!("--jwks-url=http://127.0.0.1:{}/", testkit::free_port()),
    ];
    let config: Config = subgraph.config_from(flags).unwrap();
    subgraph.start(config).await.unwrap()
}

async fn connect(schema: &str, database: &TestDatabase) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1).sqlx_logging(false);
    if database.url().starts_with("postgres") {
        options.set_schema_search_path(schema);
    }
    Database::connect(options).await.unwrap()
}

/// How many rows a table has.
pub async fn rows(db: &DatabaseConnection, table: &str) -> i64 {
    #[derive(FromQueryResult)]
    struct Count {
        n: i64,
    }
    let sql = format!("SELECT count(*) AS n FROM {table}");
    Count::find_by_statement(Statement::from_string(sea_orm::ConnectionTrait::get_database_backend(db), sql))
        .one(db)
        .await
        .unwrap()
        .unwrap()
        .n
}

/// The last row of a parked event, where there is one.
pub async fn parked(db: &DatabaseConnection) -> Option<events::inbox::parked::Model> {
    events::inbox::parked::Entity::find().limit(1).one(db).await.unwrap()
}
