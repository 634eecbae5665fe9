//! A database from before notifications were made by events goes on with the next sequence.

// Clippy knows by this that its helpers belong to tests too
#![cfg(test)]

use events::{Bus, Envelope, LocalBus, contract::ScoresRecalculated, outbox};
use notifications::subgraph;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, prelude::Uuid};
use std::time::Duration;
use subgraph::{Clock, Config, Random};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys};

fn config(database: &TestDatabase, folder: &TempDir) -> Config {
    let flags = [
        "--environment=development".to_owned(),
        "--listen-addr=127.0.0.1".to_owned(),
        "--migrate-on-start=true".to_owned(),
        "--demo=false".to_owned(),
        "--port=0".to_owned(),
        format!("--data-dir={}", folder.path().display()),
        format!("--database-url={}", database.url()),
    ];
    subgraph().config_from(flags).unwrap()
}

async fn connect(database: &TestDatabase) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1);
    if database.backend() == DbBackend::Postgres {
        options.set_schema_search_path("notifications,public");
    }
    Database::connect(options).await.unwrap()
}

async fn sequences(db: &DatabaseConnection) -> Vec<i32> {
    let rows = db.query_all_raw(sea_orm::Statement::from_string(
        db.get_database_backend(),
        "SELECT sequence FROM notification ORDER BY sequence",
    ));
    rows.await.unwrap().iter().map(|row| row.try_get("", "sequence").unwrap()).collect()
}

/// An event that makes a notification.
fn recalculated() -> outbox::Model {
    let (event, now) = (ScoresRecalculated { count: 7, failed: 0 }, Clock::System.now());
    let envelope = Envelope::new(&event, Uuid::from_u128(1), now, "system".into(), None).unwrap();
    outbox::Model {
        position: 0,
        id: envelope.id,
        kind: envelope.kind.clone(),
        envelope: serde_json::to_string(&envelope).unwrap(),
        created_at: now,
        published_at: None,
        keep_until: None,
    }
}

async fn goes_on(database: TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    TestKeys::shared().install(folder.path(), "notifications");
    let (subgraph, config) = (subgraph(), config(&database, &folder));
    subgraph.migrations().up("notifications", &config).await.unwrap();
    assert_eq!(
        subgraph.migrations().down("notifications", &config, 1).await.unwrap(),
        ["0011_notification_batch"]
    );
    let db = connect(&database).await;
    let id = if database.backend() == DbBackend::Sqlite { "zeroblob(16)" } else { "gen_random_uuid()" };
    db.execute_unprepared(&format!(
        "INSERT INTO notification (id, type, title, message, is_read, sequence, created_at, updated_at) VALUES
            ({id}, 'LEAD_CREATED', 'New Lead Created', 'x', true, 41, '2026-01-14T09:00:00+00:00', '2026-01-14T09:00:00+00:00')"
    ))
    .await
    .unwrap();

    let running = subgraph.start_with(config, Clock::System, Random::System).await.unwrap();
    let bus = LocalBus::open(&folder.path().join("events.sqlite")).await.unwrap();
    bus.append(&[recalculated()]).await.unwrap();
    for _ in 0..300 {
        if sequences(&db).await.len() > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sequences(&db).await, [41, 42]);
    running.stop().await.unwrap();
    db.close().await.unwrap();
}

#[tokio::test]
async fn sqlite_goes_on_with_the_next_sequence() {
    goes_on(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn postgres_goes_on_with_the_next_sequence() {
    goes_on(TestDatabase::postgres()).await;
}
