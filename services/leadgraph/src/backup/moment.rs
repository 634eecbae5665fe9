//! One moment of several SQLite databases, which SQLite itself knows nothing of.
//!
//! While one connection to each file holds its write lock, nobody commits anywhere. In that time a second connection
//! to each begins to read; what it sees stays as it is for as long as it reads. Then the write locks go, which takes
//! milliseconds, and the services write on while the copies are made.

use std::{
    path::Path,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use super::{Source, go_on};

/// How often a lock that another one holds is tried, once each [`BETWEEN`]. Who holds the locks before it makes
/// writers wait, who give up after five seconds: for all databases together this stays far below.
const TRIES: i32 = 150;
const BETWEEN: Duration = Duration::from_millis(1);
/// Where a lock could not be had, all are given back for so long.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a moment is looked for. A service's longest transactions take some hundred milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// As for the services: a start may be recovering the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Databases as they were at the same time.
pub struct Moment {
    /// Connections that go on seeing it, in the order of the sources.
    pub databases: Vec<Connection>,
    /// For how long nobody could write.
    pub held: Duration,
}

impl Moment {
    /// Waits for a moment at which nobody writes anywhere, and holds it fast.
    pub fn seize(sources: &[Source], stopped: &AtomicBool) -> Result<Self> {
        let open =
            || sources.iter().map(|source| open(source.service, &source.file)).collect::<Result<Vec<_>>>();
        let (writers, readers) = (open()?, open()?);
        let started = Instant::now();
        loop {
            match hold(sources, &writers, &readers)? {
                Ok(held) => return Ok(Self { databases: readers, held }),
                Err(busy) => ensure!(
                    started.elapsed() < PATIENCE,
                    "another program keeps the write lock of {busy}; end it (a shell with an open transaction?) \
                     and try again"
                ),
            }
            go_on(stopped)?;
            thread::sleep(PAUSE);
        }
    }

    /// How large the databases are.
    pub fn bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for database in &self.databases {
            let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
            bytes += database.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
        }
        Ok(bytes)
    }
}

/// How long the locks were held; or which service's lock could not be had, with all of them given back.
fn hold(
    sources: &[Source],
    writers: &[Connection],
    readers: &[Connection],
) -> Result<Result<Duration, &'static str>> {
    let started = Instant::now();
    let mut outcome = Ok(());
    for (source, writer) in sources.iter().zip(writers) {
        let begun = writer.execute_batch("BEGIN IMMEDIATE");
        if is_busy(&begun) {
            outcome = Err(source.service);
            break;
        }
        begun.with_context(|| format!("cannot lock the database of {}", source.service))?;
    }
    if outcome.is_ok() {
        for (source, reader) in sources.iter().zip(readers) {
            // The first reading is what begins it
            let seen = reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema");
            seen.with_context(|| format!("cannot read the database of {}", source.service))?;
        }
    }
    for writer in writers.iter().filter(|writer| !writer.is_autocommit()) {
        writer.execute_batch("ROLLBACK")?;
    }
    Ok(outcome.map(|()| started.elapsed()))
}

/// A connection that has read the file already: what that takes, such as recovering it, must not take it later.
fn open(service: &str, file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(file, flags).and_then(|connection| {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        // Sooner than SQLite would try again: writers without pause leave small gaps
        connection.busy_handler(Some(try_again))?;
        Ok(connection)
    });
    opened.with_context(|| format!("cannot read the database of {service}, {}", file.display()))
}

fn try_again(tries: i32) -> bool {
    thread::sleep(BETWEEN);
    tries < TRIES
}

fn is_busy(outcome: &rusqlite::Result<()>) -> bool {
    matches!(outcome, Err(Error::SqliteFailure(error, _)) if error.code == ErrorCode::DatabaseBusy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(folder: &Path) -> Vec<Source> {
        let source = |service: &'static str| {
            let file = folder.join(service);
            let made = Connection::open(&file).unwrap();
            made.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE coin (id INTEGER PRIMARY KEY)")
                .unwrap();
            Source { service, file }
        };
        vec![source("one"), source("two")]
    }

    fn count(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM coin", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_is_written_later_is_not_seen_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(folder.path());
        let moment = Moment::seize(&sources, &AtomicBool::new(false)).unwrap();
        for source in &sources {
            let writer = Connection::open(&source.file).unwrap();
            writer.execute_batch("INSERT INTO coin DEFAULT VALUES").unwrap();
            assert_eq!(count(&writer), 1);
        }
        assert!(moment.databases.iter().all(|it| count(it) == 0));
    }

    #[test]
    fn a_lock_that_cannot_be_had_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(folder.path());
        let open = || sources.iter().map(|it| open(it.service, &it.file).unwrap()).collect::<Vec<_>>();
        let (writers, readers) = (open(), open());
        let other = Connection::open(&sources[1].file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(hold(&sources, &writers, &readers).unwrap().unwrap_err(), "two");
        assert!(writers.iter().chain(&readers).all(Connection::is_autocommit), "all locks are given back");
        other.execute_batch("ROLLBACK").unwrap();
        hold(&sources, &writers, &readers).unwrap().unwrap();
    }
}
