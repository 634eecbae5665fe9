//! One database's copy, and what is known of it once it was checked.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Pages copied at once, 4 MB; then it says how far it is.
const PAGES: i32 = 1_000;
/// Between two attempts where the file is locked.
const PAUSE: Duration = Duration::from_millis(10);

/// Copies what a connection sees into a new file that its owner alone can read.
///
/// The connection is in a transaction that reads, so that all of it is of one moment, however long it takes.
pub fn copy(from: &Connection, to: &Path, progress: &dyn Fn(u64) -> Result<()>) -> Result<()> {
    events::sqlite::create_private(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut copy = open(to)?;
    // One fsync at the end instead: until then the file is nobody's
    copy.execute_batch("PRAGMA synchronous = OFF")?;
    let size = from.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    let backup = Backup::new(from, &mut copy)?;
    loop {
        let step = backup.step(PAGES).with_context(|| format!("cannot write {}", to.display()))?;
        let at = backup.progress();
        progress(u64::from((at.pagecount - at.remaining).unsigned_abs()) * size)?;
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            StepResult::Busy | StepResult::Locked => thread::sleep(PAUSE),
            other => bail!("SQLite says {other:?}"),
        }
    }
}

/// A copy that was checked and is on disk.
#[derive(Serialize)]
pub struct Copied {
    pub service: &'static str,
    file: String,
    /// The last one that was applied.
    pub migration: String,
    pub size: u64,
    pub sha256: String,
}

impl Copied {
    /// Makes the file one that needs no other, and checks it.
    pub fn check(service: &'static str, file: &Path) -> Result<Self> {
        let migration = stand_alone(service, file)?;
        let mut copy = File::open(file)?;
        copy.sync_all().with_context(|| format!("cannot write {}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (size, sha256) = digest(&mut copy)?;
        Ok(Self { service, file: name, migration, size, sha256 })
    }
}

/// The last migration of a copy that is sound.
fn stand_alone(service: &str, file: &Path) -> Result<String> {
    let copy = open(file)?;
    let mode: String = copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    ensure!(mode == "delete", "the copy stays in journal mode {mode}");
    let said: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    ensure!(said == "ok", "the database is damaged: {said}");
    let last = copy
        .query_row("SELECT max(version) FROM seaql_migrations", [], |row| row.get::<_, Option<String>>(0));
    last.ok()
        .flatten()
        .with_context(|| format!("this is no database of {service}: nothing was ever migrated"))
}

/// Size and SHA-256, in lower-case hex.
fn digest(file: &mut File) -> io::Result<(u64, String)> {
    let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        size += read as u64;
    }
    Ok((size, hash.finalize().iter().fold(String::with_capacity(64), |hex, byte| format!("{hex}{byte:02x}"))))
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_sha256sum_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "abc").unwrap();
        let (size, sha256) = digest(&mut File::open(file).unwrap()).unwrap();
        assert_eq!(size, 3);
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
