//! People at work: they create, change and remove things at all services, and remember what they were promised.
//!
//! Each worker has leads of its own, so that it knows how they must be. What it does comes from a seed. What got
//! no answer is tried again, creations under their idempotency key, until there is one.

mod ledger;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::process::POLL;
use crate::stack::Client;

pub use ledger::Ledger;
use worker::Worker;

/// A load under which so little happens was not one.
const DEADLINE: Duration = Duration::from_secs(90);

/// Workers at work, until [`Load::finish`].
#[derive(Debug)]
pub struct Load {
    workers: JoinSet<Ledger>,
    stop: watch::Sender<bool>,
    acknowledged: Arc<AtomicU64>,
}

impl Load {
    /// Puts so many workers to work, the same ones for the same seed.
    #[must_use]
    pub fn start(client: &Client, seed: u64, workers: u32) -> Self {
        let (stop, acknowledged) = (watch::Sender::new(false), Arc::new(AtomicU64::new(0)));
        let mut running = JoinSet::new();
        for number in 0..workers {
            let worker = Worker::new(client.clone(), seed, number, stop.subscribe(), acknowledged.clone());
            running.spawn(worker.work());
        }
        Self { workers: running, stop, acknowledged }
    }

    /// How many changes the services have acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more are acknowledged.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn more(&self, count: u64) {
        let (start, goal) = (Instant::now(), self.acknowledged() + count);
        while self.acknowledged() < goal {
            let done = self.acknowledged();
            assert!(start.elapsed() < DEADLINE, "only {done} of {goal} changes were acknowledged");
            sleep(POLL).await;
        }
    }

    /// Lets the workers finish what they do; what they were promised.
    ///
    /// # Panics
    /// When a worker did.
    pub async fn finish(self) -> Ledger {
        self.stop.send_replace(true);
        let ledgers = self.workers.join_all().await;
        ledgers.into_iter().fold(Ledger::default(), Ledger::joined)
    }
}
