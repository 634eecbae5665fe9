//! The failures from each address.

use super::{Failures, MAX_KEPT, idle, wait};
use chrono::{DateTime, Utc};
use moka::sync::Cache;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use subgraph::household;

/// Failures from one address within the window, at most: an office has one address, and an attacker many accounts.
const MAX_FAILURES: usize = 100;

type Kept = Arc<Mutex<Failures>>;

/// The recent failures from each address.
pub(super) struct Addresses(Cache<IpAddr, Kept>);

impl Default for Addresses {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_KEPT).time_to_idle(idle()).build())
    }
}

/// An attempt among the failures of its address. It leaves them when it is dropped, unless it has failed.
pub(super) struct Place {
    failures: Kept,
    at: DateTime<Utc>,
    failed: bool,
}

impl Addresses {
    /// Counts an attempt; says how many seconds to wait after too many.
    pub fn enter(&self, address: IpAddr, at: DateTime<Utc>) -> Result<Place, u64> {
        let failures = self.0.get_with(household(address), Arc::default);
        let mut counted = lock(&failures);
        if let Some(seconds) = wait(&mut counted, MAX_FAILURES, at) {
            return Err(seconds);
        }
        counted.push_back(at);
        drop(counted);
        Ok(Place { failures, at, failed: false })
    }
}

impl Place {
    /// The attempt was wrong, and stands for this many guesses.
    pub fn failed(mut self, guesses: usize) {
        self.failed = true;
        let mut counted = lock(&self.failures);
        let missing = MAX_FAILURES.saturating_sub(counted.len());
        counted.extend(std::iter::repeat_n(self.at, guesses.saturating_sub(1).min(missing)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.failed {
            return;
        }
        let mut counted = lock(&self.failures);
        if let Some(own) = counted.iter().rposition(|at| *at == self.at) {
            counted.remove(own);
        }
    }
}

fn lock(failures: &Kept) -> MutexGuard<'_, Failures> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    const NOON: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn attempts_count_until_they_succeed() {
        let (addresses, office) = (Addresses::default(), address("192.0.2.1"));
        let under_way: Vec<_> =
            (0..MAX_FAILURES).map(|_| addresses.enter(office, NOON).ok().unwrap()).collect();
        assert_eq!(addresses.enter(office, NOON).err(), Some(900));
        assert!(addresses.enter(address("192.0.2.2"), NOON).is_ok());
        drop(under_way);
        for _ in 0..MAX_FAILURES {
            addresses.enter(office, NOON).ok().unwrap().failed(1);
        }
        assert_eq!(addresses.enter(office, NOON + TimeDelta::minutes(5)).err(), Some(600));
        assert!(addresses.enter(office, NOON + TimeDelta::minutes(15)).is_ok());
    }

    #[test]
    fn many_guesses_in_one_attempt_are_many() {
        let addresses = Addresses::default();
        addresses.enter(address("2001:db8::1"), NOON).ok().unwrap().failed(1_000);
        assert_eq!(addresses.enter(address("2001:db8::2"), NOON).err(), Some(900), "the same customer");
    }
}
