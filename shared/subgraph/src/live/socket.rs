//! One connection, from the upgrade to its end: reads what the client says, and writes what is in its queue.
//!
//! There is one task for each socket, and it is small: thousands are open at once. Whatever takes longer than a
//! moment runs in a task of its own and ends up in the queue.

use super::{
    client::{Begun, Client},
    ending::Ending,
    frame::Frame,
    operation::Run,
    protocol::{self, ClientMessage, Closing},
};
use crate::{caller::Caller, error::Error, graphql::Endpoint, telemetry::Delivery};
use async_graphql::Request as Operation;
use futures_util::{Sink, Stream, future::BoxFuture};
use poem::web::websocket::{Message, WebSocketStream};
use serde_json::{Map, Value};
use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

type Admission = BoxFuture<'static, Result<Arc<Caller>, Closing>>;

/// What happens next on a socket.
enum Event {
    /// The client said something.
    Said(Message),
    /// It was found out whether the client is let in.
    Admitted(Result<Arc<Caller>, Closing>),
    /// A time limit may have been reached.
    Tick,
    /// It ends.
    End(Ending),
}

/// What a client brought with the upgrade.
pub(crate) struct Entrance {
    /// The Authorization header.
    pub header: Option<String>,
    /// From where it comes, as far as that is known.
    pub address: Option<IpAddr>,
}

/// One connection.
pub(crate) struct Connection {
    /// In a box: it would be copied into every future that has it in turn, and thousands are open.
    socket: Box<WebSocketStream>,
    endpoint: Endpoint,
    client: Arc<Client>,
    number: u64,
    entrance: Entrance,
    initialised: bool,
    admission: Option<Admission>,
    caller: Option<Arc<Caller>>,
    opened: Instant,
    heard: Instant,
    pinged: Instant,
    /// Since when the peer takes nothing.
    stalled: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// Traces of what was given to the socket and may not have been written, each with its bytes.
    unwritten: Vec<(Delivery, usize)>,
}

impl Connection {
    /// A connection whose client has said nothing yet.
    pub fn new(
        socket: Box<WebSocketStream>,
        endpoint: Endpoint,
        (number, client): (u64, Arc<Client>),
        entrance: Entrance,
    ) -> Self {
        let now = Instant::now();
        let timer = Box::pin(sleep_until(now + endpoint.service.live.limits.init_timeout));
        Self {
            socket,
            endpoint,
            client,
            number,
            entrance,
            initialised: false,
            admission: None,
            caller: None,
            opened: now,
            heard: now,
            pinged: now,
            stalled: None,
            timer,
            unwritten: Vec::new(),
        }
    }

    /// Serves it until it ends.
    pub async fn serve(mut self: Box<Self>) {
        let ending = loop {
            let done = match poll_fn(|cx| self.poll(cx)).await {
                Event::Said(message) => self.said(message),
                Event::Admitted(admitted) => self.admitted(admitted),
                Event::Tick => self.tick(),
                Event::End(ending) => Err(ending),
            };
            if let Err(ending) = done {
                break ending;
            }
        };
        self.client.end();
        let (service, seconds) = (&self.endpoint.service, self.opened.elapsed().as_secs());
        tracing::debug!(target: "leadgraph::live", subgraph = service.name, socket = self.number, ?ending, seconds);
        ending.carry_out(self.socket).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(closing) = self.client.watch(cx) {
            return Poll::Ready(Event::End(Ending::Close(closing)));
        }
        let (written, taken) = self.poll_write(cx);
        if taken {
            self.stalled = None;
        }
        match written {
            Poll::Ready(Ok(())) => self.stalled = None,
            Poll::Ready(Err(_)) => return Poll::Ready(Event::End(Ending::Lost)),
            Poll::Pending => self.stall(),
        }
        if let Some(admission) = &mut self.admission
            && let Poll::Ready(admitted) = admission.as_mut().poll(cx)
        {
            self.admission = None;
            return Poll::Ready(Event::Admitted(admitted));
        }
        if self.client.may_ask()
            && let Poll::Ready(read) = Pin::new(&mut *self.socket).poll_next(cx)
        {
            return Poll::Ready(match read {
                Some(Ok(message)) => Event::Said(message),
                Some(Err(error)) => Event::End(Ending::unreadable(&error)),
                None => Event::End(Ending::Lost),
            });
        }
        self.timer.as_mut().poll(cx).map(|()| Event::Tick)
    }

    /// Writes until the queue is empty or the peer takes no more. Says whether the peer has taken what was written before.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> (Poll<io::Result<()>>, bool) {
        let mut socket = Pin::new(&mut *self.socket);
        let (mut events, mut taken) = (0, false);
        let written = loop {
            match socket.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                other => break other,
            }
            let Some(frame) = self.client.pop() else { break socket.as_mut().poll_flush(cx) };
            taken = true;
            if let Frame::Next { trace, payload, .. } = &frame {
                events += 1;
                self.unwritten.extend(trace.clone().map(|trace| (trace, payload.len())));
            }
            if let Err(error) = socket.as_mut().start_send(frame.into()) {
                break Poll::Ready(Err(error));
            }
        };
        if !self.unwritten.is_empty() && matches!(written, Poll::Ready(Ok(()))) {
            for (trace, bytes) in std::mem::take(&mut self.unwritten) {
                trace.written(bytes);
            }
        }
        if events > 0 {
            self.endpoint.service.live.hub.metrics.frames.inc_by(events);
        }
        (written, taken)
    }

    /// The peer takes nothing: makes sure that this is looked at in time.
    fn stall(&mut self) {
        if self.stalled.is_none() {
            let now = Instant::now();
            self.stalled = Some(now);
            let deadline = now + self.endpoint.service.live.limits.stall;
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
        }
    }

    fn said(&mut self, message: Message) -> Result<(), Ending> {
        self.heard = Instant::now();
        match message {
            Message::Text(text) => {
                ClientMessage::parse(&text).and_then(|message| self.obey(message)).map_err(Ending::Close)
            }
            Message::Binary(_) => {
                Err(Ending::Close(Closing::bad_request("Invalid message: binary frames are not understood")))
            }
            Message::Close(_) => Err(Ending::Closed),
            // Pings were answered by the library; a pong is a sign of life
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
    }

    fn obey(&mut self, message: ClientMessage) -> Result<(), Closing> {
        match message {
            ClientMessage::Init(payload) => self.init(&payload),
            ClientMessage::Ping(payload) => {
                self.client.push_text(protocol::pong(payload.as_ref()));
                Ok(())
            }
            ClientMessage::Pong => Ok(()),
            ClientMessage::Subscribe { id, operation } => self.subscribe(&id, operation),
            ClientMessage::Complete { id } => {
                self.client.complete(&protocol::quoted(&id));
                Ok(())
            }
        }
    }

    fn init(&mut self, payload: &Map<String, Value>) -> Result<(), Closing> {
        if self.initialised {
            return Err(Closing::TOO_MANY_INITS);
        }
        self.initialised = true;
        let header = protocol::authorization(payload).or_else(|| self.entrance.header.take());
        self.admission = Some(Box::pin(admit(self.endpoint.clone(), header, self.entrance.address)));
        Ok(())
    }

    fn admitted(&mut self, admitted: Result<Arc<Caller>, Closing>) -> Result<(), Ending> {
        let caller = admitted.map_err(Ending::Close)?;
        let session = caller.session.as_deref().unwrap_or_default();
        self.client.sign_in(session);
        // It may have ended since it was looked at, and before it was noted
        if self.endpoint.service.revocations.contains(session) {
            return Err(Ending::Close(Closing::SESSION_ENDED));
        }
        self.caller = Some(caller);
        self.client.push_text(protocol::ACK);
        self.tick()
    }

    fn subscribe(&mut self, id: &str, operation: Box<Operation>) -> Result<(), Closing> {
        let caller = self.caller.clone().ok_or(Closing::UNAUTHORIZED)?;
        let (number, quoted) = (self.endpoint.service.live.number(), protocol::quoted(id));
        match self.client.begin(&quoted, number) {
            Begun::Yes => {
                let (endpoint, client) = (self.endpoint.clone(), self.client.clone());
                let run = Run { endpoint, client, number, id: quoted };
                let task = tokio::spawn(run.run(operation, caller));
                self.client.running(number, task.abort_handle());
            }
            Begun::Duplicate => return Err(Closing::duplicate(id)),
            Begun::TooMany => {
                let error = Error::invalid("id", "too many operations at once on this connection");
                self.client.push_text(protocol::error(&quoted, &[error.into_server_error()]));
            }
        }
        Ok(())
    }

    /// Looks at all time limits, and at the earliest of them again when it is due.
    fn tick(&mut self) -> Result<(), Ending> {
        let (limits, now) = (self.endpoint.service.live.limits, Instant::now());
        let due = |since: Instant, limit| now.duration_since(since) >= limit;
        if !self.initialised && due(self.opened, limits.init_timeout) {
            return Err(Ending::Close(Closing::INIT_TIMEOUT));
        }
        if due(self.heard, limits.dead_after) || self.stalled.is_some_and(|since| due(since, limits.stall)) {
            return Err(Ending::Lost);
        }
        let expires = self.expires_in();
        if expires.is_some_and(|left| left.is_zero()) {
            return Err(Ending::Close(Closing::EXPIRED));
        }
        // Sockets that were opened together do not all wake up together
        let jitter = limits.ping_after / 8 * u32::try_from(self.number % 8).unwrap_or_default() / 8;
        let silence = limits.ping_after.saturating_sub(jitter);
        if due(self.heard.max(self.pinged), silence) {
            self.pinged = now;
            self.client.push_ping();
        }
        let init = (!self.initialised).then_some(self.opened + limits.init_timeout);
        let stall = self.stalled.map(|since| since + limits.stall);
        let ping = self.heard.max(self.pinged) + silence;
        let earlier = [init, stall, expires.map(|left| now + left)].into_iter().flatten();
        let next = earlier.fold(ping.min(self.heard + limits.dead_after), Instant::min);
        self.timer.as_mut().reset(next);
        Ok(())
    }

    /// How long the token still counts, by the service's clock.
    fn expires_in(&self) -> Option<Duration> {
        let expires_at = self.caller.as_ref()?.expires_at?;
        Some((expires_at - self.endpoint.service.clock.now()).to_std().unwrap_or_default())
    }
}

/// Finds out who wants to be let in. Who is not a user or an API key has nothing to follow here.
async fn admit(
    endpoint: Endpoint,
    header: Option<String>,
    address: Option<IpAddr>,
) -> Result<Arc<Caller>, Closing> {
    let service = &endpoint.service;
    let now = service.clock.now();
    let caller = service.auth.caller(header.as_deref(), String::new(), now).await;
    let caller = endpoint.admitted(Caller { address, ..caller }).await;
    if matches!(caller.refused, Some(Error::Unavailable(_))) {
        return Err(Closing::TRY_AGAIN);
    }
    if caller.session.is_none() || caller.expires_at.is_none_or(|expires_at| expires_at <= now) {
        return Err(Closing::FORBIDDEN);
    }
    Ok(Arc::new(caller))
}
