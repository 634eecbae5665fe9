//! Jobs: asked for with the change, done once, gone on with by others.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and jobs are old from now on"
)]

#[path = "jobs/asking.rs"]
mod asking;
#[path = "jobs/command.rs"]
mod command;
#[path = "jobs/ending.rs"]
mod ending;
#[path = "jobs/failing.rs"]
mod failing;
#[path = "jobs/taking.rs"]
mod taking;
#[path = "jobs/workshop.rs"]
mod workshop;

use std::time::Duration;
use subgraph::{
    Service,
    jobs::{self, Model},
};
use testkit::TestDatabase;
use tokio::time::timeout;
use workshop::Make;

const BOTH: [fn() -> TestDatabase; 2] = [TestDatabase::sqlite, TestDatabase::postgres];

/// A name that no other test and no other database has.
fn thing(what: &str, database: &TestDatabase) -> String {
    format!("{what}-{:?}", database.backend())
}

async fn wait(service: &Service, job: &Model) -> Model {
    timeout(Duration::from_secs(30), jobs::wait::<Make>(service, job.id)).await.unwrap().unwrap()
}
