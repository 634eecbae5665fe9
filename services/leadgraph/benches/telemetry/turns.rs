//! Two that answer the same query in short turns, so that what happens to the machine happens to both.

use crate::{MAX_RATIO, product::token};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::Client;
use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};
use testkit::report::{Report, beside, median, title};

/// How long a turn is.
const TURN: Duration = Duration::from_millis(500);
/// Turns before the first that counts.
const WARM_UP: usize = 3;
/// Who ask at the same time: enough that nobody waits for the network.
const CLIENTS: usize = 4;
const QUERY: &str = "{ leads(limit: 20, orderBy: { field: BUDGET, direction: DESC }) { id firstName lastName email status budget createdAt } }";

/// What answers, and the processes that do the work.
pub struct End {
    pub url: String,
    pub processes: Vec<u32>,
}

/// One turn.
#[derive(Clone, Copy)]
struct Turn {
    /// Answers in a second.
    rate: f64,
    /// Milliseconds of a processor for an answer.
    cost: f64,
}

/// The turns of both, each beside that of the other which came next to it.
pub struct Outcome {
    with: Vec<Turn>,
    without: Vec<Turn>,
}

/// Lets both answer in turns; the one with telemetry is the first of the two.
pub async fn measure(ends: &[End; 2], rounds: usize) -> Result<Outcome> {
    let client = Client::builder().no_proxy().pool_max_idle_per_host(CLIENTS).build()?;
    let mut outcome = Outcome { with: Vec::new(), without: Vec::new() };
    for round in 0..rounds + WARM_UP {
        // Who comes second has the warmer processor, so they take turns with that, too
        let order = if round.is_multiple_of(2) { [0, 1] } else { [1, 0] };
        let mut turns = [Turn { rate: 0.0, cost: 0.0 }; 2];
        for which in order {
            turns[which] = turn(&client, &ends[which]).await?;
        }
        if round >= WARM_UP {
            outcome.with.push(turns[0]);
            outcome.without.push(turns[1]);
        }
    }
    Ok(outcome)
}

impl Outcome {
    /// Prints what came of it.
    pub fn tell(&self, what: &str, report: &mut Report) {
        let of = |turns: &[Turn], part: fn(&Turn) -> f64| median(&turns.iter().map(part).collect::<Vec<_>>());
        let ratio = |part: fn(&Turn, &Turn) -> f64| {
            let pairs = self.with.iter().zip(&self.without);
            median(&pairs.map(|(with, without)| part(with, without)).collect::<Vec<_>>())
        };
        title(&format!("{what}: medians of {} turns of {} ms each", self.with.len(), TURN.as_millis()));
        beside("answers, without telemetry", of(&self.without, |turn| turn.rate), "/s");
        beside("answers, with telemetry", of(&self.with, |turn| turn.rate), "/s");
        beside("processor for an answer, without telemetry", of(&self.without, |turn| turn.cost), "ms");
        beside("processor for an answer, with telemetry", of(&self.with, |turn| turn.cost), "ms");
        beside("processor, with telemetry to without", ratio(|with, without| with.cost / without.cost), "");
        report.at_most(
            "throughput, without telemetry to with",
            ratio(|with, without| without.rate / with.rate),
            MAX_RATIO,
            "",
        );
    }
}

/// Asks as fast as it answers.
async fn turn(client: &Client, end: &End) -> Result<Turn> {
    let (before, begin, token) = (processor_time(end)?, Instant::now(), token());
    let answers = try_join_all((0..CLIENTS).map(|_| keep_asking(client, &end.url, &token, begin))).await?;
    let (answers, seconds) = (answers.iter().sum::<u32>(), begin.elapsed().as_secs_f64());
    let spent = processor_time(end)? - before;
    Ok(Turn { rate: f64::from(answers) / seconds, cost: spent * 1e3 / f64::from(answers) })
}

async fn keep_asking(client: &Client, url: &str, token: &str, begin: Instant) -> Result<u32> {
    let (mut answers, question) = (0, json!({ "query": QUERY }));
    while begin.elapsed() < TURN {
        let answer = client.post(url).bearer_auth(token).json(&question).send().await?.bytes().await?;
        ensure!(answer.starts_with(b"{\"data\":{\"leads\":[{"), "{}", String::from_utf8_lossy(&answer));
        answers += 1;
    }
    Ok(answers)
}

/// How long the processes have run, in seconds.
fn processor_time(end: &End) -> Result<f64> {
    let mut nanos = 0.0;
    for process in &end.processes {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            // One that ends meanwhile takes its time with it, which is little
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            nanos += text.split_whitespace().next().context("no schedstat")?.parse::<f64>()?;
        }
    }
    ensure!(nanos > 0.0, "the kernel does not count the time of threads");
    Ok(nanos / 1e9)
}
