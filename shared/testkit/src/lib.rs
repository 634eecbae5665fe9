//! What the tests of every crate share: throw-away servers and databases, real processes,
//! tokens, and scenarios.
//!
//! Nothing here is skipped in silence: what a test needs and cannot find is a panic that says how to get it.

pub mod acceptance;
mod bin_path;
mod clients;
mod database;
mod eventually;
pub mod faults;
pub mod invariants;
pub mod load;
pub mod otlp;
mod ports;
mod process;
pub mod provider;
pub mod report;
mod scenario;
pub mod sdl;
pub mod servers;
mod settle;
pub mod stack;
pub mod supergraph;
mod tethered;
mod token;

pub use bin_path::binary;
pub use clients::Client;
pub use database::TestDatabase;
pub use eventually::eventually;
pub use load::Load;
pub use ports::{PortRow, is_free};
pub use process::{Service, free_port};
pub use scenario::{scenarios, schema_is_committed};
pub use stack::Stack;
pub use supergraph::Supergraph;
pub use tethered::tethered;
pub use token::{TestKeys, mint};
