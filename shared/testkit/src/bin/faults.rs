//! Random faults under random load, as long as you like: `./test faults --minutes N --seed S`.

use std::time::Duration;

use clap::Parser;
use subgraph::Random;
use testkit::faults::{self, Length};

/// Starts all services over servers of their own and breaks one thing after the other under load. After each round
/// it checks that no change and no event was lost or done twice. It ends at the first thing that is wrong.
#[derive(Parser)]
struct Arguments {
    /// For how long
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// For so many rounds instead
    #[arg(long)]
    rounds: Option<u32>,
    /// What a run printed at its beginning, to repeat it [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// SQLite files and a log of events beside them, instead of PostgreSQL and NATS
    #[arg(long)]
    embedded: bool,
}

#[tokio::main]
async fn main() {
    let Arguments { minutes, rounds, seed, embedded } = Arguments::parse();
    let seed = seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(Random::System.bytes())));
    let length = rounds.map_or(Length::Time(Duration::from_mins(minutes)), Length::Rounds);
    Box::pin(faults::run(seed, embedded, length)).await;
}
