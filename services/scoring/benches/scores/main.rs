//! What scoring costs at a million leads.
//!
//! `cargo bench -p scoring --bench scores [-- --only sqlite|postgres|live --leads N --interactions M --rounds N]` measures, in
//! some minutes:
//!
//! - [`bulk`]: `recalculateAllScores` of the release binary beside one hand-written statement ([`statement`]) that stores the
//!   same numbers, in turns: when all scores are there, and when none is. Meanwhile somebody asks for the top leads at
//!   a steady rate ([`client`]), and the process's memory is watched. On Postgres as an operator has it, with durable
//!   commits; and on SQLite, with the same numbers in the end;
//! - [`top`]: `topLeads` among few leads and among many;
//! - [`live`]: what one more interaction costs for a lead that has few, and for one that has 100,000.
//!
//! Everything is vacuumed before it is measured, as autovacuum would have done by then. It fails when a limit is
//! broken. The limits are meant for an idle machine.

mod bulk;
mod client;
mod live;
mod product;
mod seed;
mod statement;
mod top;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use std::process::ExitCode;
use testkit::report::Report;

/// What is measured.
#[derive(Parser)]
struct What {
    /// Measure only this
    #[arg(long)]
    only: Option<Part>,
    /// Leads there are
    #[arg(long, default_value_t = 1_000_000)]
    leads: i32,
    /// Interactions with them
    #[arg(long, default_value_t = 5_000_000)]
    interactions: i32,
    /// Turns of each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Postgres,
    Sqlite,
    Live,
}

impl What {
    fn includes(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&What::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scores: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; whether all limits are kept.
async fn measure(what: &What) -> Result<bool> {
    ensure!(what.leads > 0 && what.interactions > 0 && what.rounds > 0, "there is nothing to count");
    let (size, mut report) =
        (seed::Size { leads: what.leads, interactions: what.interactions }, Report::default());
    let mut stored = None;
    if what.includes(Part::Postgres) {
        stored = Some(bulk::on_postgres(size, what.rounds, &mut report).await.context("on Postgres")?);
    }
    if what.includes(Part::Sqlite) {
        bulk::on_sqlite(size, stored.as_deref(), &mut report).await.context("on SQLite")?;
    }
    if what.includes(Part::Live) {
        live::measure(&mut report).await.context("live")?;
    }
    Ok(report.all_kept())
}
