//! Holding a service up inside one of its statements, so that a fault hits it there and nowhere else.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::time::sleep;

use super::Databases;
use crate::process::POLL;

/// A service that does not come to where it is held up within this time does something else.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where a service is held up.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// It has published events and is about to note that.
    Marking,
    /// It has begun to apply an event of another service.
    Applying,
}

impl Moment {
    /// The statement and its table.
    fn statement(self) -> (&'static str, &'static str) {
        match self {
            Self::Marking => ("UPDATE", "outbox"),
            Self::Applying => ("INSERT", "inbox"),
        }
    }

    /// What the lock that holds it up is called.
    fn key(self) -> i32 {
        match self {
            Self::Marking => 471_101,
            Self::Applying => 471_102,
        }
    }
}

/// Holds all replicas of a service up at one moment, on Postgres: a trigger waits for a lock that this has.
#[derive(Debug)]
pub struct Hold {
    moment: Moment,
    service: String,
    lock: DatabaseConnection,
}

impl Hold {
    /// From now on nobody of this service gets beyond that moment.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn place(databases: &Databases, service: &str, moment: Moment) -> Self {
        let ((statement, table), key) = (moment.statement(), moment.key());
        let url = databases.of(service).get_postgres_connection_pool().connect_options();
        let lock = sea_orm::sqlx::postgres::PgPoolOptions::new().max_connections(1).min_connections(1);
        let lock = lock.idle_timeout(None).max_lifetime(None).connect_with((*url).clone()).await;
        let lock = sea_orm::SqlxPostgresConnector::from_sqlx_postgres_pool(lock.expect("a connection"));
        let hold = Self { moment, service: service.to_owned(), lock };
        hold.run(&format!("SELECT pg_advisory_lock({key})")).await;
        hold.run(&format!(
            "CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_advisory_xact_lock({key}); RETURN NEW; END $$"
        ))
        .await;
        hold.run(&format!(
            "CREATE TRIGGER held_up BEFORE {statement} ON {table} FOR EACH ROW EXECUTE FUNCTION held_up()"
        ))
        .await;
        hold
    }

    /// Waits until somebody is held up.
    ///
    /// # Panics
    /// When nobody is within a while.
    pub async fn caught(&self) {
        let start = Instant::now();
        while self.held().await == 0 {
            assert!(start.elapsed() < DEADLINE, "{} is not held up at {:?}", self.service, self.moment);
            sleep(POLL).await;
        }
    }

    /// Ends the statements that are held up, as the end of the machine would that asked for them: without this, a
    /// database goes on with the last statement of a client that is no more.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn abort_caught(&self) {
        self.run(&format!("SELECT pg_terminate_backend(pid) {}", self.waiting())).await;
        while self.held().await > 0 {
            sleep(POLL).await;
        }
    }

    /// Lets everybody go on.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn release(self) {
        self.run(&format!("SELECT pg_advisory_unlock({})", self.moment.key())).await;
        self.run(&format!("DROP TRIGGER held_up ON {}", self.moment.statement().1)).await;
        self.run("DROP FUNCTION held_up").await;
        self.lock.close().await.expect("the connection closes");
    }

    fn waiting(&self) -> String {
        format!(
            "FROM pg_locks WHERE locktype = 'advisory' AND objid = {} AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            self.moment.key()
        )
    }

    async fn held(&self) -> i64 {
        let sql = format!("SELECT COUNT(*) {}", self.waiting());
        let row =
            self.lock.query_one_raw(Statement::from_string(self.lock.get_database_backend(), sql)).await;
        let row = row.expect("the database answers").expect("a count is a row");
        row.try_get_by_index(0).expect("a count is a number")
    }

    async fn run(&self, sql: &str) {
        let done = self.lock.execute_unprepared(sql).await;
        done.unwrap_or_else(|error| panic!("{}: {sql}: {error}", self.service));
    }
}
