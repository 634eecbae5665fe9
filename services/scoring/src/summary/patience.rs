//! How long a job waits for a provider that cannot be asked at the moment, before the built-in rules write.
//!
//! Nobody waits for a job, and what the rules write about a lead stays until something happens with it. A provider that
//! is left alone after failures is asked again after half a minute; one that does not answer then either is not waited
//! for at every lead, but only once it has answered again.

use llm::Failure;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// For how long it waits: longer than a provider is left alone.
const MOST: Duration = Duration::from_secs(45);
/// After which time it asks again.
const PIECE: Duration = Duration::from_secs(3);

/// The patience of one job.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Since when it has waited without an answer.
    since: Mutex<Option<Instant>>,
}

impl Patience {
    /// Asks until somebody was asked, or it has waited for long enough.
    pub async fn ask<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        loop {
            let answer = ask().await;
            match &answer {
                Err(Failure::Resting | Failure::Busy) if self.is_left() => {
                    sleep(PIECE).await;
                    continue;
                }
                // It works, whatever it said
                Ok(_) | Err(Failure::Unfit(_) | Failure::Declined) => *self.since() = None,
                Err(_) => {}
            }
            return answer;
        }
    }

    fn is_left(&self) -> bool {
        self.since().get_or_insert_with(Instant::now).elapsed() < MOST
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A provider that rests until then, and the time it takes to have its answer.
    async fn asked(patience: &Patience, rests_until: Instant) -> (Result<(), Failure>, Duration) {
        let start = Instant::now();
        let ask = async || if Instant::now() < rests_until { Err(Failure::Resting) } else { Ok(()) };
        (patience.ask(ask).await, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_a_provider_that_rests() {
        let patience = Patience::default();
        for _ in 0..3 {
            let (answer, took) = asked(&patience, Instant::now() + Duration::from_secs(30)).await;
            assert_eq!((answer, took), (Ok(()), Duration::from_secs(30)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_and_returns_with_the_next_answer() {
        let (patience, never) = (Patience::default(), Instant::now() + Duration::from_hours(1));
        assert_eq!(asked(&patience, never).await, (Err(Failure::Resting), MOST));
        for _ in 0..1_000 {
            assert_eq!(asked(&patience, never).await, (Err(Failure::Resting), Duration::ZERO));
        }
        assert_eq!(asked(&patience, Instant::now()).await, (Ok(()), Duration::ZERO));
        assert_eq!(asked(&patience, never).await, (Err(Failure::Resting), MOST));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_together_wait_once() {
        let (patience, never) = (Patience::default(), Instant::now() + Duration::from_hours(1));
        let (one, other) = tokio::join!(asked(&patience, never), asked(&patience, never));
        assert_eq!((one.1, other.1), (MOST, MOST));
        assert_eq!(asked(&patience, never).await.1, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_asked_is_not_asked_again() {
        let times = Cell::new(0);
        let ask = async || {
            times.set(times.get() + 1);
            if times.get() < 3 { Err(Failure::Busy) } else { Err::<(), _>(Failure::TimedOut) }
        };
        assert_eq!(Patience::default().ask(ask).await, Err(Failure::TimedOut));
        assert_eq!(times.get(), 3);
    }
}
