//! Leaves a provider alone that failed several times in a row, and finds out later whether it works again.

use prometheus::IntGauge;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Who counts failures, and refuses when there were too many.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// Failures in a row after which it refuses.
    failures: u32,
    /// For how long, until one question may try.
    rest: Duration,
    state: Mutex<State>,
    /// The state as a number: 0 closed, 1 probing, 2 open.
    gauge: IntGauge,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// All may ask; this many failed in a row.
    Closed(u32),
    /// One asks, on behalf of all.
    Probing,
    /// Nobody may ask until then.
    Open(Instant),
}

impl Breaker {
    pub(crate) fn new(failures: u32, rest: Duration, gauge: IntGauge) -> Self {
        Self { failures, rest, state: Mutex::new(State::Closed(0)), gauge }
    }

    /// Whether asking is in vain at the moment.
    pub(crate) fn refuses(&self) -> bool {
        match *self.state() {
            State::Closed(_) => false,
            State::Probing => true,
            State::Open(until) => Instant::now() < until,
        }
    }

    /// Leave to ask; the first one after a rest is the probe.
    pub(crate) fn admit(&self) -> Option<Pass<'_>> {
        let mut state = self.state();
        let probe = match *state {
            State::Closed(_) => false,
            State::Open(until) if Instant::now() >= until => true,
            State::Open(_) | State::Probing => return None,
        };
        if probe {
            self.enter(&mut state, State::Probing);
        }
        Some(Pass { breaker: self, probe, failed: None })
    }

    fn settle(&self, probe: bool, failed: Option<bool>) {
        let mut state = self.state();
        let next = match (*state, failed) {
            (State::Closed(_), Some(false)) => State::Closed(0),
            (State::Closed(before), Some(true)) if before + 1 < self.failures => State::Closed(before + 1),
            (State::Closed(_), Some(true)) => self.open(),
            (State::Probing, Some(true)) if probe => self.open(),
            (State::Probing, Some(false)) if probe => State::Closed(0),
            // The probe never came to an end: the next one who asks is the probe
            (State::Probing, None) if probe => State::Open(Instant::now()),
            // Who was asking since before the rest proves nothing about now
            (unchanged, _) => unchanged,
        };
        self.enter(&mut state, next);
    }

    fn open(&self) -> State {
        tracing::warn!(rest = ?self.rest, "the language model's provider is left alone for a while");
        State::Open(Instant::now() + self.rest)
    }

    fn enter(&self, state: &mut State, next: State) {
        *state = next;
        self.gauge.set(match next {
            State::Closed(_) => 0,
            State::Probing => 1,
            State::Open(_) => 2,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to ask once. Dropped without a report, it counts for nothing.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
    failed: Option<bool>,
}

impl Pass<'_> {
    /// Says how it went.
    pub(crate) fn report(mut self, failed: bool) {
        self.failed = Some(failed);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.breaker.settle(self.probe, self.failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const REST: Duration = Duration::from_secs(30);

    fn breaker() -> Breaker {
        Breaker::new(3, REST, IntGauge::new("state", "state").unwrap())
    }

    fn fail(breaker: &Breaker, times: usize) {
        (0..times).for_each(|_| breaker.admit().unwrap().report(true));
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_in_a_row_open_it() {
        let breaker = breaker();
        fail(&breaker, 2);
        breaker.admit().unwrap().report(false);
        fail(&breaker, 2);
        assert!(!breaker.refuses());
        fail(&breaker, 1);
        assert!(breaker.refuses() && breaker.admit().is_none());
        assert_eq!(breaker.gauge.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_rest_one_finds_out_for_all() {
        let breaker = breaker();
        fail(&breaker, 3);
        for failed in [true, false] {
            advance(REST).await;
            assert!(!breaker.refuses());
            let probe = breaker.admit().unwrap();
            assert!(breaker.refuses() && breaker.admit().is_none());
            probe.report(failed);
            assert_eq!(breaker.refuses(), failed);
        }
        fail(&breaker, 2);
        assert!(!breaker.refuses());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_never_ends_makes_room_for_another() {
        let breaker = breaker();
        fail(&breaker, 3);
        advance(REST).await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_before_the_rest_changes_nothing() {
        let breaker = breaker();
        let [early, other] = [breaker.admit().unwrap(), breaker.admit().unwrap()];
        fail(&breaker, 3);
        early.report(false);
        assert!(breaker.refuses());
        advance(REST).await;
        let probe = breaker.admit().unwrap();
        other.report(true);
        probe.report(false);
        assert!(!breaker.refuses());
    }
}
