//! The running service, driven over HTTP as its clients do, on both databases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api_keys;
mod forged;
mod keys;
mod passwords;
mod server;
mod sessions;
mod start;
mod throttle;
mod users;
