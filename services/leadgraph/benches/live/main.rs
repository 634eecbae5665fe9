//! How fast live delivery is, and what a subscriber costs.
//!
//! `cargo bench -p leadgraph --bench live [-- --only embedded|networked|broadcast --leads N --sockets N --rounds N]`
//! measures, in less than three minutes:
//!
//! - [`latency`]: from the commit of `createLead` to the frame at a subscriber of `notificationCreated`, with all
//!   services in one process over SQLite and the local bus, and with each in a process of its own over a PostgreSQL
//!   and a NATS that keep what they acknowledge;
//! - [`broadcast`]: one notification to many sockets, beside a bare server that sends frames of the same size
//!   through tokio-tungstenite ([`raw`]) to the same client ([`audience`]), in turns;
//! - [`broadcast`] also: the memory of a socket that is subscribed and idle.
//!
//! The program starts itself again for everything that has to be a process of its own: the services ([`services`]),
//! the bare server and the clients. It fails when a limit is broken. The limits are meant for an idle machine.

mod audience;
mod broadcast;
mod child;
mod latency;
mod raw;
mod services;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::ExitCode;
use testkit::report::Report;

/// File descriptors of a process beside those of its sockets.
const OTHER_FILES: usize = 200;

#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    what: What,
}

/// What is measured, and how often.
#[derive(Args)]
struct What {
    /// Measure only this
    #[arg(long)]
    only: Option<Part>,
    /// Leads that are created in each mode
    #[arg(long, default_value_t = 300)]
    leads: usize,
    /// Sockets that are told everything
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Turns of each of the two servers
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Embedded,
    Networked,
    Broadcast,
}

/// What a process that the bench starts is there for.
#[derive(Subcommand)]
enum Role {
    /// Runs services until it is killed
    #[command(hide = true)]
    Services { listeners: Vec<services::Listener> },
    /// Sends frames of so many bytes
    #[command(hide = true)]
    RawServer { bytes: usize },
    /// Counts what so many sockets are sent
    #[command(hide = true)]
    Audience { url: String, token: String, sockets: usize },
}

impl What {
    fn includes(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

fn main() -> ExitCode {
    let Cli { role, what } = Cli::parse();
    let outcome = match role {
        Some(Role::Services { listeners }) => many_threads(services::run(listeners)).map(|()| true),
        Some(Role::RawServer { bytes }) => many_threads(raw::run(bytes)).map(|()| true),
        Some(Role::Audience { url, token, sockets }) => {
            many_threads(audience::run(url, token, sockets)).map(|()| true)
        }
        // On the main thread, which the lives of the other processes are tied to
        None => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Into::into)
            .and_then(|runtime| runtime.block_on(measure(&what))),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("live: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// As the services' own programs run.
fn many_threads(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Measures and prints; whether all limits are kept.
async fn measure(what: &What) -> Result<bool> {
    ensure!(what.leads > 0 && what.sockets > 0 && what.rounds > 0, "there is nothing to count");
    let mut report = Report::default();
    if what.includes(Part::Embedded) {
        latency::embedded(what.leads, &mut report).await.context("embedded")?;
    }
    if what.includes(Part::Networked) {
        latency::networked(what.leads, &mut report).await.context("networked")?;
    }
    if what.includes(Part::Broadcast) {
        allow_files(what.sockets + OTHER_FILES)?;
        broadcast::measure(what.sockets, what.rounds, &mut report).await.context("broadcast")?;
    }
    Ok(report.all_kept())
}

/// Lets this process, and those it starts, have so many files open.
fn allow_files(wanted: usize) -> Result<()> {
    let wanted = u64::try_from(wanted)?;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).with_context(|| {
            format!("this needs {wanted} open files: raise `ulimit -Hn`, or use fewer --sockets")
        })?;
    }
    Ok(())
}
