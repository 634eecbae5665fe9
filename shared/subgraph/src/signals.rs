//! What is wrong with the events at the moment, as health says it.

use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Problems of a running service that may pass by themselves; it does its own work all the same.
#[derive(Debug, Default)]
pub struct Signals {
    publishing: Mutex<Option<String>>,
    reading: Mutex<Option<String>>,
}

impl Signals {
    /// Notes whether events can be published; true when that is new.
    pub(crate) fn publishing(&self, problem: Option<&str>) -> bool {
        note(&self.publishing, problem)
    }

    /// Notes whether events of others can be applied; true when that is new.
    pub(crate) fn reading(&self, problem: Option<&str>) -> bool {
        note(&self.reading, problem)
    }

    /// What is wrong now.
    pub(crate) fn problem(&self) -> Option<String> {
        let said =
            |signal: &Mutex<Option<String>>| signal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (publishing, reading) = (said(&self.publishing), said(&self.reading));
        match (publishing, reading) {
            (Some(one), Some(other)) if one != other => Some(format!("{one}; {other}")),
            (one, other) => one.or(other),
        }
    }
}

fn note(signal: &Mutex<Option<String>>, problem: Option<&str>) -> bool {
    let mut known = signal.lock().unwrap_or_else(PoisonError::into_inner);
    let new = known.is_some() != problem.is_some();
    *known = problem.map(str::to_owned);
    new
}

/// Wakes those who wait for something new in the outbox.
#[derive(Debug, Default)]
pub struct Wake(watch::Sender<u64>);

impl Wake {
    /// There is something new, of this process or of another replica.
    pub(crate) fn outbox(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Changes whenever there is something new.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
