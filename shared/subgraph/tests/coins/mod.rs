//! Two tiny services: one owns coins and sessions, and is called accounts since the chassis follows the sessions of
//! that one; the collector keeps a view of the coins.

use async_graphql::{EmptyMutation, EmptySubscription, ID, Object, SimpleObject};
use events::{Event, contract::SessionRevoked};
use schemars::JsonSchema;
use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryOrder, QuerySelect,
    Set, entity::prelude::*,
};
use sea_orm_migration::prelude::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};
use serde::{Deserialize, Serialize};
use std::path::Path;
use subgraph::{
    Change, Config, Consumer, ContextExt, Error, Id, Missing, Policy, Rebuilt, Received, Result, Role,
    Running, Service, Subgraph, View,
};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys};

/// A coin of this version breaks the owner's snapshot off.
pub const BROKEN: i32 = -1;
/// A coin of this version is too young to be in the snapshot.
pub const YOUNG: i32 = 100;

/// A coin, or in the view also what is left of a lost one.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "coin")]
#[graphql(name = "Coin")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub version: i32,
    pub lost: bool,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A coin was changed.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    id: i32,
    version: i32,
}

/// A coin is gone.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    id: i32,
}

impl Event for Changed {
    const TYPE: &'static str = "coin.changed";
    const PRODUCER: &'static str = "accounts";

    fn subject(&self) -> String {
        format!("coin/{}", self.id)
    }

    fn version(&self) -> Option<i32> {
        Some(self.version)
    }

    fn example() -> Self {
        Self { id: 1, version: 1 }
    }
}

impl Event for Lost {
    const TYPE: &'static str = "coin.lost";
    const PRODUCER: &'static str = "accounts";

    fn subject(&self) -> String {
        format!("coin/{}", self.id)
    }

    fn version(&self) -> Option<i32> {
        None
    }

    fn example() -> Self {
        Self { id: 1 }
    }
}

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// Whether somebody may ask.
    async fn nothing(&self) -> bool {
        true
    }

    /// One coin for others.
    #[graphql(entity)]
    async fn coin(&self, ctx: &async_graphql::Context<'_>, id: ID) -> Result<Option<Model>> {
        let Some(id) = Id::parse(&id) else { return Ok(None) };
        Ok(Entity::find_by_id(id).one(ctx.db()).await?)
    }
}

struct CoinTable;

impl MigrationName for CoinTable {
    fn name(&self) -> &'static str {
        "0100_coin"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CoinTable {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql =
            "CREATE TABLE coin (id integer PRIMARY KEY, version integer NOT NULL, lost boolean NOT NULL)";
        manager.get_connection().execute_unprepared(sql).await.map(drop)
    }
}

struct Migrator;

impl sea_orm_migration::MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let own: Box<dyn MigrationTrait> = Box::new(CoinTable);
        migrations::Chassis::migrations().into_iter().chain([own]).collect()
    }
}

struct Coins;

impl View<Changed> for Coins {
    async fn refill(change: &mut Change, row: &Changed) -> Result<bool> {
        let known = Entity::find_by_id(Id(row.id)).one(change.tx()).await?;
        let new = ActiveModel { id: Set(Id(row.id)), version: Set(row.version), lost: Set(false) };
        match known {
            None => new.insert(change.tx()).await?,
            Some(known) if !known.lost && known.version < row.version => new.update(change.tx()).await?,
            Some(_) => return Ok(false),
        };
        Ok(true)
    }

    async fn forget(missing: &Missing<'_>) -> anyhow::Result<u64> {
        let here = Entity::find().filter(Column::Lost.eq(false)).all(missing.service().db.read()).await?;
        let here = here.into_iter().map(|coin| coin.id.0);
        let suspects: Vec<_> = here.filter(|id| !missing.is_present(&format!("coin/{id}"))).collect();
        let gone = missing.confirm("Coin", &suspects).await?;
        for id in &gone {
            missing.tell(&Lost { id: *id }).await?;
            // It is done once, however often it is told
            missing.tell(&Lost { id: *id }).await?;
        }
        Ok(gone.len() as u64)
    }
}

impl Consumer<Lost> for Coins {
    async fn apply(change: &mut Change, received: &Received<Lost>) -> Result<()> {
        let id = received.event.id;
        let update = Entity::update_many().filter(Column::Id.eq(id)).col_expr(Column::Lost, true.into());
        update.exec(change.tx()).await?;
        change.record("coin.lost", id, &())
    }
}

async fn coins(service: Service, after: Option<String>, limit: u64) -> Result<Vec<(String, Changed)>> {
    let after: i32 = after.map_or(Ok(0), |id| id.parse()).map_err(Error::internal)?;
    let page = Entity::find().filter(Column::Id.gt(after)).filter(Column::Version.lt(YOUNG));
    let page = page.order_by_asc(Column::Id).limit(limit).all(service.db.read()).await?;
    if page.iter().any(|coin| coin.version == BROKEN) {
        return Err(Error::Unavailable("a coin is broken".into()));
    }
    let row = |coin: Model| (coin.id.to_string(), Changed { id: coin.id.0, version: coin.version });
    Ok(page.into_iter().map(row).collect())
}

/// The session of user 7, as testkit's tokens name it.
async fn sessions(_: Service, after: Option<String>, _: u64) -> Result<Vec<(String, SessionRevoked)>> {
    let session = "00000000-0000-7000-8000-000000000007".to_owned();
    let expires_at = chrono::Utc::now() + chrono::TimeDelta::days(1);
    let revoked = SessionRevoked { session: session.clone(), expires_at, ..SessionRevoked::example() };
    Ok(if after.is_none() { vec![(session, revoked)] } else { vec![] })
}

fn owner() -> Subgraph {
    let policy = Policy::default().read(Role::SalesRep, &["nothing"]);
    Subgraph::new::<Query, EmptyMutation, EmptySubscription, Migrator>("accounts", 0, policy)
        .snapshot(coins)
        .snapshot(sessions)
}

pub fn collector() -> Subgraph {
    let policy = Policy::default().read(Role::SalesRep, &["nothing"]);
    Subgraph::new::<Query, EmptyMutation, EmptySubscription, Migrator>("collector", 0, policy)
        .peer("accounts", 1)
        .on::<Lost, Coins>()
        .view::<Changed, Coins>()
}

/// Both services with their databases.
pub struct Bank {
    pub folder: TempDir,
    databases: [TestDatabase; 2],
    pub owner: Running,
    pub collector: Option<Running>,
}

impl Bank {
    pub async fn open(new: fn() -> TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["accounts", "collector"] {
            TestKeys::shared().install(folder.path(), name);
        }
        let databases = [new(), new()];
        let owner = owner();
        let owner = owner.start(config(&owner, folder.path(), &databases[0], vec![])).await.unwrap();
        let mut bank = Self { folder, databases, owner, collector: None };
        let collector = collector().start(bank.config()).await.unwrap();
        bank.collector = Some(collector);
        bank
    }

    /// The collector's configuration.
    pub fn config(&self) -> Config {
        let owner = format!("--accounts-url=http://{}/graphql", self.owner.addr);
        config(&collector(), self.folder.path(), &self.databases[1], vec![owner])
    }

    /// Rebuilds the collector's view; what came of the coins.
    pub async fn rebuild(&self, force: bool) -> anyhow::Result<Rebuilt> {
        let rebuilt = collector().rebuild(self.config(), force, &|_| {}).await?;
        Ok(rebuilt.into_iter().find(|view| view.kind == Changed::TYPE).unwrap())
    }

    pub async fn owner_db(&self) -> DatabaseConnection {
        connect("accounts", &self.databases[0]).await
    }

    pub async fn collector_db(&self) -> DatabaseConnection {
        connect("collector", &self.databases[1]).await
    }
}

fn config(subgraph: &Subgraph, folder: &Path, database: &TestDatabase, more: Vec<String>) -> Config {
    let flags = [
        format!("--data-dir={}", folder.display()),
        format!("--database-url={}", database.url()),
        "--demo=false".into(),
        "--port=0".into(),
        format!("--jwks-url=http://127.0.0.1:{}/", testkit::free_port()),
    ];
    subgraph.config_from(flags.into_iter().chain(more)).unwrap()
}

async fn connect(schema: &str, database: &TestDatabase) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1).sqlx_logging(false);
    if database.url().starts_with("postgres") {
        options.set_schema_search_path(schema);
    }
    Database::connect(options).await.unwrap()
}

/// Puts coins of these ids and versions into a database.
pub async fn put(db: &DatabaseConnection, coins: impl IntoIterator<Item = (i32, i32)>) {
    let rows = coins.into_iter().map(|(id, version)| format!("({id}, {version}, false)"));
    let rows: Vec<_> = rows.collect();
    for rows in rows.chunks(500) {
        db.execute_unprepared(&format!("INSERT INTO coin VALUES {}", rows.join(", "))).await.unwrap();
    }
}

/// One coin: its version, and whether it is lost.
pub async fn coin(db: &DatabaseConnection, id: i32) -> Option<(i32, bool)> {
    Entity::find_by_id(Id(id)).one(db).await.unwrap().map(|coin| (coin.version, coin.lost))
}
