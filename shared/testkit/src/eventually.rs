//! Waiting for what has to become so.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::process::POLL;

/// Looks again and again until it is so.
///
/// # Panics
/// When it is not within that time; `what` says what was waited for.
pub async fn eventually<F: Future<Output = bool>>(
    what: &str,
    within: Duration,
    mut is_so: impl FnMut() -> F,
) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        sleep(POLL).await;
    }
}
