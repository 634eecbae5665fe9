//! The gateway for clients that speak Socket.IO: notifications as they come, over WebSocket or polling.
//!
//! - `io("http://HOST:4006", {auth: {token}})` is told `notification:created`, `notification:updated` and
//!   `notifications:bulk-updated`. Whoever has no token that counts is connected and at once disconnected; so is
//!   everybody when their token ends or is revoked.
//! - There is no place to resume from in this protocol. A client that missed something is cut off: it connects again
//!   by itself, and asks for the list as it does at every connect.
//! - Every replica tells its own clients what any of them wrote.

mod http;
mod members;
mod payload;
mod session;
mod stream;

use events::Event;
use events::contract::{NotificationCreated, NotificationUpdated, NotificationsUpdated};
use http::{Entrance, NotFound};
use members::Members;
use payload::Told;
use session::Sessions;
use socketioxide::{
    ParserConfig, SocketIo,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
    socket::DisconnectReason,
};
use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};
use subgraph::{Caller, Item, Mounted, Result, Role, Service, Shutdown};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{MissedTickBehavior, interval, timeout},
};

/// Bytes of a message of a client, at most: it has nothing to say but its token.
const MAX_MESSAGE: usize = 64 * 1024;
/// Messages that may wait for a client. One with more is cut off.
const QUEUE: usize = 128;
/// Bytes read at once. Clients hardly say anything.
const READ_BUFFER: usize = 2 * 1024;
/// Until when a client has to say who it is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it looks for tokens that have ended.
const SWEEP: Duration = Duration::from_millis(500);
/// How long clients may take to hear that the server stops.
const GOODBYE: Duration = Duration::from_secs(1);

/// The gateway of one running service.
pub(crate) struct Gateway {
    service: Service,
    members: Members,
    sessions: Arc<Sessions>,
}

/// Mounts the gateway beside the service's own routes.
pub(crate) fn mount(service: &Service) -> Mounted {
    let gateway = Arc::new(Gateway {
        service: service.clone(),
        members: Members::new(service.metrics.live.sockets.clone()),
        sessions: Arc::default(),
    });
    let parser = ParserConfig::common().max_incoming_binaries(0).max_incoming_binary_buf_size(0);
    let (engine, io) = SocketIo::builder()
        .max_payload(MAX_MESSAGE as u64)
        .ws_max_message_size(MAX_MESSAGE)
        .ws_max_frame_size(MAX_MESSAGE)
        .ws_read_buffer_size(READ_BUFFER)
        .max_buffer_size(QUEUE)
        .connect_timeout(CONNECT_TIMEOUT)
        .with_parser(parser)
        .build_with_inner_svc(NotFound);
    gateway.welcome(&io);
    let entrance = Entrance { gateway, engine };
    let running = Arc::new(OnceLock::new());
    Arc::new(move |request| {
        // With the first client, since what tells of the server's end comes with requests
        if let Some(shutdown) = request.extensions().get::<Shutdown>() {
            running.get_or_init(|| entrance.gateway.clone().start(io.clone(), shutdown.clone()));
        }
        let entrance = entrance.clone();
        Box::pin(async move { entrance.answer(request).await })
    })
}

impl Gateway {
    /// What happens when a client connects.
    fn welcome(self: &Arc<Self>, io: &SocketIo) {
        let (gateway, host) = (self.clone(), self.clone());
        let admit = async move |socket: SocketRef, TryData(auth): TryData<session::Auth>| {
            let caller = gateway.caller(&socket, auth.unwrap_or_default()).await;
            gateway.clone().admit(&socket, &caller);
            Ok::<_, Infallible>(())
        };
        let enter = async move |socket: SocketRef| {
            if !host.members.enter(&socket) {
                session::end(socket);
            }
        };
        io.ns("/", enter.with(admit));
    }

    /// Notes a client whose token counts. Others are noted nowhere, and so sent away once they are connected.
    fn admit(self: Arc<Self>, socket: &SocketRef, caller: &Caller) {
        if !self.may_listen(caller) {
            return;
        }
        self.members.expect(socket, caller);
        // Its session may have been ended a moment ago, when it was not noted yet
        if !self.may_listen(caller) {
            self.members.leave(socket);
        }
        socket.on_disconnect(async move |socket: SocketRef, reason: DisconnectReason| {
            self.members.leave(&socket);
            // The usual client goes with it; another would keep its place without a token
            if reason == DisconnectReason::ClientNSDisconnect {
                session::cut(&socket);
            }
        });
    }

    /// Who the client says it is: in `auth`, or in the header of its first request.
    async fn caller(&self, socket: &SocketRef, auth: session::Auth) -> Caller {
        let header = auth.bearer().or_else(|| {
            let header = socket.req_parts().headers.get(hyper::header::AUTHORIZATION)?;
            header.to_str().ok().map(str::to_owned)
        });
        let request_id = format!("socket-io:{}", socket.id);
        self.service.auth.caller(header.as_deref(), request_id, self.service.clock.now()).await
    }

    fn may_listen(&self, caller: &Caller) -> bool {
        caller.has(Role::SalesRep)
            && caller.session.as_ref().is_some_and(|it| !self.service.revocations.contains(it))
    }

    fn start(self: Arc<Self>, io: SocketIo, shutdown: Shutdown) {
        let items = self.service.live().items();
        tokio::spawn(self.run(io, items, shutdown));
    }

    /// Tells the clients what happens until the server stops.
    async fn run(self: Arc<Self>, io: SocketIo, mut items: Receiver<Arc<Item>>, shutdown: Shutdown) {
        let mut revoked = self.service.revocations.changed();
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                item = items.recv() => match item {
                    Ok(item) => self.tell(&item),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(subgraph = self.service.name, missed, "Socket.IO clients are cut off: they missed events");
                        self.members.cut_all();
                    }
                    Err(RecvError::Closed) => break,
                },
                _ = revoked.changed() => self.end_sessions(),
                _ = sweep.tick() => self.end_sessions(),
                () = shutdown.begun() => break,
            }
        }
        // A client that takes nothing would be waited for
        let _ = timeout(GOODBYE, io.close()).await;
        self.sessions.cut_all();
        self.members.cut_all();
    }

    fn tell(&self, item: &Item) {
        match told(item) {
            Ok(Some(told)) => {
                let missed = self.members.tell(&Arc::new(told));
                self.service.metrics.live.missed.inc_by(missed);
            }
            // Not one that these clients know
            Ok(None) => {}
            Err(error) => {
                tracing::error!(error = error.message(), kind = item.kind, "cannot be told over Socket.IO");
            }
        }
    }

    /// Ends the sockets of tokens that have ended or were revoked.
    fn end_sessions(&self) {
        let now = self.service.clock.now();
        self.members.end_if(|session, expires_at| {
            expires_at.is_some_and(|at| at <= now) || self.service.revocations.contains(session)
        });
    }
}

/// What clients are told of an event.
fn told(item: &Item) -> Result<Option<Told>> {
    Ok(match item.kind {
        NotificationCreated::TYPE => Some(Told::created(item.event::<NotificationCreated>()?.notification)),
        NotificationUpdated::TYPE => Some(Told::updated(item.event::<NotificationUpdated>()?.notification)),
        NotificationsUpdated::TYPE => Some(Told::bulk_updated(&item.event::<NotificationsUpdated>()?)),
        _ => None,
    })
}
