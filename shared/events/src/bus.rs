//! The bus: a log that every service appends to and reads from a position on.

pub mod local;
pub mod nats;

use crate::outbox;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use std::{path::Path, sync::Arc};

/// One event in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands; grows, perhaps with gaps.
    pub position: i64,
    /// The event as JSON, as it stands in its outbox.
    pub envelope: String,
    /// How many entries follow it now.
    pub behind: u64,
}

/// The entries after some position, in order; waits for those to come. It ends after an error: what has to be
/// done then is to read anew, in what may be another log.
pub type Reader = BoxStream<'static, anyhow::Result<Entry>>;

/// A log of events. It may lose all of them: then it is another log, published again from the outboxes.
#[async_trait]
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// Which log this is, made first where there is none. A log that lost its content has another identity.
    async fn identity(&self) -> anyhow::Result<String>;

    /// Appends events in their order, and returns when they are on disk. One that the log has is not appended a
    /// second time, unless long ago.
    async fn append(&self, events: &[outbox::Model]) -> anyhow::Result<()>;

    /// The entries after a position of the log with this identity. When the log lost entries behind that position, it
    /// becomes another one, which is an error now.
    async fn read(&self, identity: &str, after: i64) -> anyhow::Result<Reader>;
}

/// What is wrong with a log that goes from `first` to `last`, for somebody who has read it up to `after`, when entries
/// behind that are gone: an older state of it was put in its place, it was purged, or that was longer ago than it keeps
/// entries.
fn lost(first: i64, last: i64, after: i64) -> Option<String> {
    if last < after {
        return Some(format!("it ends at {last}, and {after} was read from it"));
    }
    (after > 0 && first > after + 1).then(|| format!("it begins at {first}, and it was read to {after}"))
}

/// The bus of an installation: JetStream where there is an address of NATS, else a file in the data folder. What
/// answers later is no error now.
///
/// # Errors
/// When the address is malformed, or the file cannot be used.
pub async fn open(nats_url: Option<&str>, data_dir: &Path) -> anyhow::Result<Arc<dyn Bus>> {
    match nats_url {
        Some(url) => Ok(Arc::new(nats::NatsBus::new(url).await?)),
        None => Ok(local::LocalBus::open(&data_dir.join("events.sqlite")).await?),
    }
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn entries_are_lost_when_the_log_ends_before_or_begins_behind_what_was_read() {
        for sound in [(1, 3, 0), (1, 3, 3), (2, 3, 1), (4, 3, 3), (4, 9, 0), (1, 0, 0)] {
            assert_eq!(lost(sound.0, sound.1, sound.2), None, "{sound:?}");
        }
        assert!(lost(1, 3, 4).is_some_and(|why| why.contains("ends at 3")));
        assert!(lost(3, 3, 1).is_some_and(|why| why.contains("begins at 3")));
    }
}
