//! Checking that everything is as it must be, once all is settled.

use std::time::Duration;

use super::Stack;
use crate::invariants::{self, Allowed};
use crate::settle::Settling;

/// Longer than any backlog of a test needs.
const DEADLINE: Duration = Duration::from_mins(1);

impl Stack {
    /// Waits until all is published and applied, then checks all invariants.
    ///
    /// # Panics
    /// When it does not settle within a minute, or an invariant is broken: with everything that is wrong.
    pub async fn verify(&self) {
        self.verify_but(&Allowed::default()).await;
    }

    /// As [`Stack::verify`], where something is as the test wants it.
    ///
    /// # Panics
    /// As [`Stack::verify`].
    pub async fn verify_but(&self, allowed: &Allowed) {
        self.settle(DEADLINE).await.unwrap_or_else(|why| panic!("it does not settle: {why}"));
        if let Err(broken) = invariants::check(self.databases(), allowed).await {
            panic!("broken invariants:\n{}", broken.join("\n"));
        }
    }

    /// Waits until nothing is unpublished and every service has read the bus to its end.
    ///
    /// # Errors
    /// Says what is still under way after this time.
    pub async fn settle(&self, within: Duration) -> Result<(), String> {
        Settling { databases: self.databases(), bus: self.bus().await }.settle(within).await
    }
}
