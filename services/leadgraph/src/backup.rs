//! `leadgraph backup`: all SQLite databases as they were at one moment, and the keys, in a folder of their own.
//!
//! It works beside the running services and without them. What it takes is one moment of all databases, so that no
//! copy knows of anything that another one does not have: see [`moment`].

mod copy;
mod folder;
mod moment;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use subgraph::{Clock, Config, stop_signal, write_file};

use crate::{
    bar::bar,
    services,
    table::{print, table},
};
use copy::Copied;
use folder::Folder;
use moment::Moment;

/// Describes a backup, inside it.
const MANIFEST: &str = "backup.json";

/// What `leadgraph backup` can be told.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// Folder that the backup becomes; when it is there, the backup is complete
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Folder of the SQLite files and keys
    #[arg(long, env = "LEADGRAPH_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
}

/// One service's database.
struct Source {
    service: &'static str,
    file: PathBuf,
}

/// What to take.
struct Plan {
    sources: Vec<Source>,
    /// The keys' files, and what they are called in the backup.
    keys: Vec<(PathBuf, &'static str)>,
}

/// What a backup says of itself.
#[derive(Serialize)]
struct Manifest {
    version: &'static str,
    at: DateTime<Utc>,
    databases: Vec<Copied>,
    keys: Vec<&'static str>,
}

/// Makes the backup and prints what is in it. Asked to stop, it removes what it has begun.
///
/// # Errors
/// A database is missing, elsewhere or damaged, the folder is there already, or it cannot be written.
pub async fn backup(args: &BackupArgs) -> Result<()> {
    let plan = Plan::new(&args.data_dir)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let (folder, asked) = (args.folder.clone(), stopped.clone());
    let mut work = tokio::task::spawn_blocking(move || plan.run(&folder, &asked));
    let lines = tokio::select! {
        lines = &mut work => lines?,
        signal = stop_signal() => {
            signal?;
            stopped.store(true, Ordering::Relaxed);
            work.await?
        }
    };
    print(&lines?).context("cannot print").map(drop)
}

impl Plan {
    fn new(data_dir: &Path) -> Result<Self> {
        let flag = format!("--data-dir={}", data_dir.display());
        let mut sources = Vec::new();
        for service in services::all() {
            let config = service.config_from([&flag])?;
            sources.push(Source { service: service.name(), file: file(service.name(), &config)? });
        }
        let config = accounts::subgraph().config_from([flag])?;
        let keys = [
            (accounts::signing_key_file(&config), "jwt-signing-key.pem"),
            (data_dir.join("service.key"), "service.key"),
        ];
        // Given by a variable, they are in no file
        let keys = keys.into_iter().filter(|(file, _)| file.exists()).collect();
        Ok(Self { sources, keys })
    }

    fn run(&self, folder: &Path, stopped: &AtomicBool) -> Result<Vec<String>> {
        let folder = Folder::begin(folder)?;
        let moment = Moment::seize(&self.sources, stopped)?;
        let (at, held) = (Clock::System.now(), moment.held);
        let databases = self.copy(moment, &folder, stopped)?;
        for (file, name) in &self.keys {
            let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            write_file(&folder.path().join(name), &content)?;
        }
        let keys = self.keys.iter().map(|(_, name)| *name).collect();
        let manifest = Manifest { version: env!("CARGO_PKG_VERSION"), at, databases, keys };
        write_file(
            &folder.path().join(MANIFEST),
            format!("{:#}\n", serde_json::to_value(&manifest)?).as_bytes(),
        )?;
        let folder = folder.finish()?;
        let mut lines = manifest.lines();
        let held = held.as_secs_f64() * 1_000.0;
        lines.push(format!("{} is complete; writers waited for {held:.1} ms", folder.display()));
        Ok(lines)
    }

    fn copy(&self, moment: Moment, folder: &Folder, stopped: &AtomicBool) -> Result<Vec<Copied>> {
        let bar = bar("{spinner} [{elapsed_precise}] {bar:40} {bytes}/{total_bytes} {prefix} {eta}");
        let copies = copies(&self.sources, moment, folder.path(), &bar, stopped);
        bar.finish_and_clear();
        copies
    }
}

fn copies(
    sources: &[Source],
    moment: Moment,
    folder: &Path,
    bar: &ProgressBar,
    stopped: &AtomicBool,
) -> Result<Vec<Copied>> {
    bar.set_length(moment.bytes()?);
    let mut copied = Vec::new();
    for (source, seen) in sources.iter().zip(moment.databases) {
        bar.set_prefix(source.service);
        let to = folder.join(source.service).with_extension("sqlite");
        let before = bar.position();
        let progress = |bytes: u64| {
            bar.set_position(before + bytes);
            go_on(stopped)
        };
        let cannot = || format!("cannot back up {}", source.service);
        copy::copy(&seen, &to, &progress).with_context(cannot)?;
        // The snapshot keeps the services from tidying their log: it goes as soon as it can
        drop(seen);
        copied.push(Copied::check(source.service, &to).with_context(cannot)?);
    }
    Ok(copied)
}

/// Says whether nobody has asked it to stop.
fn go_on(stopped: &AtomicBool) -> Result<()> {
    ensure!(!stopped.load(Ordering::Relaxed), "stopped before the backup was complete; nothing of it stays");
    Ok(())
}

/// The database's file, which must be there.
fn file(service: &str, config: &Config) -> Result<PathBuf> {
    let Some(file) = config.sqlite_file(service) else {
        bail!(
            "{service} is on Postgres, which has a backup of its own: pg_dump takes all services at one moment \
             (docs/operations.md, Backup)"
        );
    };
    ensure!(
        file.is_file(),
        "{service} has no database at {}; name the data folder with --data-dir, or start Leadgraph once",
        file.display()
    );
    Ok(file)
}

impl Manifest {
    fn lines(&self) -> Vec<String> {
        let row = |it: &Copied| {
            [it.service.to_owned(), it.size.to_string(), it.migration.clone(), it.sha256.clone()]
        };
        let rows: Vec<_> = self.databases.iter().map(row).collect();
        let mut lines = table(["SERVICE", "BYTES", "MIGRATION", "SHA-256"], &rows);
        lines.push(if self.keys.is_empty() {
            "no keys: there are no files of them".into()
        } else {
            format!("keys: {}", self.keys.join(", "))
        });
        lines
    }
}
