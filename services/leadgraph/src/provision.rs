//! Finds the Apollo Router, or gets it (ADR 0003).
//!
//! In this order: `APOLLO_ROUTER`; a `router` of our version in `PATH`; our cache folder; the official release, if
//! its checksum is pinned; a build from crates.io into the cache folder.

mod build;
mod download;

use std::{
    env,
    ffi::OsString,
    fs::{self, File, TryLockError},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::{
    process::Command,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// The router version that everything here is tested with, and that `apollo-federation` is pinned to.
pub const VERSION: &str = "2.16.5";

/// How long `router --version` may take; another program of that name may be a server that never returns.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a process that waits for another's download or build looks again.
const LOCK_RETRY: Duration = Duration::from_millis(500);

/// What decides where the router comes from. Empty values count as unset.
#[derive(Args, Clone, Debug, Default)]
pub struct RouterArgs {
    /// Apollo Router binary to run, instead of looking for one
    #[arg(long = "router", env = "APOLLO_ROUTER", value_name = "FILE")]
    pub binary: Option<OsString>,
    /// Folder that holds caches, by the XDG convention; `~/.cache` when unset or relative
    #[arg(long, env = "XDG_CACHE_HOME", value_name = "DIR", hide = true)]
    pub cache_home: Option<OsString>,
    /// Folders searched for a `router` and for `cargo`
    #[arg(long, env = "PATH", hide = true, hide_env_values = true)]
    pub path: Option<OsString>,
}

impl RouterArgs {
    /// Our cache folder for this router version.
    ///
    /// # Errors
    /// Neither `XDG_CACHE_HOME` nor the home folder is known.
    pub fn cache_dir(&self) -> Result<PathBuf> {
        let named = self.cache_home.as_ref().map(PathBuf::from).filter(|folder| folder.is_absolute());
        let home = || env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".cache"));
        let base = named.or_else(home).context(
            "no folder to keep the Apollo Router in: set HOME or XDG_CACHE_HOME, or name a router in APOLLO_ROUTER",
        )?;
        Ok(base.join("leadgraph/router").join(VERSION))
    }

    /// Files called `name` in `PATH` that can be run, in order.
    fn in_path(&self, name: &str) -> Vec<PathBuf> {
        let path = self.path.clone().unwrap_or_default();
        env::split_paths(&path)
            .map(|folder| folder.join(name))
            .filter(|file| file.is_absolute() && is_executable(file))
            .collect()
    }
}

/// Where the router lies in a cache folder of [`RouterArgs::cache_dir`].
fn cached(cache: &Path) -> PathBuf {
    cache.join("bin/router")
}

/// The path of a router binary; gets one when there is none, which takes seconds to download and about 15 minutes
/// to build on two cores.
///
/// # Errors
/// `APOLLO_ROUTER` is not a program, the cache folder is not writable, or the build fails; the message says what
/// to do.
pub async fn provision(args: &RouterArgs) -> Result<PathBuf> {
    if let Some(named) = args.binary.as_ref().filter(|named| !named.is_empty()) {
        return explicit(Path::new(named)).await;
    }
    for candidate in args.in_path("router") {
        match version(&candidate).await {
            Some(found) if found == VERSION => return Ok(candidate),
            found => info!(
                file = %candidate.display(),
                found = found.as_deref().unwrap_or("none"),
                wanted = VERSION,
                "router in PATH passed over"
            ),
        }
    }
    let cache = args.cache_dir()?;
    if is_executable(&cached(&cache)) {
        return Ok(cached(&cache));
    }
    fetch(args, &cache).await
}

/// The router that `APOLLO_ROUTER` names. Another version is the user's choice, so it only warns.
async fn explicit(binary: &Path) -> Result<PathBuf> {
    ensure!(binary.exists(), "APOLLO_ROUTER names {}, which does not exist", binary.display());
    ensure!(
        is_executable(binary),
        "APOLLO_ROUTER names {}, which is not an executable file",
        binary.display()
    );
    let found = version(binary).await;
    if found.as_deref() != Some(VERSION) {
        let found = found.unwrap_or_else(|| "unknown".to_owned());
        warn!(file = %binary.display(), found, tested = VERSION, "APOLLO_ROUTER is not the tested version");
    }
    fs::canonicalize(binary).with_context(|| format!("cannot resolve {}", binary.display()))
}

/// Downloads or builds, one process at a time; who waited finds the binary of who was first.
async fn fetch(args: &RouterArgs, cache: &Path) -> Result<PathBuf> {
    let binary = cached(cache);
    let _lock = lock(cache).await?;
    if is_executable(&binary) {
        return Ok(binary);
    }
    match download::download(&download::RELEASE, &binary).await {
        Ok(true) => return Ok(binary),
        Ok(false) => {
            info!(version = VERSION, "no pinned checksum for this platform's release: building instead");
        }
        Err(error) => warn!("cannot download the Apollo Router: {error:#}; building instead"),
    }
    let cargo = args.in_path("cargo").into_iter().next().with_context(|| {
        format!(
            "no Apollo Router {VERSION} found, and no cargo in PATH to build it with; \
             install Rust (https://rustup.rs), or name a router in APOLLO_ROUTER"
        )
    })?;
    build::build(&cargo, cache, &binary, binder().as_deref()).await?;
    Ok(binary)
}

/// This program, if it can bind the build to its life: it is `leadgraph`, which a test of the library is not, and this
/// is the main thread; the build would end with another one.
fn binder() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let can = program.file_name()? == "leadgraph" && thread::current().name() == Some("main");
    can.then_some(program)
}

/// Holds the cache folder against other launchers until dropped; the kernel lets go when the process dies.
async fn lock(cache: &Path) -> Result<File> {
    let path = cache.join("lock");
    let file = fs::create_dir_all(cache)
        .and_then(|()| File::create(&path))
        .with_context(|| format!("cannot write to the cache folder, {}", cache.display()))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if told => {}
            Err(TryLockError::WouldBlock) => {
                told = true;
                eprintln!("Another process is getting the Apollo Router; waiting for it");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        // Not a blocking wait in a thread: Ctrl-C could not end it
        sleep(LOCK_RETRY).await;
    }
}

/// What `binary --version` prints, or `None` when it is no program that answers in time.
async fn version(binary: &Path) -> Option<String> {
    let mut command = Command::new(binary);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(VERSION_TIMEOUT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
pub(crate) mod tests;
