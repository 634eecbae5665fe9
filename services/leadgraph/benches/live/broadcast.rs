//! One notification to many sockets, and the memory of a socket, beside a bare server.
//!
//! Both servers have the same number of sockets all the time, and take turns. A notification is made of an event on
//! the bus. The clock runs from the first frame that arrives to the last one, so that what happens before the first
//! does not count: once for each of several notifications alone, and once for several that come at once. Client and
//! servers share the machine's cores; what the server alone costs is its processor time for each frame.

use crate::{
    audience::Audience,
    child::{memory, processor_time},
    raw::RawServer,
    services::{Fleet, token},
};
use anyhow::{Result, ensure};
use events::{Bus, Envelope, Event, LocalBus, contract::ScoresRecalculated, outbox};
use std::{sync::Arc, time::Duration};
use subgraph::{Clock, Random};
use testkit::report::{Report, as_f64, beside, median, quantile, title};
use tokio::time::sleep;

/// Frames per second, as a share of the bare server's.
const MIN_RATIO: f64 = 0.6;
/// Bytes of memory for each connection, in kB of 1,000.
const MAX_MEMORY: f64 = 12.0;
/// Notifications of a round that come alone.
const ALONE: usize = 5;
/// Notifications of a round that come at once; all fit into a client's queue.
const AT_ONCE: usize = 20;
/// Until subscriptions have begun and memory is given back.
const SETTLE: Duration = Duration::from_secs(3);
/// Until what a server does after the last frame is done.
const PAUSE: Duration = Duration::from_millis(300);

/// Measures memory and throughput.
pub async fn measure(sockets: usize, rounds: usize, report: &mut Report) -> Result<()> {
    let product = Product::start().await?;
    let (mut product, ours) = Stand::fill(Server::Product(product), sockets).await?;
    let bytes = product.rehearse().await?;
    let raw = Box::new(RawServer::start(bytes).await?);
    let (mut raw, theirs) = Stand::fill(Server::Raw(raw), sockets).await?;
    ensure!(raw.rehearse().await? == bytes, "the frames have different sizes");
    let (mut alone, mut at_once) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push([product.turn(ALONE, 1).await?, raw.turn(ALONE, 1).await?]);
        at_once.push([product.turn(1, AT_ONCE).await?, raw.turn(1, AT_ONCE).await?]);
    }
    title(&format!("broadcast to {sockets} sockets, frames of {bytes} bytes; medians of {rounds} rounds"));
    print("one notification", &alone, report);
    print(&format!("{AT_ONCE} notifications at once"), &at_once, report);
    title(&format!("memory of {sockets} idle subscribed sockets"));
    report.at_most("a connection", ours / 1e3, MAX_MEMORY, "kB");
    beside("a connection of the bare server", theirs / 1e3, "kB");
    beside("ratio", ours / theirs, "");
    beside("a connection after all that was sent", product.memory()? / 1e3, "kB");
    beside("a connection of the bare server after it", raw.memory()? / 1e3, "kB");
    Ok(())
}

fn print(what: &str, rounds: &[[Turn; 2]], report: &mut Report) {
    let of = |of: fn(&[Turn; 2]) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
    let ratios = of(|[ours, theirs]| ours.rate / theirs.rate);
    beside(&format!("{what}: frames per second"), median(&of(|[ours, _]| ours.rate)), "");
    beside(&format!("{what}: the bare server's"), median(&of(|[_, theirs]| theirs.rate)), "");
    report.at_least(&format!("{what}: ratio"), median(&ratios), MIN_RATIO, "");
    beside(&format!("{what}: ratio of the worst round"), quantile(&ratios, 0.0), "");
    beside(&format!("{what}: ratio of the best round"), quantile(&ratios, 1.0), "");
    beside(&format!("{what}: processor time of a frame"), median(&of(|[ours, _]| ours.cost)), "µs");
    beside(&format!("{what}: the bare server's"), median(&of(|[_, theirs]| theirs.cost)), "µs");
}

/// How a server did in one turn.
struct Turn {
    /// Frames per second.
    rate: f64,
    /// The server's processor time for a frame, in microseconds.
    cost: f64,
}

/// Notifications, and the bus it listens to.
struct Product {
    fleet: Fleet,
    bus: Arc<LocalBus>,
}

impl Product {
    async fn start() -> Result<Self> {
        let fleet = Fleet::alone("notifications").await;
        let bus = LocalBus::open(&fleet.folder().join("events.sqlite")).await?;
        Ok(Self { fleet, bus })
    }

    async fn notify(&self, count: usize) -> Result<()> {
        let rows = (0..count).map(|_| row(&ScoresRecalculated::example()));
        self.bus.append(&rows.collect::<Result<Vec<_>>>()?).await
    }
}

/// An event as it stands in an outbox.
fn row<E: Event>(event: &E) -> Result<outbox::Model> {
    let now = Clock::System.now();
    let id = Random::System.uuid(now);
    let envelope = serde_json::to_string(&Envelope::new(event, id, now, "user:1".into(), None)?)?;
    let kind = E::TYPE.into();
    Ok(outbox::Model {
        position: 0,
        id,
        kind,
        envelope,
        created_at: now,
        published_at: None,
        keep_until: None,
    })
}

enum Server {
    Product(Product),
    Raw(Box<RawServer>),
}

impl Server {
    fn live_url(&self) -> String {
        match self {
            Self::Product(product) => product.fleet.live_url("notifications"),
            Self::Raw(raw) => raw.live_url(),
        }
    }

    fn process(&self) -> Result<u32> {
        match self {
            Self::Product(product) => Ok(product.fleet.process()),
            Self::Raw(raw) => raw.process(),
        }
    }

    async fn broadcast(&mut self, events: usize) -> Result<()> {
        match self {
            Self::Product(product) => product.notify(events).await,
            Self::Raw(raw) => raw.broadcast(events).await,
        }
    }
}

/// A server and its audience.
struct Stand {
    server: Server,
    audience: Audience,
    sockets: usize,
    /// What the server had in memory without them, in bytes.
    empty: f64,
}

impl Stand {
    /// Fills a server with sockets; also the memory that each of them takes, in bytes.
    async fn fill(server: Server, sockets: usize) -> Result<(Self, f64)> {
        // The first one makes what all share
        drop(Audience::connect(&server.live_url(), &token(), 1).await?);
        sleep(SETTLE).await;
        let empty = memory(server.process()?)?;
        let audience = Audience::connect(&server.live_url(), &token(), sockets).await?;
        sleep(SETTLE).await;
        let stand = Self { server, audience, sockets, empty };
        let each = stand.memory()?;
        Ok((stand, each))
    }

    /// The memory that each socket takes now, in bytes.
    fn memory(&self) -> Result<f64> {
        Ok((memory(self.server.process()?)? - self.empty) / as_f64(self.sockets))
    }

    /// One event that does not count; how many bytes a frame has.
    async fn rehearse(&mut self) -> Result<usize> {
        self.audience.expect(1).await?;
        self.server.broadcast(1).await?;
        Ok(self.audience.heard(1).await?.bytes)
    }

    /// So many times so many events.
    async fn turn(&mut self, times: usize, events: usize) -> Result<Turn> {
        let (mut frames, mut seconds, begin) = (0, 0.0, processor_time(self.server.process()?)?);
        for _ in 0..times {
            self.audience.expect(events).await?;
            self.server.broadcast(events).await?;
            let heard = self.audience.heard(events).await?;
            frames += heard.frames;
            seconds += heard.took.as_secs_f64();
        }
        sleep(PAUSE).await;
        let used = processor_time(self.server.process()?)? - begin;
        let frames = as_f64(frames);
        Ok(Turn { rate: frames / seconds, cost: used / frames * 1e6 })
    }
}
