//! Throw-away servers: [`Servers`] for a whole test run, started by the binary `with-servers`; [`Nats`] and
//! [`Postgres`] for one test, which does to them what befalls servers.

mod folder;
mod nats;
mod port;
mod postgres;
mod server;

pub use nats::Nats;
pub use postgres::Postgres;

use anyhow::Result;

use crate::database::POSTGRES_VARIABLE;
use folder::Folder;
use server::{Kind, Server};

/// Names the NATS of the test run; set by `with-servers`.
const NATS_VARIABLE: &str = "LEADGRAPH_TEST_NATS";

/// Servers on free ports of the loopback address with their files in one temporary folder. The servers die and
/// the folder goes when the owner ends, also when it is killed; [`Servers::stop`] does both at once.
#[derive(Debug)]
pub struct Servers {
    // Dropped before their folder
    running: Vec<Server>,
    variables: Vec<(&'static str, String)>,
    folder: Folder,
}

impl Servers {
    /// Starts PostgreSQL, and NATS with JetStream where asked for, and waits until they answer.
    ///
    /// # Errors
    /// When a server is not installed or does not start, with the end of its log.
    pub async fn start(with_nats: bool) -> Result<Self> {
        let folder = Folder::create()?;
        postgres::init(folder.path())?;
        // No test of the run's PostgreSQL asks what a power cut leaves
        let mut running = vec![Server::spawn(Kind::Postgres { durable: false }, folder.path())?];
        let mut variables = vec![(POSTGRES_VARIABLE, running[0].url())];
        if with_nats {
            let nats = Server::spawn(Kind::Nats, folder.path())?;
            variables.push((NATS_VARIABLE, nats.url()));
            running.push(nats);
        }
        for server in &mut running {
            server.ready().await?;
        }
        Ok(Self { running, variables, folder })
    }

    /// The environment variables that tell the tests where the servers are.
    pub fn variables(&self) -> impl Iterator<Item = &(&'static str, String)> {
        self.variables.iter()
    }

    /// Stops the servers and removes their folder.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn stop(self) -> Result<()> {
        drop(self.running);
        self.folder.remove()
    }
}
