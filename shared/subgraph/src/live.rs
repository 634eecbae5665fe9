//! Live delivery: events as they happen, over WebSocket, with nothing lost in silence.
//!
//! The source is the service's own outbox. The hub reads what comes into it ([`hub`]), makes each event into an
//! answer once for all who asked the same ([`group`], [`operation`]), and puts it into the queue of each client
//! ([`client`]), from where the client's socket writes it ([`socket`]). What a field of `Subscription` follows is
//! said by its resolver ([`follow`]). Every replica reads the same outbox, so each delivers to its own clients
//! what any of them wrote.

mod client;
mod ending;
mod follow;
mod frame;
mod group;
mod hub;
mod key;
mod operation;
mod protocol;
mod socket;
mod upgrade;

pub use follow::LiveContext;
pub(crate) use upgrade::{is_upgrade, upgrade};

use crate::{
    error::{Error, Result},
    graphql::Endpoint,
    metrics::LiveMetrics,
};
use client::Client;
use events::{Envelope, Event};
use hub::Hub;
use protocol::Closing;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, broadcast};

/// Events that those who take them raw may be behind.
const ITEMS: usize = 1024;
/// Clients for which what they missed is read at the same moment; half the usual connections.
const READING: usize = 4;

/// How patient live delivery is.
#[derive(Clone, Copy, Debug)]
pub struct LiveLimits {
    /// Until when a client has to say who it is.
    pub init_timeout: Duration,
    /// After how much silence a client is asked whether it is there.
    pub ping_after: Duration,
    /// After how much silence a client is taken for dead.
    pub dead_after: Duration,
    /// How long a client may take nothing of what is written to it.
    pub stall: Duration,
    /// Messages that may wait for a client.
    pub queue_frames: usize,
    /// Bytes that may wait for a client.
    pub queue_bytes: usize,
}

impl Default for LiveLimits {
    fn default() -> Self {
        Self {
            init_timeout: Duration::from_secs(10),
            // Proxies close what was silent for a minute, some for half of it
            ping_after: Duration::from_secs(25),
            dead_after: Duration::from_mins(1),
            stall: Duration::from_secs(30),
            queue_frames: 64,
            queue_bytes: 256 * 1024,
        }
    }
}

/// Something that happened in this service, of a type that is live.
#[derive(Debug)]
pub struct Item {
    /// The type of event.
    pub kind: &'static str,
    /// Its place in the outbox.
    pub position: i64,
    /// Its place in the list that clients resume from, where there is one.
    pub sequence: Option<i64>,
    /// The event.
    pub envelope: Envelope,
    /// The trace in which it happened.
    pub(crate) trace: opentelemetry::Context,
}

impl Item {
    /// The event inside.
    pub fn event<E: Event>(&self) -> Result<E> {
        self.envelope.event().map_err(|error| Error::internal(format!("{error:#}")))
    }
}

#[derive(Default)]
struct Sockets {
    open: HashMap<u64, Arc<Client>>,
    stopping: bool,
}

/// Live delivery of one service.
pub struct Live {
    pub(crate) limits: LiveLimits,
    hub: Arc<Hub>,
    items: broadcast::Sender<Arc<Item>>,
    reading: Semaphore,
    numbers: AtomicU64,
    sockets: Mutex<Sockets>,
}

impl Live {
    pub(crate) fn new(limits: LiveLimits, metrics: LiveMetrics) -> Self {
        Self {
            limits,
            hub: Arc::new(Hub::new(metrics)),
            items: broadcast::Sender::new(ITEMS),
            reading: Semaphore::new(READING),
            numbers: AtomicU64::default(),
            sockets: Mutex::default(),
        }
    }

    /// What happens from now on. Who reads too slowly is told how many were missed.
    pub fn items(&self) -> broadcast::Receiver<Arc<Item>> {
        self.items.subscribe()
    }

    /// A number that no socket and no operation has had.
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a socket that was opened.
    fn enter(&self) -> (u64, Arc<Client>) {
        let (number, client) = (self.number(), Arc::new(Client::new(&self.limits)));
        let mut sockets = self.sockets();
        if sockets.stopping {
            client.close(Closing::GOING_AWAY);
        }
        sockets.open.insert(number, client.clone());
        self.hub.metrics.sockets.inc();
        (number, client)
    }

    /// Forgets a socket.
    fn leave(&self, number: u64) {
        let left = self.sockets().open.remove(&number);
        self.hub.metrics.sockets.dec();
        drop(left);
    }

    /// Closes all sockets, also those that are opened from now on.
    pub(crate) fn stop(&self) {
        let mut sockets = self.sockets();
        sockets.stopping = true;
        sockets.open.values().for_each(|client| client.close(Closing::GOING_AWAY));
    }
}

/// Gets ready to deliver what happens from now on.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn start(endpoint: &Endpoint) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let endpoint = endpoint.clone();
    let position =
        if endpoint.service.live_kinds.is_empty() { None } else { Some(hub::end(&endpoint).await?) };
    Ok(async move {
        let sessions = end_sessions(endpoint.clone());
        match position {
            Some(position) => drop(tokio::join!(sessions, hub::run(endpoint, position))),
            None => sessions.await,
        }
    })
}

/// Closes the sockets of every session that is ended.
async fn end_sessions(endpoint: Endpoint) {
    let service = &endpoint.service;
    let mut changed = service.revocations.changed();
    while changed.changed().await.is_ok() {
        let open = service.live.sockets();
        open.open
            .values()
            .for_each(|client| client.close_if(|session| service.revocations.contains(session)));
    }
}
