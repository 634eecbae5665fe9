//! How often a secret may be guessed: 10 times in 15 minutes for each account by itself, and 100 times from one
//! address, whatever the accounts.
//!
//! The attempts of one account wait for each other, whichever connection or alias they come
//! through, so that none slips past the count while another is being checked, and so that many
//! right ones at once are only slower, not refused. Those from one address do not wait: people share one. There, each
//! attempt counts as a failure until it has succeeded.

mod addresses;

use addresses::{Addresses, Place};
use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;
use sha2::{Digest, Sha256};
use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};
use subgraph::{Config, Error, Result, Service};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Failures on one account within [`WINDOW`], at most.
const MAX_FAILURES: usize = 10;
/// How long a failure counts.
const WINDOW: TimeDelta = TimeDelta::minutes(15);
/// Accounts, and addresses, to remember; the ones least tried are forgotten first.
const MAX_KEPT: u64 = 100_000;

type Failures = VecDeque<DateTime<Utc>>;

/// The recent failures of each account, under a hash of its name: names come from outside and may
/// be long. And those from each address.
pub(crate) struct Throttle {
    accounts: Cache<[u8; 32], Arc<Mutex<Failures>>>,
    addresses: Addresses,
}

/// One attempt under way. Others of the same account wait until it is dropped.
pub(crate) struct Attempt {
    failures: OwnedMutexGuard<Failures>,
    place: Option<Place>,
    at: DateTime<Utc>,
}

/// How long what nobody tries is remembered: each attempt counts as use, so what is idle this long has no failure left
/// that counts.
fn idle() -> Duration {
    Duration::from_secs(WINDOW.num_seconds().unsigned_abs())
}

impl Throttle {
    /// Nobody has failed yet.
    #[expect(clippy::unnecessary_wraps, reason = "the form of a service's state")]
    pub(crate) fn new(_: &Config) -> anyhow::Result<Self> {
        let accounts = Cache::builder().max_capacity(MAX_KEPT).time_to_idle(idle()).build();
        Ok(Self { accounts, addresses: Addresses::default() })
    }

    /// Begins an attempt on `account` from an address, where that is known.
    ///
    /// # Errors
    /// `RATE_LIMITED` after too many failures.
    pub(crate) async fn attempt(
        service: &Service,
        account: &str,
        address: Option<IpAddr>,
    ) -> Result<Attempt> {
        let throttle = service.state::<Self>();
        let limited = |retry_after| Error::RateLimited { retry_after };
        let arrived = service.clock.now();
        let place = address.map(|address| throttle.addresses.enter(address, arrived)).transpose();
        let place = place.map_err(limited)?;
        let key = Sha256::digest(account).into();
        let failures = throttle.accounts.get_with(key, async { Arc::default() }).await;
        let mut failures = failures.lock_owned().await;
        let at = service.clock.now();
        if let Some(retry_after) = wait(&mut failures, MAX_FAILURES, at) {
            return Err(limited(retry_after));
        }
        Ok(Attempt { failures, place, at })
    }
}

impl Attempt {
    /// It was wrong, and stands for this many guesses.
    pub(crate) fn failed(mut self, guesses: usize) {
        let missing = MAX_FAILURES.saturating_sub(self.failures.len());
        self.failures.extend(std::iter::repeat_n(self.at, guesses.min(missing)));
        if let Some(place) = self.place {
            place.failed(guesses);
        }
    }

    /// It was right: earlier failures were the owner's own.
    pub(crate) fn succeeded(mut self) {
        self.failures.clear();
    }
}

/// Forgets failures that no longer count, and says how many seconds to wait when `max` do.
fn wait(failures: &mut Failures, max: usize, at: DateTime<Utc>) -> Option<u64> {
    failures.retain(|failure| *failure + WINDOW > at);
    let oldest = failures.front().filter(|_| failures.len() >= max)?;
    let millis = (*oldest + WINDOW - at).num_milliseconds().unsigned_abs();
    Some(millis.div_ceil(1_000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_close_the_door_until_the_first_is_fifteen_minutes_old() {
        let start = DateTime::UNIX_EPOCH;
        let wait = |failures: &mut Failures, at| wait(failures, MAX_FAILURES, at);
        let mut failures: Failures = (0..9).map(|minute| start + TimeDelta::minutes(minute)).collect();
        assert_eq!(wait(&mut failures, start + TimeDelta::minutes(9)), None);
        failures.push_back(start + TimeDelta::minutes(9));
        assert_eq!(wait(&mut failures, start + TimeDelta::minutes(10)), Some(300));
        assert_eq!(wait(&mut failures, start + TimeDelta::minutes(15)), None, "nine count now");
        assert_eq!(failures.len(), 9);
        assert_eq!(wait(&mut failures, start + TimeDelta::days(1)), None);
        assert!(failures.is_empty());
    }
}
