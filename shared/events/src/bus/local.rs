//! The bus of an installation without a broker: a SQLite file beside the databases, read by every service on this
//! machine. Readers in the process that appends are woken at once, those in other processes look often.

use super::{Bus, Entry, Reader, lost};
use crate::{outbox, sqlite};
use anyhow::Context;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, FromQueryResult, Statement,
    TransactionTrait, Value,
};
use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};
use tokio::sync::{Mutex, watch};

/// How often a reader looks for what another process appended.
const POLL: Duration = Duration::from_millis(200);
/// Entries read at once.
const BATCH: i64 = 200;
/// How long entries stay, in seconds: as long as the outboxes keep what they published.
const KEPT: i64 = outbox::KEPT.num_seconds();
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
        sqlite::create_private(&key).with_context(help)?;
        let write = Database::connect(sqlite::options(&key, 1)).await.with_context(help)?;
        write.execute_unprepared(TABLES).await.with_context(help)?;
        let read = Database::connect(sqlite::options(&key, 4)).await.with_context(help)?;
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

    /// Its first and last position.
    async fn extent(&self) -> anyhow::Result<(i64, i64)> {
        const SQL: &str = "SELECT coalesce((SELECT min(position) FROM log), max(seq) + 1, 1), coalesce(max(seq), 0) \
                           FROM sqlite_sequence WHERE name = 'log'";
        let row = self.read.query_one_raw(statement(SQL, [])).await?.context("it has no end")?;
        Ok((row.try_get_by(0)?, row.try_get_by(1)?))
    }

    async fn clean(&self) -> Result<(), DbErr> {
        let old = format!("DELETE FROM log WHERE appended_at < unixepoch() - {KEPT}");
        self.write.execute_unprepared(&old).await?;
        Ok(())
    }
}

fn statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
}

async fn identity(db: &DatabaseConnection) -> anyhow::Result<String> {
    let row = db.query_one_raw(statement("SELECT id FROM identity", [])).await?;
    Ok(format!("local:{}", row.context("it has no identity")?.try_get_by::<String, _>(0)?))
}

#[async_trait]
impl Bus for LocalBus {
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
        let (first, last) = self.extent().await?;
        if let Some(why) = lost(first, last, after) {
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
