//! Recalculation: every lead's score anew from its interactions, one run at a time.

use async_graphql::{Object, SimpleObject};
use futures_util::stream::{Empty, Stream};
use subgraph::{Error, Result};

/// What a recalculation did.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct RecalculateScoresResult {
    /// Leads whose score was saved.
    count: i32,
    /// Leads whose score could not be calculated or saved; the log says why.
    failed: i32,
    /// How long it took, in milliseconds.
    duration_ms: i32,
}

/// How far a recalculation is.
#[derive(Clone, Debug, SimpleObject)]
pub(crate) struct RecalculationProgress {
    /// Leads that were looked at.
    done: i32,
    /// Leads there are.
    total: i32,
    /// Whether the run is over.
    finished: bool,
}

fn not_yet() -> Error {
    Error::not_built_yet("Recalculation of all scores")
}

#[derive(Debug, Default)]
pub(crate) struct RecalculationMutation;

#[Object]
impl RecalculationMutation {
    /// Calculates every lead's score anew. One run at a time: a second call joins it. UNAVAILABLE
    /// when it takes longer than a request may; the run goes on, and calling again joins it.
    async fn recalculate_all_scores(&self) -> Result<RecalculateScoresResult> {
        Err(not_yet())
    }
}

#[derive(Debug, Default)]
pub(crate) struct RecalculationSubscription;

#[async_graphql::Subscription]
impl RecalculationSubscription {
    /// How far the recalculation under way is, until it is finished.
    async fn recalculation_progress(&self) -> Result<impl Stream<Item = RecalculationProgress>> {
        Err::<Empty<RecalculationProgress>, _>(not_yet())
    }
}
