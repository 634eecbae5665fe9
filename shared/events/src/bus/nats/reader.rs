//! Reading: with a consumer of its own that the server forgets soon after.
//!
//! The server pushes what was asked for and expects no acknowledgement, so it never sends anything twice. What
//! could make a reader miss something ends it: a gap, a lost connection, missing heartbeats, a lost consumer,
//! and another stream of the same name, whose entries would begin below the reader's position.

use super::{connection::Connection, stream};
use crate::bus::{Entry, Reader, lost};
use anyhow::{Context as _, anyhow, bail, ensure};
use async_nats::jetstream::{
    Context, Message,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// Entries asked for at once.
const BATCH: usize = 200;
/// How often the server has to say that it has nothing to say. Twice that is too long.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// When the server forgets a reader that has gone.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// Between two looks at the connection.
const LOOK: Duration = Duration::from_millis(250);
/// Between two looks whether the stream is still the one it was.
const IDENTIFY: Duration = Duration::from_secs(2);

struct Reading {
    connection: Connection,
    jetstream: Context,
    identity: String,
    /// The connection's number when reading began.
    began_on: u64,
    messages: pull::Stream,
    /// How many entries came; the server counts as well.
    received: u64,
    /// Where the stream ended at the last look: entries that came and wait here are not pending for the server.
    last: u64,
    look: Interval,
    identified: Instant,
}

/// The entries after a position of the stream with this identity.
pub(super) async fn read(connection: &Connection, identity: &str, after: i64) -> anyhow::Result<Reader> {
    let jetstream = connection.ready().await?;
    let began_on = connection.number().with_context(|| connection.away())?;
    let after = u64::try_from(after).unwrap_or_default();
    let messages = connection.within(messages(jetstream, after)).await?;
    // Afterwards: a consumer of the stream that was there before is none of the one that is there now
    let info = connection.within(stream::info(jetstream)).await?;
    ensure!(stream::identity(&info) == identity, "the stream of events is another one");
    let (first, last) = (info.state.first_sequence, info.state.last_sequence);
    if let Some(why) = lost(i64::try_from(first)?, i64::try_from(last)?, i64::try_from(after)?) {
        connection.within(stream::renew(jetstream, &info, &why)).await?;
        bail!("the stream of events lost some: {why}. All that is kept is published again");
    }
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reading = Reading {
        connection: connection.clone(),
        jetstream: jetstream.clone(),
        identity: identity.into(),
        began_on,
        messages,
        received: 0,
        last,
        look,
        identified: Instant::now(),
    };
    let entries = futures_util::stream::try_unfold(reading, |mut reading| async move {
        let entry = reading.next().await?;
        anyhow::Ok(Some((entry, reading)))
    });
    Ok(entries.boxed())
}

async fn messages(jetstream: &Context, after: u64) -> anyhow::Result<pull::Stream> {
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
        ack_policy: AckPolicy::None,
        memory_storage: true,
        inactive_threshold: FORGOTTEN,
        ..pull::Config::default()
    };
    let consumer: PullConsumer =
        jetstream.create_consumer_on_stream(config, stream::NAME).await.map_err(unreadable)?;
    let messages = consumer.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT).messages();
    messages.await.map_err(unreadable)
}

fn unreadable(error: impl std::error::Error) -> anyhow::Error {
    anyhow!("the stream {} cannot be read: {error}", stream::NAME)
}

impl Reading {
    async fn next(&mut self) -> anyhow::Result<Entry> {
        loop {
            tokio::select! {
                biased;
                _ = self.look.tick() => self.check().await?,
                message = self.messages.next() => {
                    let message = message.context("NATS sends no more events")?;
                    let message = message.map_err(|error| anyhow!("NATS stopped sending events: {error}"))?;
                    return self.entry(&message);
                }
            }
        }
    }

    /// Whether nothing can have been missed.
    async fn check(&mut self) -> anyhow::Result<()> {
        if self.connection.number() != Some(self.began_on) {
            bail!("the connection to NATS was lost");
        }
        if self.identified.elapsed() >= IDENTIFY {
            let info = self.connection.within(stream::info(&self.jetstream)).await?;
            ensure!(stream::identity(&info) == self.identity, "the stream of events is another one by now");
            (self.identified, self.last) = (Instant::now(), info.state.last_sequence);
        }
        Ok(())
    }

    fn entry(&mut self, message: &Message) -> anyhow::Result<Entry> {
        let info = message.info().map_err(|error| anyhow!("a message of no stream: {error}"))?;
        self.received += 1;
        ensure!(
            info.consumer_sequence == self.received,
            "NATS sent {} events, of which {} arrived",
            info.consumer_sequence,
            self.received
        );
        Ok(Entry {
            position: i64::try_from(info.stream_sequence)?,
            // What is no text is for the reader to park
            envelope: String::from_utf8_lossy(&message.payload).into_owned(),
            behind: info.pending.max(self.last.saturating_sub(info.stream_sequence)),
        })
    }
}
