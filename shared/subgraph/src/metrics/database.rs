//! Counters of what is asked of the database, and how its connections are used.

use super::Boxed;
use crate::db::{Db, is_background};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use sea_orm::{DatabaseConnection, DbBackend};
use std::time::Duration;

/// What statements are for.
const PURPOSES: [&str; 2] = ["requests", "background"];

/// Counters of statements, by what they are `for`: `requests` or `background`.
#[derive(Clone, Debug)]
pub struct DatabaseMetrics {
    /// `leadgraph_sql_statements_total`.
    statements: IntCounterVec,
    /// `leadgraph_sql_failures_total`.
    failures: IntCounterVec,
    /// `leadgraph_sql_statement_seconds`.
    seconds: HistogramVec,
}

impl DatabaseMetrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let statements = Opts::new("sql_statements_total", "SQL statements run");
        let failures = Opts::new("sql_failures_total", "SQL statements that failed");
        let seconds = HistogramOpts::new(
            "sql_statement_seconds",
            "Time of a SQL statement, without the wait for a connection, in seconds",
        );
        let buckets = prometheus::exponential_buckets(0.0001, 3.0, 11)?;
        Ok(Self {
            statements: IntCounterVec::new(statements, &["for"])?,
            failures: IntCounterVec::new(failures, &["for"])?,
            seconds: HistogramVec::new(seconds.buckets(buckets), &["for"])?,
        })
    }

    pub(super) fn all(&self) -> Vec<Boxed> {
        let Self { statements, failures, seconds } = self.clone();
        vec![Box::new(statements), Box::new(failures), Box::new(seconds)]
    }

    /// What notes a statement: how long it took, and whether it failed.
    pub(crate) fn observer(&self) -> impl Fn(Duration, bool) + Send + Sync + 'static {
        let [requests, background] = PURPOSES.map(|purpose| self.of(purpose));
        move |elapsed, failed| {
            let (statements, failures, seconds) = if is_background() { &background } else { &requests };
            statements.inc();
            seconds.observe(elapsed.as_secs_f64());
            if failed {
                failures.inc();
            }
        }
    }

    fn of(&self, purpose: &str) -> (IntCounter, IntCounter, Histogram) {
        let purpose = [purpose];
        (
            self.statements.with_label_values(&purpose),
            self.failures.with_label_values(&purpose),
            self.seconds.with_label_values(&purpose),
        )
    }
}

/// `leadgraph_db_connections`, by `pool` and `state`, and `leadgraph_db_connections_max`, by `pool`; looked at
/// whenever they are asked for.
pub(crate) struct Connections {
    pools: Vec<(&'static str, DatabaseConnection)>,
    open: IntGaugeVec,
    most: IntGaugeVec,
}

impl Connections {
    /// Those of a database: one pool on Postgres, two on SQLite.
    pub(crate) fn of(db: &Db) -> prometheus::Result<Self> {
        let pools = match db.backend() {
            DbBackend::Sqlite => vec![("read", db.read.clone()), ("write", db.write.clone())],
            _ => vec![("all", db.read.clone())],
        };
        let open = Opts::new("db_connections", "Connections to the database");
        let most = Opts::new("db_connections_max", "Connections to the database that there may be");
        Ok(Self {
            pools,
            open: IntGaugeVec::new(open, &["pool", "state"])?,
            most: IntGaugeVec::new(most, &["pool"])?,
        })
    }
}

impl Collector for Connections {
    fn desc(&self) -> Vec<&Desc> {
        [self.open.desc(), self.most.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (name, pool) in &self.pools {
            let (idle, open, most) = state(pool);
            self.open.with_label_values(&[name, "idle"]).set(idle);
            self.open.with_label_values(&[name, "used"]).set((open - idle).max(0));
            self.most.with_label_values(&[name]).set(most);
        }
        [self.open.collect(), self.most.collect()].concat()
    }
}

/// How many connections of a pool are idle, how many are open, and how many there may be.
fn state(pool: &DatabaseConnection) -> (i64, i64, i64) {
    let (idle, open, most) = if pool.get_database_backend() == DbBackend::Sqlite {
        let pool = pool.get_sqlite_connection_pool();
        (pool.num_idle(), pool.size(), pool.options().get_max_connections())
    } else {
        let pool = pool.get_postgres_connection_pool();
        (pool.num_idle(), pool.size(), pool.options().get_max_connections())
    };
    (i64::try_from(idle).unwrap_or(i64::MAX), open.into(), most.into())
}
