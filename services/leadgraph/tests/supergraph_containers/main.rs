//! The compose files: what they say, and that what they say runs. No container engine is needed: each container is a
//! process with the command and the environment that `docker-compose config` gives it; `place.rs` is all that differs.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod container;
mod development;
mod files;
mod names;
mod place;
mod postgres;
mod production;
mod programs;
mod resolved;
mod stack;

use std::path::{Path, PathBuf};

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// A file of the checkout.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
