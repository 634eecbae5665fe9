//! The chassis: everything a subgraph is, except its nouns.
//!
//! A service names its roots, rules, tables and migrations, and gets a binary with
//! `serve | migrate | schema | healthcheck`, configuration by flags and environment, SQLite or
//! Postgres, a GraphQL endpoint that checks tokens, rights and limits, health, metrics and logs.
//!
//! ```no_run
//! use async_graphql::{EmptyMutation, EmptySubscription, Object};
//! use subgraph::{Policy, Role, Subgraph};
//!
//! #[derive(Default)]
//! struct Query;
//!
//! #[Object]
//! impl Query {
//!     /// Says hello.
//!     async fn hello(&self) -> &str {
//!         "hello"
//!     }
//! }
//! # struct Migrator;
//! # impl sea_orm_migration::MigratorTrait for Migrator {
//! #     fn migrations() -> Vec<Box<dyn sea_orm_migration::MigrationTrait>> { vec![] }
//! # }
//!
//! fn main() -> std::process::ExitCode {
//!     let policy = Policy::default().read(Role::SalesRep, &["hello"]);
//!     subgraph::main(&Subgraph::new::<Query, EmptyMutation, EmptySubscription, Migrator>("greetings", 4010, policy))
//! }
//! ```

mod address;
mod background;
mod batch;
mod builder;
mod caller;
mod cause;
mod change;
mod cli;
mod clock;
mod config;
mod consume;
pub mod counter;
mod db;
mod descriptors;
mod error;
mod files;
mod graphql;
mod health;
mod http;
mod id;
mod idempotency;
pub mod jobs;
mod jwks;
mod keyset;
mod limits;
mod live;
mod load;
mod measure;
mod metrics;
mod migrate;
mod overhear;
mod page;
mod patch;
mod policy;
mod production;
mod publish;
mod rate;
mod rebuild;
mod representations;
mod revocation;
mod schema;
mod server;
mod service;
mod signals;
mod snapshot;
pub mod sql;
mod start;
pub mod telemetry;
pub mod token;
pub mod validate;

pub use address::Sender;
pub use builder::Subgraph;
pub use caller::{Actor, Caller};
pub use change::{Change, audit, changed, diff};
pub use cli::{ignore_empty_variables, main, stop_signal};
pub use clock::{Clock, Random, to_micros};
pub use config::{Config, Environment, ExtraArg};
pub use consume::{Consumer, Received};
pub use db::Db;
pub use descriptors::raise_limit as raise_descriptor_limit;
pub use error::{Error, FieldError, Result};
pub use files::{read_or_create, write as write_file};
pub use graphql::Endpoint;
pub use http::client as http_client;
pub use id::{Id, RowId};
pub use jwks::{KeyStore, LocalKeys};
pub use keyset::Sort;
pub use live::{Item, Live, LiveContext, LiveLimits};
pub use load::{ById, Child, Children, Newest};
pub use metrics::Metrics;
pub use migrate::Migrations;
pub use page::{Cursor, CursorConnection, Key, MAX_LIMIT, MAX_OFFSET, Offset, Page, PageRequest, to_int};
pub use patch::Patch;
pub use policy::{Access, Policy, Role};
pub use production::{DEVELOPMENT_PASSWORD, DEVELOPMENT_SERVICE_KEY, Findings, different_characters, refuse};
pub use rate::{RateLimit, Rates, household};
pub use rebuild::{Missing, Progress, Rebuilt, View};
pub use revocation::Revocations;
pub use server::{Mounted, Running, Shutdown};
pub use service::{ContextExt, Parts, Service};
pub use signals::{Signals, Wake};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
