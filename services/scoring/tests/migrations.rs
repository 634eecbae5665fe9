//! The migration that adds the time of a score to scores that exist already.

use chrono::{DateTime, Utc};
use migrations::scoring::Migrator;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr, FromQueryResult, Statement};
use sea_orm_migration::MigratorTrait;
use testkit::TestDatabase;

const SUBJECT: &str = "0011_score_calculated_at";

#[derive(Debug, PartialEq, FromQueryResult)]
struct Time {
    lead_id: i32,
    score_calculated_at: Option<DateTime<Utc>>,
}

async fn times(db: &DatabaseConnection) -> Result<Vec<Time>, DbErr> {
    let sql = "SELECT lead_id, score_calculated_at FROM lead_score ORDER BY lead_id";
    Time::find_by_statement(Statement::from_string(db.get_database_backend(), sql)).all(db).await
}

async fn scores(db: &DatabaseConnection) -> Result<Vec<(i32, Option<i32>)>, DbErr> {
    let sql = "SELECT lead_id, activity_score FROM lead_score ORDER BY lead_id";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| Ok((row.try_get_by(0)?, row.try_get_by(1)?))).collect()
}

/// How many migrations come before the one this is about.
fn before() -> u32 {
    let place = Migrator::migrations().iter().position(|migration| migration.name() == SUBJECT);
    place.and_then(|place| u32::try_from(place).ok()).expect("the migration is listed")
}

#[tokio::test]
async fn a_score_that_exists_gets_the_time_of_the_migration_and_the_others_none() {
    for database in TestDatabase::both() {
        let db = Database::connect(database.url()).await.unwrap();
        Migrator::up(&db, Some(before())).await.unwrap();
        db.execute_unprepared(
            "INSERT INTO lead_score (lead_id, activity_score) VALUES (1, 0), (2, null), (3, 71)",
        )
        .await
        .unwrap();

        for _ in ["the first time", "again after it was reverted"] {
            let started = std::time::SystemTime::now();
            Migrator::up(&db, Some(1)).await.unwrap();
            let [scored, without, other] = times(&db).await.unwrap().try_into().unwrap();
            assert_eq!(without, Time { lead_id: 2, score_calculated_at: None }, "{:?}", database.backend());
            for time in [scored, other] {
                let age = DateTime::<Utc>::from(started) - time.score_calculated_at.expect("a time");
                // SQLite's clock has milliseconds
                assert!(age.num_seconds() <= 0 && age.num_seconds() > -60, "{:?}: {age}", database.backend());
            }

            Migrator::down(&db, Some(1)).await.unwrap();
            assert!(times(&db).await.is_err(), "{:?}: the column is still there", database.backend());
            assert_eq!(scores(&db).await.unwrap(), [(1, Some(0)), (2, None), (3, Some(71))]);
        }
        Migrator::up(&db, None).await.unwrap();
        db.close().await.unwrap();
    }
}
