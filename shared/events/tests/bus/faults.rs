//! What befalls NATS, its stream and the connections to it.

use std::time::{Duration, Instant};

use events::{Bus, NatsBus, outbox};
use testkit::servers::Nats;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::{append, end, event, events, nats, read, take, take_texts, texts};

#[tokio::test]
async fn killed_nats_keeps_its_identity_and_every_event() {
    let mut nats = Nats::start().await;
    let bus = NatsBus::new(&nats.url()).await.expect("a bus");
    let identity = bus.identity().await.expect("an identity");
    let events = events("lead/1", 0..100);
    bus.append(&events).await.expect("appended");
    let mut reader = bus.read(&identity, 0).await.expect("a reader");
    let entries = take(&mut reader, 100).await;

    nats.restart().await;

    let said = end(&mut reader).await;
    assert!(said.contains("lost") || said.contains("does not answer") || said.contains("stopped"), "{said}");
    assert_eq!(bus.identity().await.expect("an identity"), identity);
    assert_eq!(take_texts(&mut read(&bus, 0).await, 100).await, texts(&events));
    // And it still knows what it has
    append(&bus, &super::events("lead/1", 99..101)).await;
    let rest = take_texts(&mut read(&bus, entries[99].position).await, 1).await;
    assert_eq!(rest, [event("lead/1", 100).envelope]);
}

#[tokio::test]
async fn wiped_nats_is_another_log_and_takes_everything_again() {
    let mut nats = Nats::start().await;
    let bus = NatsBus::new(&nats.url()).await.expect("a bus");
    let identity = bus.identity().await.expect("an identity");
    let events = events("lead/1", 0..50);
    bus.append(&events).await.expect("appended");
    let mut reader = bus.read(&identity, 50).await.expect("a reader");

    nats.kill();
    nats.wipe();
    nats.restart().await;

    end(&mut reader).await;
    let error = bus.append(&events).await.expect_err("no stream");
    assert!(format!("{error:#}").contains("LEADGRAPH"), "{error:#}");
    assert_ne!(bus.identity().await.expect("an identity"), identity);
    let refused = bus.read(&identity, 50).await.err().expect("an error").to_string();
    assert!(refused.contains("another one"), "{refused}");
    append(&bus, &events).await;
    assert_eq!(take_texts(&mut read(&bus, 0).await, 50).await, texts(&events));
}

#[tokio::test]
async fn a_deleted_stream_ends_its_readers_also_when_somebody_makes_it_anew() {
    let nats = Nats::start().await;
    let bus = NatsBus::new(&nats.url()).await.expect("a bus");
    bus.identity().await.expect("a stream");
    bus.append(&events("lead/1", 0..3)).await.expect("appended");
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("a client"));

    let mut idle = read(&bus, 3).await;
    jetstream.delete_stream("LEADGRAPH").await.expect("deleted");
    end(&mut idle).await;

    let mut idle = read(&bus, 0).await;
    let identity = bus.identity().await.expect("an identity");
    jetstream.delete_stream("LEADGRAPH").await.expect("deleted");
    assert_ne!(bus.identity().await.expect("an identity"), identity);
    bus.append(&events("lead/1", 0..1)).await.expect("appended");
    end(&mut idle).await;
}

#[tokio::test]
async fn a_silent_nats_ends_its_readers_and_fails_appends_within_seconds() {
    let mut nats = Nats::start().await;
    let bus = NatsBus::new(&nats.url()).await.expect("a bus");
    let mut reader = read(&bus, 0).await;

    nats.pause();
    let start = Instant::now();
    end(&mut reader).await;
    let error = bus.append(&[event("lead/1", 0)]).await.expect_err("no answer");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(format!("{error:#}").contains("does not answer"), "{error:#}");

    nats.resume();
    append(&bus, &events("lead/1", 0..2)).await;
    assert_eq!(take_texts(&mut read(&bus, 0).await, 2).await, texts(&events("lead/1", 0..2)));
}

#[tokio::test]
async fn without_nats_everything_fails_soon_and_works_later() {
    let mut nats = Nats::start().await;
    nats.kill();
    let address = nats.url().replace("nats://", "");
    let bus = NatsBus::new(&format!("nats://me:secret@{address}")).await.expect("it does not wait");

    let event = [event("lead/1", 0)];
    let start = Instant::now();
    let (identity, appended, reader) = tokio::join!(bus.identity(), bus.append(&event), bus.read("any", 0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    for error in [identity.err(), appended.err(), reader.err()] {
        let error = format!("{:#}", error.expect("an error"));
        assert!(error.contains(&format!("NATS at {address} does not answer")), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    assert!(!format!("{bus:?}").contains("secret"));

    nats.restart().await;
    append(&bus, &event).await;
    assert_eq!(take_texts(&mut read(&bus, 0).await, 1).await, texts(&event));
}

/// Passes connections on to NATS and cuts them all whenever it is told to, while NATS itself stays as it is.
async fn passes_on(nats: &Nats) -> (String, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    let (cut, cuts) = watch::channel(());
    let target = nats.url().replace("nats://", "");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (mut cuts, target) = (cuts.clone(), target.clone());
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(target).await.expect("NATS");
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    (url, cut)
}

#[tokio::test]
async fn a_reader_does_not_outlive_its_connection() {
    let nats = Nats::start().await;
    let (url, cut) = passes_on(&nats).await;
    let bus = NatsBus::new(&url).await.expect("a bus");
    let mut reader = read(&bus, 0).await;
    bus.append(&events("lead/1", 0..3)).await.expect("appended");
    take(&mut reader, 3).await;

    cut.send_replace(());
    let said = end(&mut reader).await;
    assert!(said.contains("connection to NATS was lost"), "{said}");

    let mut reader = read(&bus, 3).await;
    append(&bus, &events("lead/1", 3..4)).await;
    assert_eq!(take_texts(&mut reader, 1).await, texts(&events("lead/1", 3..4)));
}

#[tokio::test]
async fn what_is_lost_on_the_way_overtakes_nothing() {
    let mut nats = Nats::start().await;
    let bus = NatsBus::new(&nats.url()).await.expect("a bus");
    let all = events("lead/1", 0..2_000);
    bus.identity().await.expect("a stream");

    let write = async {
        for batch in all.chunks(100) {
            append(&bus, batch).await;
        }
    };
    let fault = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            nats.restart().await;
        }
    };
    tokio::join!(write, fault);
    assert_eq!(take_texts(&mut read(&bus, 0).await, 2_000).await, texts(&all));
}

#[tokio::test]
async fn an_event_that_is_too_large_says_what_to_do() {
    let setting = nats().await;
    let large = outbox::Model { envelope: "x".repeat(9_000_000), ..event("lead/1", 0) };
    let error = setting.bus.append(&[large]).await.expect_err("too large").to_string();
    assert!(error.contains("8388608") && error.contains("max_payload"), "{error}");
    // The shipped configuration takes what a default one does not
    let fits = outbox::Model { envelope: "x".repeat(7_000_000), ..event("lead/1", 0) };
    setting.bus.append(&[fits]).await.expect("appended");
}

#[tokio::test]
async fn services_that_start_at_once_make_one_stream_and_leave_an_operators_alone() {
    let nats = Nats::start().await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("a client"));
    let theirs = async_nats::jetstream::stream::Config {
        name: "LEADGRAPH".into(),
        subjects: vec!["theirs".into()],
        max_age: Duration::from_hours(1),
        ..Default::default()
    };
    for made_before in [false, true] {
        if made_before {
            jetstream.delete_stream("LEADGRAPH").await.expect("deleted");
            jetstream.create_stream(&theirs).await.expect("created");
        }
        let mut buses = Vec::new();
        for _ in 0..6 {
            buses.push(NatsBus::new(&nats.url()).await.expect("a bus"));
        }
        let identities = futures_util::future::join_all(buses.iter().map(Bus::identity)).await;
        let identities: Vec<_> = identities.into_iter().map(|it| it.expect("an identity")).collect();
        assert!(identities.iter().all(|it| *it == identities[0]), "{identities:?}");
        buses[0].append(&[event("lead/1", 0)]).await.expect("appended");
    }
    let stream = jetstream.get_stream("LEADGRAPH").await.expect("the stream");
    let config = &stream.cached_info().config;
    assert_eq!(config.max_age, theirs.max_age);
    assert_eq!(config.subjects, ["theirs", "leadgraph.events.>"]);
}

#[tokio::test]
async fn a_stream_that_was_set_back_is_not_waited_for() {
    let setting = nats().await;
    setting.bus.append(&events("lead/1", 0..3)).await.expect("appended");
    let identity = setting.bus.identity().await.expect("an identity");
    let error = setting.bus.read(&identity, 4).await.err().expect("an error").to_string();
    assert!(error.contains("ends at 3"), "{error}");
    let renewed = setting.bus.identity().await.expect("an identity");
    assert_ne!(renewed, identity, "so everything is published again");
    assert_eq!(take_texts(&mut setting.bus.read(&renewed, 0).await.expect("a reader"), 3).await.len(), 3);
}
