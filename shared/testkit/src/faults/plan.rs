//! What a seed means.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::supergraph::SERVICES;

/// The most that happens in one round.
const STEPS: usize = 4;

/// Rounds without end, the same for the same seed.
#[derive(Debug)]
pub struct Plan {
    rng: StdRng,
    embedded: bool,
}

/// Some faults, one after the other, under load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// The seed of the load.
    pub load: u64,
    /// How many work.
    pub workers: u32,
    /// What happens, each after a pause.
    pub steps: Vec<(Duration, Fault)>,
}

/// Something that goes wrong. Where there is a time, it lasts that long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A service is killed.
    Kill(&'static str, Duration),
    /// A service is stopped as an operator does it.
    Stop(&'static str),
    /// A service runs twice; then one is killed.
    Double(&'static str, Duration),
    /// A service does not know any more how far it has read.
    Forget(&'static str),
    /// Events are delivered again.
    Repeat,
    /// A server fails.
    Server(ServerFault),
}

/// Something that goes wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// NATS is killed.
    NatsAway(Duration),
    /// NATS loses its data.
    NatsWiped,
    /// NATS stops answering.
    NatsPaused(Duration),
    /// Postgres ends all connections.
    ConnectionsEnd,
    /// Postgres is stopped and started.
    PostgresStops,
    /// Postgres is killed.
    PostgresCrashes(Duration),
}

impl Plan {
    /// The plan of a seed; an embedded installation has no servers that could fail.
    #[must_use]
    pub fn new(seed: u64, embedded: bool) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), embedded }
    }

    fn time(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.rng.random_range(0..=u64::try_from(most.as_millis()).unwrap_or(u64::MAX)))
    }

    fn fault(&mut self) -> Fault {
        let service = SERVICES[self.rng.random_range(0..SERVICES.len())];
        let kinds = if self.embedded { 6 } else { 14 };
        match self.rng.random_range(0..kinds) {
            0 | 1 => Fault::Kill(service, self.time(Duration::from_secs(2))),
            2 => Fault::Stop(service),
            3 => Fault::Double(service, self.time(Duration::from_secs(3))),
            4 => Fault::Forget(service),
            5 => Fault::Repeat,
            kind => Fault::Server(self.server_fault(kind)),
        }
    }

    fn server_fault(&mut self, kind: u32) -> ServerFault {
        match kind {
            6 | 7 => ServerFault::NatsAway(self.time(Duration::from_secs(5))),
            8 => ServerFault::NatsWiped,
            9 => ServerFault::NatsPaused(self.time(Duration::from_secs(8))),
            10 | 11 => ServerFault::ConnectionsEnd,
            12 => ServerFault::PostgresStops,
            _ => ServerFault::PostgresCrashes(self.time(Duration::from_secs(2))),
        }
    }
}

impl Iterator for Plan {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        let (load, workers) = (self.rng.random_range(0..1_000_000), self.rng.random_range(1..=4));
        let steps = self.rng.random_range(1..=STEPS);
        let steps = (0..steps).map(|_| (self.time(Duration::from_secs(2)), self.fault())).collect();
        Some(Round { load, workers, steps })
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} workers", self.workers)?;
        for (pause, fault) in &self.steps {
            write!(f, ", after {pause:?} {fault:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_means_the_same() {
        let rounds = |seed| Plan::new(seed, false).take(50).collect::<Vec<_>>();
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
    }

    #[test]
    fn an_embedded_installation_has_no_servers_that_fail() {
        let rounds = Plan::new(7, true).take(200);
        let servers = rounds.flat_map(|round| round.steps).filter(|(_, it)| matches!(it, Fault::Server(_)));
        assert_eq!(servers.count(), 0);
    }
}
