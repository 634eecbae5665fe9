//! The loop that accepts connections, until the server stops.

use super::{app::App, connection, limits::Limits, paced::Paced};
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};

/// Between two attempts when the system refuses connections.
const RETRY: Duration = Duration::from_millis(50);
/// Between two warnings about that.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes that the system takes for a peer before they can be sent. Without a limit it takes up to 4 MB for each
/// one that does not read, and nobody notices.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// Connections end by themselves after the grace; what is there after this, too, does not.
const SLACK: Duration = Duration::from_millis(500);

/// Serves `app` on a listener. Returns after the stop, when all requests and sockets have finished or have had their
/// time.
pub(super) async fn run(listener: TcpListener, app: Arc<App>, limits: Limits) {
    let shutdown = app.shutdown.clone();
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut door = Door { listener, permits, name: app.name, warned: None };
    let mut stop = pin!(shutdown.begun());
    loop {
        let (stream, remote, permit) = tokio::select! {
            () = &mut stop => break,
            accepted = door.accept() => accepted,
        };
        // A task each, so that one that panics is alone
        let io = Paced::new(stream, limits, (permit, shutdown.hold()));
        tokio::spawn(connection::serve(io, app.clone(), remote, limits));
    }
    drop(door);
    let left = shutdown.finished(limits.grace + SLACK).await;
    if left > 0 {
        tracing::warn!(target: "leadgraph", subgraph = app.name, left, "stopped while sockets or requests were still there");
    }
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    name: &'static str,
    warned: Option<Instant>,
}

impl Door {
    async fn accept(&mut self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        let permit = self.permit().await;
        loop {
            match self.listener.accept().await {
                // One that takes no options is gone already
                Ok((stream, remote)) if set_options(&stream).is_ok() => return (stream, remote, permit),
                Ok(_) => {}
                Err(error) if is_the_clients(&error) => {}
                // Above all: no file descriptors are left. Some come back when connections close
                Err(error) => {
                    self.warn(&format!("cannot accept connections: {error}"));
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn permit(&mut self) -> OwnedSemaphorePermit {
        if self.permits.available_permits() == 0 {
            self.warn("too many connections; new ones wait until others are closed");
        }
        match self.permits.clone().acquire_owned().await {
            Ok(permit) => permit,
            Err(closed) => unreachable!("{closed}: nobody closes it"),
        }
    }

    fn warn(&mut self, what: &str) {
        if self.warned.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL) {
            self.warned = Some(Instant::now());
            tracing::warn!(target: "leadgraph", subgraph = self.name, "{what}");
        }
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Nagle's algorithm adds up to 40 ms to small answers
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// Whether a connection that waited to be accepted broke off.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
