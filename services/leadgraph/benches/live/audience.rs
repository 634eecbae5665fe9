//! Many sockets that are subscribed to notifications, and count what they are sent.
//!
//! A process of its own, the same for both servers: told how many events come, it says when all sockets have all of
//! them, and how long that took from the first frame to the last one.

use crate::child::{Child, Orders};
use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, sync::Notify};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

/// The one subprotocol there is.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";
/// How every notification's frame begins.
pub const NEXT: &str = r#"{"id":"1","type":"next","payload":"#;
/// How the servers let a client in.
pub const ACK: &str = r#"{"type":"connection_ack"}"#;
const SUBSCRIBE: &str = r#"{"id":"1","type":"subscribe","payload":{"query":"subscription { notificationCreated { id type title message relatedLeadId sequence createdAt } }"}}"#;
/// Handshakes at the same time.
const AT_ONCE: usize = 64;
/// Bytes read at once.
const READ_BUFFER: usize = 4 * 1024;

/// A client's end of a connection.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects and subscribes. What happens from shortly after this on is told.
pub async fn subscribe(url: &str, token: &str) -> Result<Socket> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let (mut socket, _) = connect_async_with_config(request, Some(config), true).await?;
    let init = format!(r#"{{"type":"connection_init","payload":{{"token":"{token}"}}}}"#);
    socket.send(Message::text(init)).await?;
    match socket.next().await.context("the server hung up")?? {
        Message::Text(text) if text.contains("connection_ack") => {}
        other => bail!("not let in: {other}"),
    }
    socket.send(Message::text(SUBSCRIBE)).await?;
    Ok(socket)
}

/// What all sockets together were sent.
struct Tally {
    begin: Instant,
    expected: AtomicU64,
    frames: AtomicU64,
    /// Nanoseconds since the beginning.
    first: AtomicU64,
    last: AtomicU64,
    bytes: AtomicU64,
    failed: Mutex<Option<String>>,
    done: Notify,
}

impl Tally {
    fn new() -> Self {
        let number = || AtomicU64::new(0);
        Self {
            begin: Instant::now(),
            expected: number(),
            frames: number(),
            first: number(),
            last: number(),
            bytes: number(),
            failed: Mutex::default(),
            done: Notify::new(),
        }
    }

    fn expect(&self, frames: u64) {
        self.frames.store(0, Ordering::Relaxed);
        self.expected.store(frames, Ordering::Relaxed);
    }

    fn count(&self, text: &str) {
        let frames = self.frames.fetch_add(1, Ordering::Relaxed) + 1;
        let now = || u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if frames == 1 {
            self.first.store(now(), Ordering::Relaxed);
        }
        if frames == self.expected.load(Ordering::Relaxed) {
            self.last.store(now(), Ordering::Relaxed);
            self.bytes.store(text.len() as u64, Ordering::Relaxed);
            self.done.notify_one();
        }
    }

    fn fail(&self, why: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.done.notify_one();
    }

    /// Waits for all that is expected; from the first frame to the last, in nanoseconds, and a frame's bytes.
    async fn wait(&self) -> Result<String> {
        self.done.notified().await;
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        ensure!(failed.is_none(), "a socket failed: {}", failed.unwrap_or_default());
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Ok(format!("{} {}", read(&self.last) - read(&self.first), read(&self.bytes)))
    }
}

/// Is an audience until there are no more orders.
pub async fn run(url: String, token: String, sockets: usize) -> Result<()> {
    let (tally, mut orders) = (Arc::new(Tally::new()), Orders::new());
    stream::iter(0..sockets)
        .map(|_| subscribe(&url, &token))
        .buffer_unordered(AT_ONCE)
        .try_for_each(async |socket| {
            tokio::spawn(listen(socket, tally.clone()));
            Ok(())
        })
        .await?;
    orders.answer("connected").await?;
    while let Some(events) = orders.next().await? {
        tally.expect(u64::try_from(events * sockets)?);
        orders.answer("ready").await?;
        let heard = tally.wait().await?;
        orders.answer(heard).await?;
    }
    Ok(())
}

async fn listen(mut socket: Socket, tally: Arc<Tally>) {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.starts_with(NEXT) => tally.count(&text),
            // Answered by the library
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return tally.fail(format!("{other:?}")),
        }
    }
}

/// The process with the sockets.
pub struct Audience {
    child: Child,
    sockets: usize,
}

/// What the sockets were sent.
pub struct Heard {
    /// From the first frame to the last one.
    pub took: Duration,
    /// How many.
    pub frames: usize,
    /// Bytes of the text of one.
    pub bytes: usize,
}

impl Audience {
    /// Connects so many sockets.
    pub async fn connect(url: &str, token: &str, sockets: usize) -> Result<Self> {
        let mut child = Child::start(["audience", url, token, &sockets.to_string()])?;
        let said = child.hear().await?;
        ensure!(said == "connected", "the audience said {said}");
        Ok(Self { child, sockets })
    }

    /// Makes it count anew, up to so many events at every socket.
    pub async fn expect(&mut self, events: usize) -> Result<()> {
        self.child.tell(events).await?;
        let said = self.child.hear().await?;
        ensure!(said == "ready", "the audience said {said}");
        Ok(())
    }

    /// Waits until every socket was sent everything.
    pub async fn heard(&mut self, events: usize) -> Result<Heard> {
        let said =
            self.child.hear().await.with_context(|| format!("not everybody was sent {events} events"))?;
        let (nanos, bytes) = said.split_once(' ').context("two numbers")?;
        let took = Duration::from_nanos(nanos.parse()?);
        Ok(Heard { took, frames: events * self.sockets, bytes: bytes.parse()? })
    }
}
