//! Summaries by the running service: with a provider that answers well, badly or not at all, by several at once, and in
//! the background.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod bad_answers;
mod jobs;
mod model;
mod outlives;
mod stage;
