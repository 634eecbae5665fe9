//! When a batch of the loader starts: as soon as an operation has asked for all it can ask for.
//!
//! The loader starts a batch with its first key. Spawned at once, it may run on another thread
//! while the operation is still adding keys, and one batch becomes several statements; a delay
//! would cost every batch a millisecond. So batches that are begun while an operation is polled
//! wait until that poll ends, which is exactly when nothing more will be asked for.

use crate::telemetry::going_on;
use futures_util::future::BoxFuture;
use opentelemetry::{Context as Trace, trace::TraceContextExt};
use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll},
};

type Batch = BoxFuture<'static, ()>;

thread_local! {
    /// The batches begun by the operation that this thread is polling, if it is polling one.
    static BEGUN: RefCell<Option<Vec<Batch>>> = const { RefCell::new(None) };
}

/// Starts a batch: at the end of the poll that began it, or now when there is none. It is a part of what began it.
pub(crate) fn start(batch: Batch) {
    let traced = Trace::map_current(Trace::has_active_span);
    let batch = if traced { Box::pin(going_on(batch)) } else { batch };
    BEGUN.with_borrow_mut(|begun| match begun {
        Some(begun) => begun.push(batch),
        None => drop(tokio::spawn(batch)),
    });
}

/// An operation whose batches start together at the end of each poll.
pub(crate) struct Gathering<T>(pub BoxFuture<'static, T>);

impl<T> Future for Gathering<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let _gather = Gather(BEGUN.replace(Some(Vec::new())));
        self.0.as_mut().poll(cx)
    }
}

/// Starts the gathered batches when a poll ends, also by a panic: others may wait for them.
struct Gather(Option<Vec<Batch>>);

impl Drop for Gather {
    fn drop(&mut self) {
        let begun = BEGUN.replace(self.0.take());
        begun.into_iter().flatten().for_each(|batch| drop(tokio::spawn(batch)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn batches_start_when_the_poll_that_began_them_ends() {
        let started = Arc::new(AtomicUsize::new(0));
        let seen = started.clone();
        let operation = Gathering(Box::pin(async move {
            for _ in 0..3 {
                let started = started.clone();
                start(Box::pin(async move {
                    started.fetch_add(1, Ordering::SeqCst);
                }));
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let during = started.load(Ordering::SeqCst);
            while started.load(Ordering::SeqCst) < 3 {
                tokio::task::yield_now().await;
            }
            during
        }));
        assert_eq!(operation.await, 0, "nothing starts while keys may still come");
        assert_eq!(seen.load(Ordering::SeqCst), 3);
    }
}
