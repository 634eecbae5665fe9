//! Files of SQLite, and pools of connections to them: of the services' databases and of the log of events alike.

use sea_orm::{
    ConnectOptions,
    sqlx::{
        Connection, Sqlite,
        pool::PoolOptions,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use std::{fs, io, path::Path, time::Duration};

/// How long a connection waits for the lock of another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes a file for its owner alone, with its folder: there are personal data in it, and SQLite would let everyone
/// read it.
///
/// One that is there is not even opened: a process that closes any handle of a file loses all its locks on it, and
/// SQLite would delete the log of a database that it takes for unused.
///
/// # Errors
/// When the folder cannot be written.
pub fn create_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.write(true).create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A pool of so many connections to a file, in which what was acknowledged is on disk.
#[must_use]
pub fn options(path: &Path, max: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    options.max_connections(max).min_connections(1).sqlx_logging(false).test_before_acquire(false);
    options.map_sqlx_sqlite_pool_opts(only_sound).map_sqlx_sqlite_opts(|options| {
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        options.busy_timeout(BUSY_TIMEOUT)
    });
    options
}

/// Gives no connection out again whose transaction could not be ended. After errors such as a full disk SQLite
/// has rolled back by itself; sqlx's own `ROLLBACK` then fails, and it takes the next transaction for one inside
/// another: what that writes would never be committed, and nobody else could write.
fn only_sound(options: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
    options.after_release(|connection, _| {
        Box::pin(async move {
            if connection.is_in_transaction() {
                // Its end may be on the way
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        })
    })
}
