//! The all-in-one binary: every subgraph in one process, the Apollo Router beside it, and the command line.
//!
//! - [`supergraph`] reads `supergraph.yaml`, the list of subgraphs;
//! - [`compose`] turns their schemas into `router/supergraph.graphql`, as rover would;
//! - [`provision`] finds, downloads or builds the router binary;
//! - [`router`] runs it as a child process that cannot outlive the launcher;
//! - [`migrate`] changes the schemas of all services' databases;
//! - [`events`] shows what the services tell each other, [`rebuild`] fills what they know of each other again;
//! - [`backup`] copies all SQLite databases as they are at one moment;
//! - [`recalculate`] calculates every lead's score anew;
//! - [`watch`] shows notifications in a terminal as they come;
//! - [`up`] starts everything; [`services`] is the list of what that is.
//!
//! Unix only: the router has to die with the launcher.

pub mod backup;
mod bar;
pub mod compose;
pub mod events;
pub mod migrate;
pub mod provision;
pub mod rebuild;
pub mod recalculate;
pub mod router;
pub mod services;
pub mod supergraph;
mod table;
pub mod up;
pub mod watch;
