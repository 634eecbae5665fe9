//! What telemetry costs.
//!
//! `cargo bench -p leadgraph --bench telemetry [-- --only service|router --rounds N]` measures, in less than two minutes,
//! the throughput of one list query by two `leads` over copies of one database: one sends a tenth of its traces and
//! all its metrics to a receiver on this machine ([`receiver`]), the other tells nobody anything. They answer in
//! short turns, one after the other ([`turns`]); then the same through a router each, one of which sends its traces,
//! too. The program starts itself again for `leads` ([`product`]); `APOLLO_ROUTER` names the router.
//!
//! It fails when a median is over its limit. The limits are meant for an idle machine.

mod product;
mod receiver;
mod turns;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use product::{Pair, seeded};
use receiver::Receiver;
use std::process::ExitCode;
use testkit::report::Report;

/// Throughput without telemetry, as a multiple of that with it.
const MAX_RATIO: f64 = 1.05;

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
    /// Turns of each of the two
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Service,
    Router,
}

/// What a process that the bench starts is there for.
#[derive(Subcommand)]
enum Role {
    /// Runs `leads` until it is asked to stop
    #[command(hide = true)]
    Leads { port: u16 },
}

fn main() -> ExitCode {
    let Cli { role, what } = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| match role {
        Some(Role::Leads { port }) => runtime.block_on(product::run(port)).map(|()| true),
        None => runtime.block_on(measure(&what)),
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("telemetry: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; whether all limits are kept.
async fn measure(what: &What) -> Result<bool> {
    ensure!(what.rounds > 0, "there is nothing to count");
    let (receiver, data) = (Receiver::start().await?, seeded().await.context("seeding")?);
    let (mut report, pair) = (Report::default(), Pair::start(data.path(), &receiver).await?);
    if what.only != Some(Part::Router) {
        let outcome = turns::measure(&pair.services(), what.rounds).await.context("asking leads")?;
        outcome.tell("a list query of leads itself", &mut report);
    }
    if what.only != Some(Part::Service) {
        let routed = pair.routed(&receiver).await;
        let outcome = turns::measure(&routed.ends(), what.rounds).await.context("asking the router")?;
        outcome.tell("the same through the router", &mut report);
    }
    let (traces, metrics) = receiver.received();
    ensure!(
        traces > 0 && metrics > 0,
        "the receiver was sent {traces} times traces and {metrics} times metrics"
    );
    testkit::report::title(&format!(
        "The receiver was sent traces {traces} times and metrics {metrics} times"
    ));
    Ok(report.all_kept())
}
