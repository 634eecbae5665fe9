//! The same promises kept by both buses, and what befalls NATS.

mod faults;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use events::{Bus, Entry, Envelope, Event, LocalBus, NatsBus, Reader, contract::LeadCreated, outbox};
use futures_util::StreamExt;
use tempfile::TempDir;
use testkit::servers::Nats;
use tokio::time::timeout;
use uuid::Uuid;

/// Longer than anything here takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// Events of one subject, numbered from this number on.
fn events(subject: &str, numbers: std::ops::Range<u32>) -> Vec<outbox::Model> {
    numbers.map(|number| event(subject, number)).collect()
}

/// The same event each time.
fn event(subject: &str, number: u32) -> outbox::Model {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    for (at, byte) in (4..).zip(subject.bytes().take(12)) {
        bytes[at] = byte;
    }
    let id = Uuid::from_bytes(bytes);
    let time = DateTime::UNIX_EPOCH;
    let envelope = Envelope::new(&LeadCreated::example(), id, time, "system".into(), None);
    let mut envelope = envelope.expect("an envelope");
    envelope.subject = subject.into();
    outbox::Model {
        position: i64::from(number),
        id,
        kind: envelope.kind.clone(),
        envelope: serde_json::to_string(&envelope).expect("JSON"),
        created_at: time,
        published_at: None,
        keep_until: None,
    }
}

fn texts(events: &[outbox::Model]) -> Vec<String> {
    events.iter().map(|event| event.envelope.clone()).collect()
}

/// The next entries.
async fn take(reader: &mut Reader, count: usize) -> Vec<Entry> {
    let entries = async {
        let mut entries = Vec::new();
        while entries.len() < count {
            entries.push(reader.next().await.expect("no end").expect("an entry"));
        }
        entries
    };
    timeout(LONG, entries).await.expect("the entries come")
}

async fn take_texts(reader: &mut Reader, count: usize) -> Vec<String> {
    take(reader, count).await.into_iter().map(|entry| entry.envelope).collect()
}

/// How the reader ends: with an error, after which nothing comes.
async fn end(reader: &mut Reader) -> String {
    let error = timeout(LONG, async {
        loop {
            match reader.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break format!("{error:#}"),
                None => panic!("it ends without an error"),
            }
        }
    });
    let error = error.await.expect("the reader ends");
    assert!(reader.next().await.is_none(), "nothing comes after {error}");
    error
}

async fn read(bus: &dyn Bus, after: i64) -> Reader {
    let identity = bus.identity().await.expect("an identity");
    bus.read(&identity, after).await.expect("a reader")
}

/// Appends as a relay does: again and again.
async fn append(bus: &dyn Bus, events: &[outbox::Model]) {
    let start = Instant::now();
    while let Err(error) = append_once(bus, events).await {
        assert!(start.elapsed() < LONG, "{error:#}");
    }
}

async fn append_once(bus: &dyn Bus, events: &[outbox::Model]) -> anyhow::Result<()> {
    bus.identity().await?;
    bus.append(events).await
}

/// A bus and what it needs to live.
struct Setting {
    bus: Arc<dyn Bus>,
    _local: Option<TempDir>,
    _nats: Option<Nats>,
}

async fn local() -> Setting {
    let folder = tempfile::tempdir().expect("a folder");
    let bus = LocalBus::open(&folder.path().join("events.sqlite")).await.expect("a bus");
    Setting { bus, _local: Some(folder), _nats: None }
}

async fn nats() -> Setting {
    let nats = Nats::start().await;
    let bus = Arc::new(NatsBus::new(&nats.url()).await.expect("a bus"));
    bus.identity().await.expect("a stream");
    Setting { bus, _local: None, _nats: Some(nats) }
}

/// Runs a test on both buses.
macro_rules! on_both {
    ($($name:ident),*) => {
        mod local_bus {
            $(#[tokio::test] async fn $name() { super::$name(&*super::local().await.bus).await; })*
        }
        mod nats_bus {
            $(#[tokio::test] async fn $name() { super::$name(&*super::nats().await.bus).await; })*
        }
    };
}

on_both!(
    what_is_appended_is_read_in_order,
    a_reader_is_woken_at_once,
    reading_begins_after_a_position,
    an_event_is_there_once,
    another_identity_is_refused,
    what_is_no_event_arrives_as_it_is,
    two_writers_keep_their_orders
);

async fn what_is_appended_is_read_in_order(bus: &dyn Bus) {
    let mut events = events("lead/1", 0..10);
    events.extend(self::events("lead/2", 0..300));
    events.extend(self::events("lead/1", 10..20));
    bus.append(&events).await.expect("appended");

    let entries = take(&mut read(bus, 0).await, 320).await;
    assert_eq!(entries.iter().map(|entry| entry.envelope.clone()).collect::<Vec<_>>(), texts(&events));
    assert!(entries.is_sorted_by(|one, next| one.position < next.position));
    assert_eq!((entries[0].behind, entries[319].behind), (319, 0));
}

async fn a_reader_is_woken_at_once(bus: &dyn Bus) {
    let mut reader = read(bus, 0).await;
    let mut fastest = Duration::MAX;
    for number in 0..10 {
        let event = [event("lead/1", number)];
        // It waits before there is something
        let (entry, start) = tokio::join!(take(&mut reader, 1), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let start = Instant::now();
            bus.append(&event).await.expect("appended");
            start
        });
        fastest = fastest.min(start.elapsed());
        assert_eq!(entry[0].envelope, event[0].envelope);
    }
    assert!(fastest < Duration::from_millis(100), "it looks now and then: {fastest:?}");
}

async fn reading_begins_after_a_position(bus: &dyn Bus) {
    let events = events("lead/1", 0..5);
    bus.append(&events).await.expect("appended");
    let entries = take(&mut read(bus, 0).await, 5).await;

    let rest = take_texts(&mut read(bus, entries[2].position).await, 2).await;
    assert_eq!(rest, texts(&events[3..]));

    let mut reader = read(bus, entries[4].position).await;
    let later = self::events("lead/1", 5..6);
    bus.append(&later).await.expect("appended");
    assert_eq!(take_texts(&mut reader, 1).await, texts(&later));
}

async fn an_event_is_there_once(bus: &dyn Bus) {
    let events = events("lead/1", 0..4);
    bus.append(&events[..3]).await.expect("appended");
    bus.append(&events[1..]).await.expect("appended");
    bus.append(&events).await.expect("appended");
    bus.append(&[]).await.expect("nothing appended");
    let last = [event("lead/2", 0)];
    bus.append(&last).await.expect("appended");

    let expected = [texts(&events), texts(&last)].concat();
    assert_eq!(take_texts(&mut read(bus, 0).await, 5).await, expected);
}

async fn another_identity_is_refused(bus: &dyn Bus) {
    let error = bus.read("another", 0).await.err().expect("an error");
    assert!(error.to_string().contains("another one"), "{error:#}");
}

async fn what_is_no_event_arrives_as_it_is(bus: &dyn Bus) {
    let broken = outbox::Model { envelope: "{no event".into(), kind: "* >".into(), ..event("x", 0) };
    bus.append(std::slice::from_ref(&broken)).await.expect("appended");
    assert_eq!(take_texts(&mut read(bus, 0).await, 1).await, [broken.envelope]);
}

async fn two_writers_keep_their_orders(bus: &dyn Bus) {
    let writers = ["lead/1", "lead/2"].map(|subject| events(subject, 0..500));
    let write = async |events: &[outbox::Model]| {
        for batch in events.chunks(50) {
            bus.append(batch).await.expect("appended");
        }
    };
    let mut reader = read(bus, 0).await;
    let ((), (), read) = tokio::join!(write(&writers[0]), write(&writers[1]), take_texts(&mut reader, 1_000));

    for (events, subject) in writers.iter().zip(["lead/1", "lead/2"]) {
        let own = read.iter().filter(|text| text.contains(&format!("\"{subject}\"")));
        assert_eq!(own.cloned().collect::<Vec<_>>(), texts(events));
    }
}

#[tokio::test]
async fn a_file_keeps_its_identity_and_another_file_has_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut identities = HashMap::new();
    for name in ["one", "two", "one"] {
        let bus = LocalBus::open(&folder.path().join(name)).await.expect("a bus");
        identities.entry(name).or_insert_with(Vec::new).push(bus.identity().await.expect("an identity"));
    }
    assert_eq!(identities["one"][0], identities["one"][1]);
    assert_ne!(identities["one"][0], identities["two"][0]);
}

/// There are personal data in it.
#[cfg(unix)]
#[tokio::test]
async fn a_file_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let bus = LocalBus::open(&folder.path().join("log")).await.expect("a bus");
    bus.append(&[event("lead/1", 0)]).await.expect("appended");
    for entry in std::fs::read_dir(folder.path()).expect("the folder").flatten() {
        let mode = std::os::unix::fs::MetadataExt::mode(&entry.metadata().expect("its metadata"));
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn a_file_that_was_set_back_becomes_another_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let bus = LocalBus::open(&folder.path().join("log")).await.expect("a bus");
    bus.append(&events("lead/1", 0..3)).await.expect("appended");
    let identity = bus.identity().await.expect("an identity");
    assert!(bus.read(&identity, 3).await.is_ok());
    let error = bus.read(&identity, 4).await.err().expect("an error").to_string();
    assert!(error.contains("ends at 3"), "{error}");
    let renewed = bus.identity().await.expect("an identity");
    assert_ne!(renewed, identity, "so everything is published again");
    assert_eq!(take_texts(&mut bus.read(&renewed, 0).await.expect("a reader"), 3).await.len(), 3);
}
