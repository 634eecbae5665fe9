//! A long run of random faults under random load. All that is random comes from a seed: the same one makes the
//! same plan.

mod plan;

use std::thread;
use std::time::{Duration, Instant};

use events::outbox;
use sea_orm::{EntityTrait, QueryOrder, QuerySelect};
use tokio::time::sleep;

use crate::stack::delivery;
use crate::supergraph::SERVICES;
use crate::{Load, Stack};

pub use plan::{Fault, Plan, Round, ServerFault};

/// How often events come again.
const REPETITIONS: usize = 3;
/// How many of each service do, at most.
const REPEATED: u64 = 500;

/// When a run is long enough.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// After the round in which this time is over.
    Time(Duration),
    /// After so many rounds.
    Rounds(u32),
}

/// Runs a plan: after each round everything has to settle, to hold all invariants, and to have what was
/// acknowledged. Says what it does on standard output.
///
/// # Panics
/// When something is wrong: with the seed, the round, what was done in it, and the ends of all logs.
pub async fn run(seed: u64, embedded: bool, length: Length) {
    println!("seed {seed}");
    let mut stack = if embedded { Stack::embedded().await } else { Stack::networked().await };
    let start = Instant::now();
    for (number, round) in (1..).zip(Plan::new(seed, embedded)) {
        let culprit = Culprit(format!("seed {seed}, round {number}: {round}"));
        println!("round {number}: {round}");
        let begun = Instant::now();
        let acknowledged = play(&mut stack, &round).await;
        println!("round {number}: {acknowledged} changes, {:.1} s", begun.elapsed().as_secs_f64());
        drop(culprit);
        let over = match length {
            Length::Time(time) => start.elapsed() >= time,
            Length::Rounds(rounds) => number >= rounds,
        };
        if over {
            println!("all invariants held");
            return;
        }
    }
}

/// Says in which round it was when the thread panics.
struct Culprit(String);

impl Drop for Culprit {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("== {}", self.0);
        }
    }
}

/// One round; how much was acknowledged in it.
async fn play(stack: &mut Stack, round: &Round) -> u64 {
    let load = Load::start(stack.client(), round.load, round.workers);
    for (pause, fault) in &round.steps {
        sleep(*pause).await;
        inject(stack, fault).await;
    }
    load.more(10).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
    ledger.acknowledged()
}

async fn inject(stack: &mut Stack, fault: &Fault) {
    match fault {
        Fault::Kill(service, pause) => {
            stack.kill(service);
            sleep(*pause).await;
            stack.restart(service).await;
        }
        Fault::Stop(service) => {
            let status = stack.terminate(service).await;
            assert!(status.success(), "{service} ended with {status}");
            stack.restart(service).await;
        }
        Fault::Double(service, pause) => {
            stack.replicate(service).await;
            sleep(*pause).await;
            stack.retire(service);
        }
        Fault::Forget(service) => {
            stack.kill(service);
            stack.databases().execute(service, "DELETE FROM bus_cursor").await;
            stack.restart(service).await;
        }
        Fault::Repeat => repeat(stack).await,
        Fault::Server(fault) => inject_server(stack, *fault).await,
    }
}

async fn inject_server(stack: &mut Stack, fault: ServerFault) {
    match fault {
        ServerFault::NatsAway(pause) => {
            stack.nats().kill();
            sleep(pause).await;
            stack.nats().restart().await;
        }
        ServerFault::NatsWiped => {
            stack.nats().kill();
            stack.nats().wipe();
            stack.nats().restart().await;
        }
        ServerFault::NatsPaused(pause) => {
            stack.nats().pause();
            sleep(pause).await;
            stack.nats().resume();
        }
        ServerFault::ConnectionsEnd => stack.postgres().terminate_all().await,
        ServerFault::PostgresStops => stack.postgres().restart().await,
        ServerFault::PostgresCrashes(pause) => {
            stack.postgres().kill();
            sleep(pause).await;
            stack.postgres().restart().await;
        }
    }
}

/// Delivers again what was delivered last.
async fn repeat(stack: &Stack) {
    let mut again = Vec::new();
    for service in SERVICES {
        let newest = outbox::Entity::find().order_by_desc(outbox::Column::Position).limit(REPEATED);
        let rows = newest.all(stack.databases().of(service)).await.expect("the database answers");
        again.extend(rows.iter().map(|row| delivery(&row.envelope, &row.kind)));
    }
    for _ in 0..REPETITIONS {
        for event in &mut again {
            *event = delivery(&event.envelope, &event.kind);
        }
        // Where the bus is still on its way back, an earlier fault does what this one would
        if stack.bus().await.append(&again).await.is_err() {
            return;
        }
    }
}
