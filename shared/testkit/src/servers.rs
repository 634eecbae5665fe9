//! Throw-away servers for a whole test run, started by the binary `with-servers`.

use std::env;
use std::fs::{self, File, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sea_orm::{ConnectOptions, Database};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::database::POSTGRES_VARIABLE;
use crate::process::{POLL, free_port, tail};
use crate::tethered::{tethered, tethered_as};

/// The account PostgreSQL runs under where this process is root, which PostgreSQL refuses.
const ACCOUNT: &str = "postgres";
/// Servers of a second's work that need longer than this are broken.
const DEADLINE: Duration = Duration::from_mins(1);
/// Speed for durability that no test needs, and room for every test at once.
const SETTINGS: [&str; 4] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"];
/// Waits for the end of its standard input, which is the end of the owner, then removes the folder. More than
/// once, because servers that are still stopping write to it.
const JANITOR: &str =
    r#"cat; for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && [ "$i" -gt 1 ] && break; sleep 0.1; done"#;

/// Servers on free ports of the loopback address with their files in one temporary folder. The servers die and
/// the folder goes when the owner ends, also when it is killed; [`Servers::stop`] does both at once.
#[derive(Debug)]
pub struct Servers {
    running: Vec<Server>,
    folder: TempDir,
    janitor: Child,
}

#[derive(Debug)]
struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// The variable that tells the tests where it is, and its value.
    variable: (&'static str, String),
}

impl Servers {
    /// Starts PostgreSQL, and NATS with JetStream where asked for, and waits until they answer. Must be called
    /// from a thread that outlives the servers' use.
    ///
    /// # Errors
    /// When a server is not installed or does not start, with the end of its log.
    pub async fn start(with_nats: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("leadgraph-test-").tempdir()?;
        // PostgreSQL's account has to get through
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let mut servers = Self { running: Vec::new(), janitor: janitor(folder.path())?, folder };
        servers.running.push(postgres(servers.folder.path())?);
        if with_nats {
            servers.running.push(nats(servers.folder.path())?);
        }
        for server in &mut servers.running {
            server.wait_until_it_answers().await?;
        }
        Ok(servers)
    }

    /// The environment variables that tell the tests where the servers are.
    pub fn variables(&self) -> impl Iterator<Item = &(&'static str, String)> {
        self.running.iter().map(|server| &server.variable)
    }

    /// Stops the servers and removes their folder.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn stop(mut self) -> Result<()> {
        self.running.clear();
        let path = self.folder.path().to_owned();
        self.folder.close().with_context(|| format!("{} is left behind", path.display()))?;
        // The folder is gone: the janitor has nothing to do
        self.janitor.kill()?;
        self.janitor.wait()?;
        Ok(())
    }
}

impl Server {
    /// Connects as a client does, again and again.
    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        while let Err(error) = self.answers().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.tail());
            }
            let name = self.name;
            ensure!(start.elapsed() < DEADLINE, "{name} does not answer: {error:#}\n{}", self.tail());
            sleep(POLL).await;
        }
        Ok(())
    }

    async fn answers(&self) -> Result<()> {
        let (variable, url) = &self.variable;
        let address = url.split(['/', '@']).find(|part| part.starts_with("127.")).context("no address")?;
        TcpStream::connect(address).await?;
        if *variable == POSTGRES_VARIABLE {
            // It takes connections, and turns them away, before it is ready
            let mut options = ConnectOptions::new(url);
            options.max_connections(1).connect_timeout(DEADLINE).sqlx_logging(false);
            Database::connect(options).await?.close().await?;
        }
        Ok(())
    }

    fn tail(&self) -> String {
        tail(&fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Once it has been waited for, its id may be another process's
        if matches!(self.child.try_wait(), Ok(None)) {
            // For PostgreSQL: now, without waiting for clients
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            let _ = self.child.wait();
        }
    }
}

fn postgres(folder: &Path) -> Result<Server> {
    let programs = postgres_programs()?;
    let data = folder.join("postgres");
    fs::create_dir(&data)?;
    if rustix::process::geteuid().is_root() {
        let (user, group) = account(&fs::read_to_string("/etc/passwd")?)?;
        chown(&data, Some(user), Some(group))?;
    }
    let mut initdb = tethered_as(ACCOUNT, programs.join("initdb"), "KILL");
    // Byte order, the same as SQLite's
    initdb
        .args(["-U", ACCOUNT, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
        .arg(&data);
    let output = initdb.current_dir("/").output().context("cannot run initdb")?;
    ensure!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));

    let port = free_port();
    let mut server = tethered_as(ACCOUNT, programs.join("postgres"), "INT");
    server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()]);
    server.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    let url = format!("postgres://{ACCOUNT}@{}:{port}/postgres", Ipv4Addr::LOCALHOST);
    started("PostgreSQL", server, folder.join("postgres.log"), (POSTGRES_VARIABLE, url))
}

fn nats(folder: &Path) -> Result<Server> {
    let port = free_port();
    let mut server = tethered("nats-server", "INT");
    server.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(folder.join("nats"));
    let url = format!("nats://{}:{port}", Ipv4Addr::LOCALHOST);
    started("NATS", server, folder.join("nats.log"), ("LEADGRAPH_TEST_NATS", url))
}

fn started(
    name: &'static str,
    mut command: Command,
    log: PathBuf,
    variable: (&'static str, String),
) -> Result<Server> {
    let file = File::create(&log)?;
    command.current_dir("/").stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    // A group of its own: Ctrl-C in a terminal is for the command, which may need the server while it ends
    let child = command.process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
    Ok(Server { name, child, log, variable })
}

fn janitor(folder: &Path) -> Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", JANITOR, "janitor"]).arg(folder);
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).spawn().context("cannot start sh")
}

/// The folder with `initdb` and `postgres`: in `PATH`, or the newest of Debian's.
fn postgres_programs() -> Result<PathBuf> {
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
