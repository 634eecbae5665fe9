//! How often one user, and one address, may ask: token buckets, in the memory of each process.
//!
//! Users are counted because they share addresses, addresses because whoever has no token is nobody. Other services of
//! the installation are not counted: their work is somebody's operation that was counted already.

mod http;
mod limit;

pub(crate) use http::{limited, too_many};
pub use limit::RateLimit;

use crate::{
    caller::{Actor, Caller},
    config::Config,
    error::{Error, Result},
    graphql::{Endpoint, failed},
    limits::{UNKNOWN, asks_for_entities_only},
    metrics::Metrics,
};
use async_graphql::{Request as Operation, Response as Answer};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use moka::sync::Cache;
use prometheus::{IntCounterVec, Opts};
use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

/// Buckets of each kind at most; the ones least used are forgotten first. A bucket has some 200 bytes.
const MAX_BUCKETS: u64 = 20_000;

/// What something costs, in tenths of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// An operation, or a connection that is opened.
    Operation,
    /// The router's question for what it fetches beside: one operation of a client makes several of them.
    Entities,
}

impl Weight {
    const fn tokens(self) -> NonZeroU32 {
        match self {
            Self::Operation => limit::TOKENS,
            Self::Entities => NonZeroU32::MIN,
        }
    }
}

/// The buckets of a service.
pub struct Rates {
    users: Option<Buckets<Actor>>,
    addresses: Option<Buckets<IpAddr>>,
    limited: IntCounterVec,
}

impl Rates {
    /// Full ones.
    pub(crate) fn new(config: &Config, metrics: &Metrics) -> anyhow::Result<Self> {
        let (user, address) = config.rate_limits();
        let help = "Requests that were refused because there were too many";
        let limited = IntCounterVec::new(Opts::new("rate_limited_total", help), &["by"])?;
        // There from the beginning: a rate does not see the first of what was not there before
        for by in ["user", "address"] {
            drop(limited.with_label_values(&[by]));
        }
        metrics.add(limited.clone())?;
        let buckets = |limit: RateLimit| limit.quota().map(|quota| Buckets::new(quota, MonotonicClock));
        Ok(Self {
            users: buckets(user),
            addresses: address.quota().map(|quota| Buckets::new(quota, MonotonicClock)),
            limited,
        })
    }

    /// Whether anything is counted.
    pub(crate) fn count(&self) -> bool {
        self.users.is_some() || self.addresses.is_some()
    }

    /// An operation of this caller.
    ///
    /// # Errors
    /// `RATE_LIMITED` when there were too many.
    pub(crate) fn operation(&self, caller: &Caller, weight: Weight) -> Result<()> {
        if matches!(caller.actor, Actor::Service(_) | Actor::System) {
            return Ok(());
        }
        if let Some(users) = self.users.as_ref().filter(|_| caller.actor != Actor::Anonymous) {
            self.counted("user", users.take(caller.actor.clone(), weight))?;
        }
        self.from(caller.address, weight)
    }

    /// Something that comes from an address before it is known whose it is: a connection, a request for a token.
    ///
    /// # Errors
    /// `RATE_LIMITED` when there were too many.
    pub fn arrival(&self, address: Option<IpAddr>) -> Result<()> {
        self.from(address, Weight::Operation)
    }

    fn from(&self, address: Option<IpAddr>, weight: Weight) -> Result<()> {
        match (&self.addresses, address) {
            (Some(addresses), Some(address)) => {
                self.counted("address", addresses.take(household(address), weight))
            }
            _ => Ok(()),
        }
    }

    fn counted(&self, by: &str, taken: Result<()>) -> Result<()> {
        if taken.is_err() {
            self.limited.with_label_values(&[by]).inc();
        }
        taken
    }
}

impl Endpoint {
    /// The answer to who asks too often; nothing for others. What it costs to find out is bounded, and nothing is
    /// asked of the database.
    pub(crate) fn too_often(&self, operation: &mut Operation, caller: &Caller) -> Option<Answer> {
        let (rates, requests) = (&self.service.rates, &self.service.metrics.requests);
        if !rates.count() {
            return None;
        }
        let entities = asks_for_entities_only(operation);
        let weight = if entities { Weight::Entities } else { Weight::Operation };
        let refusal = failed(rates.operation(caller, weight).err()?);
        requests.answered("refused", UNKNOWN, &refusal.errors);
        Some(refusal)
    }
}

/// What counts as one address: of IPv6 the /64 that a single customer has at least.
pub fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A bucket for each key that asked lately.
struct Buckets<K, C: Clock = MonotonicClock> {
    quota: Quota,
    clock: C,
    kept: Cache<K, Arc<Bucket<C>>>,
}

impl<K, C> Buckets<K, C>
where
    K: Hash + Eq + Send + Sync + 'static,
    C: Clock + Clone + Send + Sync + 'static,
    C::Instant: Send + Sync,
{
    fn new(quota: Quota, clock: C) -> Self {
        // One that nobody used for as long as it takes to fill is as good as a new one
        let filled = quota.burst_size_replenished_in() + Duration::from_secs(1);
        let kept = Cache::builder().max_capacity(MAX_BUCKETS).time_to_idle(filled).build();
        Self { quota, clock, kept }
    }

    fn take(&self, key: K, weight: Weight) -> Result<()> {
        let new = || Arc::new(RateLimiter::direct_with_clock(self.quota, self.clock.clone()));
        match self.kept.get_with(key, new).check_n(weight.tokens()) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(self.clock.now());
                let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(Error::RateLimited { retry_after: retry_after.max(1) })
            }
            // A bucket holds one operation at least
            Err(never) => Err(Error::internal(never)),
        }
    }
}

#[cfg(test)]
mod tests;
