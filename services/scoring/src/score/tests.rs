//! The leads with the highest scores are read from an index.

use super::{Column, Entity};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, QuerySelect, QueryTrait,
    Statement,
};
use sea_orm_migration::MigratorTrait;
use testkit::TestDatabase;

const LEADS: i32 = 20_000;

async fn filled(database: &TestDatabase) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    migrations::scoring::Migrator::up(&db, None).await.unwrap();
    let rows = format!(
        "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, rank, closed, model_version) \
         WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {LEADS}) \
         SELECT n, 50, '2026-01-15 12:00:00+00:00', 1400 + n * 7919 % 9973 / 100.0, n % 4 = 0, '1' FROM g"
    );
    for sql in [&*rows, "ANALYZE"] {
        db.execute_unprepared(sql).await.unwrap();
    }
    db
}

/// How the database finds them.
async fn plan(db: &DatabaseConnection, include_closed: bool) -> String {
    let backend = db.get_database_backend();
    let top = Entity::top(include_closed, 20).select_only().column(Column::LeadId).build(backend);
    let (explain, column) = match backend {
        DbBackend::Postgres => ("EXPLAIN", "QUERY PLAN"),
        _ => ("EXPLAIN QUERY PLAN", "detail"),
    };
    let explained = Statement { sql: format!("{explain} {}", top.sql), ..top };
    let rows = db.query_all_raw(explained).await.unwrap();
    let line = |row: &sea_orm::QueryResult| row.try_get::<String>("", column).unwrap();
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_top_leads_come_from_an_index_without_sorting() {
    for database in TestDatabase::both() {
        let db = filled(&database).await;
        for (include_closed, index) in [(false, "lead_score_open_rank"), (true, "lead_score_rank")] {
            let plan = plan(&db, include_closed).await;
            assert!(
                plan.contains(&format!("INDEX {index}")) || plan.contains(&format!("using {index}")),
                "{plan}"
            );
            for slow in ["Sort", "Seq Scan", "TEMP B-TREE"] {
                assert!(!plan.contains(slow), "{plan}");
            }
        }
        db.close().await.unwrap();
    }
}
