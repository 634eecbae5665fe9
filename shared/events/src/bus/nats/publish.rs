//! Publishing: in order, many at once, each acknowledged by the server.
//!
//! Order holds for each subject of the envelopes (`lead/42`): an event is sent when the one before it with the
//! same subject was acknowledged, never earlier. So none can overtake another that the server refused, or that was
//! lost with the connection and is sent again. What an abandoned call had sent may arrive later; the server drops
//! it as a repetition of what the next call sends, and if it comes first, it is still before its successors.

use super::{
    connection::Connection,
    stream::{NAME, PREFIX},
};
use crate::outbox;
use async_nats::jetstream::{
    Context,
    context::{PublishError, PublishErrorKind},
    message::PublishMessage,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use std::collections::HashSet;

/// Events on their way at once: enough to share the server's writes to disk, not enough to fill its memory.
const IN_FLIGHT: usize = 64;

/// What publishing has to know of an envelope.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Head {
    source: String,
    subject: String,
}

/// Publishes events in their order, and returns when the server has them on disk.
pub(super) async fn append(connection: &Connection, events: &[outbox::Model]) -> anyhow::Result<()> {
    let jetstream = connection.ready().await?;
    // What cannot be read is published, too: whom it concerns will say what is wrong with it
    let heads: Vec<Head> =
        events.iter().map(|it| serde_json::from_str(&it.envelope).unwrap_or_default()).collect();
    let mut start = 0;
    for length in waves(heads.iter().map(|head| head.subject.as_str())) {
        let range = start..start + length;
        start = range.end;
        let sent = range.map(|index| publish(connection, jetstream, &events[index], &heads[index]));
        connection.unless_lost(stream::iter(sent).buffered(IN_FLIGHT).try_collect::<()>()).await?;
    }
    Ok(())
}

/// How many events to send at once, again and again: all up to the next of a subject that is on its way.
fn waves<'a>(subjects: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut on_its_way = HashSet::new();
    let mut lengths = Vec::new();
    for subject in subjects {
        if !on_its_way.insert(subject) {
            lengths.push(on_its_way.len());
            on_its_way.clear();
            on_its_way.insert(subject);
        }
    }
    lengths.push(on_its_way.len());
    lengths
}

async fn publish(
    connection: &Connection,
    jetstream: &Context,
    event: &outbox::Model,
    head: &Head,
) -> anyhow::Result<()> {
    let message = PublishMessage::build().payload(event.envelope.clone().into());
    let message = message.message_id(event.id.to_string());
    let sent = jetstream.send_publish(subject(head, event), message).await;
    let acknowledged = match sent {
        Ok(acknowledgement) => acknowledgement.await,
        Err(error) => Err(error),
    };
    let acknowledgement = acknowledged.map_err(|error| explained(connection, event, &error))?;
    anyhow::ensure!(acknowledgement.stream == NAME, "the stream {} took an event", acknowledgement.stream);
    Ok(())
}

/// `leadgraph.events.<producer>.<type>`
fn subject(head: &Head, event: &outbox::Model) -> String {
    let producer = Some(clean(&head.source)).filter(|it| !it.is_empty()).unwrap_or_else(|| "unknown".into());
    let kind = Some(clean(&event.kind)).filter(|it| !it.is_empty()).unwrap_or_else(|| "unknown".into());
    format!("{PREFIX}.{producer}.{kind}")
}

/// Without what means something in a subject of NATS.
fn clean(name: &str) -> String {
    let parts = name.split(|it: char| !it.is_ascii_alphanumeric() && it != '-' && it != '_');
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

fn explained(connection: &Connection, event: &outbox::Model, error: &PublishError) -> anyhow::Error {
    let id = event.id;
    match error.kind() {
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => connection.away(),
        PublishErrorKind::StreamNotFound => anyhow::anyhow!("NATS has no stream {NAME}, or no JetStream"),
        PublishErrorKind::MaxPayloadExceeded => anyhow::anyhow!(
            "the event {id} ({}) has {} bytes, and NATS takes {}: raise its max_payload",
            event.kind,
            event.envelope.len(),
            connection.max_payload()
        ),
        _ => anyhow::anyhow!("NATS refuses the event {id} ({}): {error}", event.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_holds_each_subject_once() {
        assert_eq!(waves(["a", "b", "c"].into_iter()), [3]);
        assert_eq!(waves(["a", "a", "b", "a", "c", "c"].into_iter()), [1, 2, 2, 1]);
        assert_eq!(waves([].into_iter()), [0]);
    }

    #[test]
    fn names_become_parts_of_a_subject() {
        assert_eq!(clean("/leads"), "leads");
        assert_eq!(clean("lead.created"), "lead.created");
        assert_eq!(clean("a b..*.>\n"), "a.b");
    }
}
