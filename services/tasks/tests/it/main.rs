//! Recommendations of the running service: with a provider that answers well, badly or not at all, by several at once,
//! and in the background.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod at_once;
mod bad_answers;
mod dismissed;
mod jobs;
mod killed;
mod model;
mod rebuilt;
mod stage;
