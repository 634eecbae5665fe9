//! PostgreSQL with an empty cluster.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use tokio::time::sleep;

use super::folder::Folder;
use super::server::{Kind, Server};
use crate::process::POLL;
use crate::tethered::tethered_as;

/// The account PostgreSQL runs under where this process is root, which PostgreSQL refuses.
const ACCOUNT: &str = "postgres";
/// Room for every test at once.
const ROOM: &str = "max_connections=300";
/// Speed instead of durability.
const FAST: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
/// What a power cut must not undo.
const DURABLE: [&str; 3] = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];
/// How long a connection, and a start after a crash, may take.
const DEADLINE: Duration = Duration::from_mins(1);
/// Ends the sessions of all clients but this one.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// A PostgreSQL of the test's own that keeps what it has committed, stopped and removed when this is dropped or
/// the test's process dies.
#[derive(Debug)]
pub struct Postgres {
    // Dropped before its folder
    server: Server,
    folder: Folder,
}

impl Postgres {
    /// Starts one that is empty, and waits until it answers.
    ///
    /// # Panics
    /// When it is not installed or does not start, with the end of its log.
    pub async fn start() -> Self {
        let folder = Folder::create().expect("a temporary folder");
        let spawned =
            init(folder.path()).and_then(|()| Server::spawn(Kind::Postgres { durable: true }, folder.path()));
        let mut server = spawned.unwrap_or_else(|error| panic!("{error:#}"));
        server.ready().await.unwrap_or_else(|error| panic!("{error:#}"));
        Self { server, folder }
    }

    /// Where it is, as `DATABASE_URL` takes it; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Stops it as an operator would, without waiting for its clients, starts it again on the same port with the
    /// data it has, and waits until it answers. After a crash it only starts.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    pub async fn restart(&mut self) {
        self.server.end(Signal::INT).expect("a child can be signalled");
        let start = Instant::now();
        while let Err(error) = self.start_again().await {
            // After a crash it refuses as long as a process of before is still ending
            assert!(start.elapsed() < DEADLINE, "{error:#}");
            sleep(POLL).await;
        }
    }

    async fn start_again(&mut self) -> Result<()> {
        self.server.spawn_again()?;
        self.server.ready().await
    }

    /// Ends it at once, as a crash would (SIGKILL); the processes of its clients' sessions notice and end, too.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&mut self) {
        self.server.end(Signal::KILL).expect("a child can be killed");
    }

    /// Makes it offer TLS from now on, with this certificate and key in PEM.
    ///
    /// # Panics
    /// When it does not take them.
    pub async fn offer_tls(&self, certificate: &str, key: &str) {
        let data = data(self.folder.path());
        give(&data.join("server.crt"), certificate).expect("the certificate is written");
        give(&data.join("server.key"), key).expect("the key is written");
        let connection = connect(&self.url()).await.expect("a connection");
        for statement in ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
            connection.execute_unprepared(statement).await.expect("it is set");
        }
        connection.close().await.expect("the connection closes");
    }

    /// Ends every session but the one that does it.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn terminate_all(&self) {
        let connection = connect(&self.url()).await.expect("a connection");
        connection.execute_unprepared(TERMINATE).await.expect("the sessions end");
        connection.close().await.expect("the connection closes");
    }
}

/// A file for the server, which it takes only when nobody else can read it.
fn give(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    if rustix::process::geteuid().is_root() {
        let (user, group) = account(&fs::read_to_string("/etc/passwd")?)?;
        chown(path, Some(user), Some(group))?;
    }
    Ok(())
}

pub(super) fn url(port: u16) -> String {
    format!("postgres://{ACCOUNT}@{}:{port}/postgres", Ipv4Addr::LOCALHOST)
}

/// Makes an empty cluster in this folder.
pub(super) fn init(folder: &Path) -> Result<()> {
    let data = data(folder);
    fs::create_dir(&data)?;
    if rustix::process::geteuid().is_root() {
        let (user, group) = account(&fs::read_to_string("/etc/passwd")?)?;
        chown(&data, Some(user), Some(group))?;
    }
    let mut initdb = tethered_as(ACCOUNT, programs()?.join("initdb"), "KILL");
    // Byte order, the same as SQLite's
    initdb
        .args(["-U", ACCOUNT, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
        .arg(&data);
    let output = initdb.current_dir("/").output().context("cannot run initdb")?;
    ensure!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

pub(super) fn command(folder: &Path, port: u16, durable: bool) -> Result<Command> {
    let mut server = tethered_as(ACCOUNT, programs()?.join("postgres"), "INT");
    server.arg("-D").arg(data(folder)).args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()]);
    let settings = if durable { DURABLE } else { FAST };
    server.args([ROOM].iter().chain(&settings).flat_map(|setting| ["-c", setting]));
    Ok(server)
}

/// It takes connections, and turns them away, before it is ready.
pub(super) async fn answers(url: &str) -> Result<()> {
    Ok(connect(url).await?.close().await?)
}

async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).connect_timeout(DEADLINE).sqlx_logging(false);
    Database::connect(options).await
}

fn data(folder: &Path) -> PathBuf {
    folder.join("postgres")
}

/// The folder with `initdb` and `postgres`: in `PATH`, or the newest of Debian's.
fn programs() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let version = |folder: &PathBuf| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    debian.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    env::split_paths(&path)
        .chain(debian.into_iter().map(|folder| folder.join("bin")))
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context("PostgreSQL is not installed: no initdb and postgres in PATH or /usr/lib/postgresql/*/bin. ./test installs it")
}

/// The ids of PostgreSQL's account in the text of /etc/passwd.
fn account(passwd: &str) -> Result<(u32, u32)> {
    let mut users = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = users.find(|fields| fields.first() == Some(&ACCOUNT)).filter(|fields| fields.len() > 3);
    let fields = fields
        .with_context(|| format!("there is no account {ACCOUNT}, which root needs to run PostgreSQL"))?;
    Ok((fields[2].parse()?, fields[3].parse()?))
}
