//! `cargo install apollo-router` into the cache folder, with its progress.

use std::{
    fs::{self, File},
    io::{IsTerminal as _, Write as _, stderr},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    time::{MissedTickBehavior, interval},
};

use super::VERSION;
use crate::{bar::bar, router::bound};

/// How many `Compiling` lines a build of [`VERSION`] prints, about; the last one takes half of the time.
const CRATES: u64 = 542;
/// How often progress is told where no terminal can show a bar.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// How many lines of the build's output an error repeats.
const TAIL: usize = 15;
/// Runs its arguments in this shell's process group, and ends the whole group when told to end: the kernel tells
/// only the shell that the launcher was killed, and cargo's compilers would work on for minutes without cargo.
const SUPERVISE: &str = "trap 'trap - TERM; kill 0' TERM; \"$@\" & wait $!";

/// Builds the router with `cargo` and puts it at `binary` in one step. What it compiled is kept until a build
/// succeeds, so that a failed one goes on where it stopped. Dropping this ends the build; with `binder`, see
/// [`bound::command`], it also ends when this process is killed.
pub async fn build(cargo: &Path, cache: &Path, binary: &Path, binder: Option<&Path>) -> Result<()> {
    let (target, root, log) = (cache.join("target"), cache.join("install"), cache.join("build.log"));
    eprintln!(
        "Building the Apollo Router {VERSION} once, into {} (about 15 minutes on 2 cores, 4 GB of disk); \
         APOLLO_ROUTER=FILE uses one you have. Log: {}",
        cache.display(),
        log.display()
    );
    let command = command(cargo, &root, &target, binder)?.spawn();
    let mut group = Group(command.with_context(|| format!("cannot run {}", cargo.display()))?);
    let lines = group.0.stderr.take().context("cargo has no stderr")?;
    let tail = follow(lines, &log).await?;
    let status = group.0.wait().await?;
    if !status.success() {
        bail!("building the Apollo Router failed ({status}); the log is {}\n{tail}", log.display());
    }
    install(&root, binary)?;
    // Some 2 GB that nobody needs again; what cannot be removed does no harm.
    let _ = fs::remove_dir_all(&target);
    let _ = fs::remove_dir_all(&root);
    Ok(())
}

/// A child and the processes of its group, which end when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Without an id it has ended
        if let Some(group) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

/// The router's build script needs protoc and the well-known types beside it; both come with us, because a protoc
/// installed without its include files fails after minutes of compiling.
fn command(cargo: &Path, root: &Path, target: &Path, binder: Option<&Path>) -> Result<Command> {
    let protoc = protoc_bin_vendored::protoc_bin_path().context("no protoc for this platform")?;
    let include = protoc_bin_vendored::include_path().context("no protoc includes for this platform")?;
    let mut command = bound::command(binder, Path::new("/bin/sh"))?;
    command
        .args(["-c", SUPERVISE, "sh"])
        .arg(cargo)
        .args(["install", "apollo-router", "--locked", "--force", "--no-track", "--bin", "router"])
        .arg(format!("--version={VERSION}"))
        .arg("--root")
        .arg(root)
        .arg("--target-dir")
        .arg(target)
        .env("PROTOC", protoc)
        .env("PROTOC_INCLUDE", include)
        // Colours would hide the words that progress is read from
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// Copies cargo's output to `log` and shows how far it is; returns the last lines.
async fn follow(output: ChildStderr, log: &Path) -> Result<String> {
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    // Not `lines()`: a compiler may print what is not UTF-8
    let mut lines = BufReader::new(output).split(b'\n');
    let mut progress = Progress::new();
    let mut tail = Vec::with_capacity(TAIL + 1);
    let mut tick = interval(REPORT_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tokio::select! {
            line = lines.next_segment() => {
                let Some(line) = line? else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                writeln!(file, "{line}")?;
                progress.line(&line);
                tail.push(line);
                if tail.len() > TAIL {
                    tail.remove(0);
                }
            }
            _ = tick.tick() => progress.report(),
        }
    }
    progress.bar.finish_and_clear();
    Ok(tail.join("\n"))
}

fn install(root: &Path, binary: &Path) -> Result<()> {
    let built: PathBuf = root.join("bin").join("router");
    ensure!(built.is_file(), "cargo built no {}", built.display());
    let folder = binary.parent().context("the cache folder has no parent")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::rename(&built, binary))
        .with_context(|| format!("cannot move the router to {}", binary.display()))
}

/// A bar on a terminal; a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    terminal: bool,
    crates: u64,
    last: String,
    started: Instant,
}

impl Progress {
    fn new() -> Self {
        let terminal = stderr().is_terminal();
        let bar = bar("{spinner} [{elapsed_precise}] {bar:30} {pos}/{len} {msg}");
        bar.set_length(CRATES);
        Self { bar, terminal, crates: 0, last: String::new(), started: Instant::now() }
    }

    fn line(&mut self, line: &str) {
        let Some(name) = compiling(line) else { return };
        self.crates += 1;
        name.clone_into(&mut self.last);
        self.bar.set_position(self.crates.min(CRATES - 1));
        self.bar.set_message(self.last.clone());
    }

    fn report(&self) {
        if !self.terminal {
            eprintln!(
                "Building the Apollo Router: {} of about {CRATES} crates, {} min; {}",
                self.crates,
                self.started.elapsed().as_secs() / 60,
                self.last
            );
        }
    }
}

/// The crate that a line of cargo's says it compiles.
fn compiling(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("Compiling ")?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::compiling;

    #[test]
    fn crates_are_read_from_cargos_lines() {
        assert_eq!(compiling("   Compiling tokio v1.54.0"), Some("tokio"));
        assert_eq!(compiling("  Downloaded tokio v1.54.0"), None);
        assert_eq!(compiling("error: could not compile `tokio`"), None);
    }
}
