//! The bus over NATS: one JetStream stream for the installation.
//!
//! Events are published with their id as the message id, so that the server drops repetitions, and read with
//! consumers that it forgets: where a reader stands is in its service's database, not on the server.

mod connection;
mod publish;
mod reader;
mod stream;

use super::{Bus, Reader};
use crate::outbox;
use async_trait::async_trait;
use connection::Connection;

/// A log in a JetStream stream.
#[derive(Debug)]
pub struct NatsBus {
    connection: Connection,
}

impl NatsBus {
    /// Connects in the background, and again whenever the connection is lost. Several servers of one cluster are
    /// separated by commas: `nats://user:password@a:4222,nats://b:4222`; `tls://` insists on encryption.
    ///
    /// # Errors
    /// When an address is malformed.
    pub async fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(url).await? })
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn identity(&self) -> anyhow::Result<String> {
        let jetstream = self.connection.ready().await?;
        let info = self.connection.within(Box::pin(stream::ensure(jetstream))).await?;
        Ok(stream::identity(&info))
    }

    async fn append(&self, events: &[outbox::Model]) -> anyhow::Result<()> {
        publish::append(&self.connection, events).await
    }

    async fn read(&self, identity: &str, after: i64) -> anyhow::Result<Reader> {
        reader::read(&self.connection, identity, after).await
    }
}
