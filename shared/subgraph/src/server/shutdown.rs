//! The end of a server, as seen by what outlives the answer to a request.

use std::time::Duration;
use tokio::{sync::watch, time::timeout};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// Tells sockets that the server stops. It is in the data of every request, poem's and others'. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: watch::Sender<bool>,
    open: TaskTracker,
}

impl Shutdown {
    /// Returns when the server stops, at once when it has begun to.
    pub async fn begun(&self) {
        // Cannot fail: the sender is in this
        drop(self.stop.subscribe().wait_for(|stop| *stop).await);
    }

    /// Keeps the database open until this is dropped, though not longer than the server waits for anybody. A connection
    /// has one as long as it is open, upgraded or not.
    pub fn hold(&self) -> TaskTrackerToken {
        self.open.token()
    }

    pub(super) fn begin(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until nobody holds it any more. Returns how many still do after `grace`.
    pub(super) async fn finished(&self, grace: Duration) -> usize {
        self.open.close();
        match timeout(grace, self.open.wait()).await {
            Ok(()) => 0,
            Err(_) => self.open.len(),
        }
    }
}
