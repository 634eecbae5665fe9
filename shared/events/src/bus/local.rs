//! The bus of an installation without a broker: a SQLite file beside the databases, read by every service on this
//! machine. Readers in the process that appends are woken at once, those in other processes look often.

use super::{Bus, Entry, Reader};
use crate::{outbox, sqlite};
use anyhow::Context;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, FromQueryResult,
    Statement, TransactionTrait, Value,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};
use tokio::sync::{Mutex, watch};

/// How often a reader looks for what another process appended.
const POLL: Duration = Duration::from_millis(200);
/// Entries read at once.
const BATCH: i64 = 200;
/// How long entries stay.
const KEPT_DAYS: u32 = 7;
/// Appends between two looks for entries that are too old.
const CLEAN_EVERY: u64 = 1_000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS log (
    position integer PRIMARY KEY AUTOINCREMENT,
    id blob NOT NULL UNIQUE,
    envelope text NOT NULL,
    appended_at integer NOT NULL DEFAULT (unixepoch())
);
CREATE INDEX IF NOT EXISTS log_appended_at ON log (appended_at);
CREATE TABLE IF NOT EXISTS identity (only_one integer PRIMARY KEY CHECK (only_one = 1), id text NOT NULL);
INSERT INTO identity VALUES (1, lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING;
";

/// The files that are open in this process: a second handle on one would not wake the readers of the first.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<LocalBus>>>> = LazyLock::new(Mutex::default);

/// A log in a SQLite file.
#[derive(Debug)]
pub struct LocalBus {
    read: DatabaseConnection,
    write: DatabaseConnection,
    appended: watch::Sender<u64>,
}

#[derive(FromQueryResult)]
struct Row {
    position: i64,
    envelope: String,
    last: i64,
}

impl LocalBus {
    /// Opens the log in a file, which is made where there is none. Everybody in the process gets the same one.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn open(path: &Path) -> anyhow::Result<Arc<Self>> {
        let help = || format!("cannot use the log of events in {}", path.display());
        let folder = path.parent().with_context(help)?;
        tokio::fs::create_dir_all(folder).await.with_context(help)?;
        let key = folder.canonicalize().with_context(help)?.join(path.file_name().with_context(help)?);
        let mut open = OPEN.lock().await;
        open.retain(|_, bus| bus.strong_count() > 0);
        if let Some(bus) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(bus);
        }
        create_private(&key).with_context(help)?;
        let write = connect(&key, 1).await.with_context(help)?;
        write.execute_unprepared(TABLES).await.with_context(help)?;
        let read = connect(&key, 4).await.with_context(help)?;
        let bus = Arc::new(Self { read, write, appended: watch::Sender::new(0) });
        open.insert(key, Arc::downgrade(&bus));
        Ok(bus)
    }

    async fn entries(read: &DatabaseConnection, after: i64) -> Result<Vec<Entry>, DbErr> {
        const SQL: &str = "SELECT position, envelope, (SELECT max(position) FROM log) AS last FROM log \
                           WHERE position > ? ORDER BY position LIMIT ?";
        let rows = Row::find_by_statement(statement(SQL, [after.into(), BATCH.into()])).all(read).await?;
        let entry = |row: Row| {
            let behind = u64::try_from(row.last - row.position).unwrap_or_default();
            Entry { position: row.position, envelope: row.envelope, behind }
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// What is wrong for somebody who has read up to `after`, when entries behind that are gone: an older copy of the
    /// file was put in its place, or that was longer ago than it keeps entries.
    async fn lost(&self, after: i64) -> anyhow::Result<Option<String>> {
        const SQL: &str = "SELECT coalesce(max(seq), 0), coalesce((SELECT min(position) FROM log), max(seq) + 1, 1) \
                           FROM sqlite_sequence WHERE name = 'log'";
        let row = self.read.query_one_raw(statement(SQL, [])).await?.context("it has no end")?;
        let (last, first): (i64, i64) = (row.try_get_by(0)?, row.try_get_by(1)?);
        if last < after {
            return Ok(Some(format!("it ends at {last}, and {after} was read from it")));
        }
        let gap = after > 0 && first > after + 1;
        Ok(gap.then(|| format!("it begins at {first}, and it was read to {after}")))
    }

    async fn clean(&self) -> Result<(), DbErr> {
        let old = format!("DELETE FROM log WHERE appended_at < unixepoch() - {KEPT_DAYS} * 86400");
        self.write.execute_unprepared(&old).await?;
        Ok(())
    }
}

/// Makes the file for its owner alone: there are personal data in it, and SQLite would let everyone read it. One that
/// is there is not touched: to open and close a SQLite file beside SQLite takes its locks away.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
}

async fn identity(db: &DatabaseConnection) -> anyhow::Result<String> {
    let row = db.query_one_raw(statement("SELECT id FROM identity", [])).await?;
    Ok(format!("local:{}", row.context("it has no identity")?.try_get_by::<String, _>(0)?))
}

async fn connect(path: &Path, max: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    options.max_connections(max).min_connections(1).sqlx_logging(false).test_before_acquire(false);
    options.map_sqlx_sqlite_pool_opts(sqlite::only_sound).map_sqlx_sqlite_opts(|options| {
        // What was marked as published must be there after a power cut
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        options.busy_timeout(Duration::from_secs(5))
    });
    Database::connect(options).await
}

#[async_trait]
impl Bus for LocalBus {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn identity(&self) -> anyhow::Result<String> {
        // Another process may have made it another log
        identity(&self.read).await
    }

    async fn append(&self, events: &[outbox::Model]) -> anyhow::Result<()> {
        let tx = self.write.begin().await?;
        for event in events {
            let values = [Value::from(event.id.as_bytes().to_vec()), event.envelope.as_str().into()];
            let sql = "INSERT INTO log (id, envelope) VALUES (?, ?) ON CONFLICT DO NOTHING";
            tx.execute_raw(statement(sql, values)).await?;
        }
        tx.commit().await?;
        let mut appends = 0;
        self.appended.send_modify(|count| {
            *count += 1;
            appends = *count;
        });
        if appends % CLEAN_EVERY == 1 {
            self.clean().await?;
        }
        Ok(())
    }

    async fn read(&self, identity: &str, after: i64) -> anyhow::Result<Reader> {
        anyhow::ensure!(self.identity().await? == identity, "the log of events is another one");
        if let Some(why) = self.lost(after).await? {
            let renew = "UPDATE identity SET id = lower(hex(randomblob(16)))";
            self.write.execute_unprepared(renew).await?;
            anyhow::bail!("the log of events lost some: {why}. All that is kept is published again");
        }
        let reading = Reading {
            db: self.read.clone(),
            appended: self.appended.subscribe(),
            after,
            found: VecDeque::new(),
        };
        let entries = stream::try_unfold(reading, |mut reading| async move {
            let entry = reading.next().await?;
            anyhow::Ok(Some((entry, reading)))
        });
        Ok(entries.boxed())
    }
}

struct Reading {
    db: DatabaseConnection,
    appended: watch::Receiver<u64>,
    after: i64,
    found: VecDeque<Entry>,
}

impl Reading {
    async fn next(&mut self) -> anyhow::Result<Entry> {
        loop {
            if let Some(entry) = self.found.pop_front() {
                self.after = entry.position;
                return Ok(entry);
            }
            self.appended.borrow_and_update();
            self.found = LocalBus::entries(&self.db, self.after).await?.into();
            if self.found.is_empty() {
                // Either way it looks again
                let _ = tokio::time::timeout(POLL, self.appended.changed()).await;
            }
        }
    }
}
