//! A client that hangs up in the middle of a mutation leaves no transaction behind.
//!
//! sqlx, cancelled while it waits for the answer to BEGIN, returns a connection to the pool on
//! which everything that follows happens in a transaction that nobody commits. Random
//! disconnects almost never hit that moment, so the request is dropped after each number of polls.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tokens count from now"
)]

use async_graphql::{Context, EmptySubscription, Object};
use chrono::Utc;
use migrations::Chassis;
use poem::{Body, Request};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, EntityTrait, PaginatorTrait,
};
use std::{future::Future, pin::pin, task::Poll, time::Duration};
use subgraph::{Clock, ContextExt, Endpoint, Policy, Random, Result, Role, Subgraph, audit};
use testkit::{TestDatabase, TestKeys};

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// Nothing to ask.
    async fn nothing(&self) -> bool {
        true
    }
}

#[derive(Default)]
struct Mutation;

#[Object]
impl Mutation {
    /// Records that it ran.
    async fn note(&self, ctx: &Context<'_>) -> Result<bool> {
        let mut change = ctx.change().await?;
        change.record("note.made", 1, &())?;
        change.finish(true).await
    }
}

async fn endpoint(database: &TestDatabase, folder: &std::path::Path) -> Endpoint {
    let policy = Policy::default().read(Role::SalesRep, &["nothing"]).allow(Role::SalesRep, &["note"]);
    let subgraph = Subgraph::new::<Query, Mutation, EmptySubscription, Chassis>("notes", 0, policy);
    TestKeys::shared().install(folder, "notes");
    let flags = [
        format!("--data-dir={}", folder.display()),
        format!("--database-url={}", database.url()),
        // One connection, so that a broken one cannot hide behind a good one
        "--database-max-connections=1".to_owned(),
    ];
    subgraph.prepare(subgraph.config_from(flags).unwrap(), Clock::System, Random::System).await.unwrap()
}

/// Polls the mutation `polls` times and hangs up. Tells whether it was done by then.
async fn hang_up_after(endpoint: &Endpoint, token: &str, polls: usize) -> bool {
    let request = Request::builder().content_type("application/json");
    let request = request.header("authorization", format!("Bearer {token}")).finish();
    let mut answer =
        pin!(endpoint.answer(&request, Body::from_string("{\"query\":\"mutation { note }\"}".into())));
    for _ in 0..polls {
        let ready = std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_ready())).await;
        if ready {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

async fn stray_transactions(db: &DatabaseConnection) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' \
               AND datname = current_database()";
    let row =
        db.query_one_raw(sea_orm::Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

#[tokio::test]
async fn hanging_up_at_any_moment_leaves_a_working_pool() {
    for database in TestDatabase::both() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = endpoint(&database, folder.path()).await;
        let token = TestKeys::shared().mint(Role::SalesRep, 1, Utc::now());
        for polls in 0..40 {
            hang_up_after(&endpoint, &token, polls).await;
        }
        // What was begun ends by itself
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut options = ConnectOptions::new(database.url());
        let observer = Database::connect(options.set_schema_search_path("notes").clone()).await.unwrap();
        if database.backend() == DbBackend::Postgres {
            assert_eq!(stray_transactions(&observer).await, 0);
        }
        // A connection caught in a stray transaction would acknowledge this where nobody else sees it
        let before = audit::Entity::find().count(&observer).await.unwrap();
        assert!(hang_up_after(&endpoint, &token, usize::MAX).await);
        assert_eq!(audit::Entity::find().count(&observer).await.unwrap(), before + 1);
    }
}
