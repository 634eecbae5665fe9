//! What there is to compare with: a server that does nothing but send the same frame to everybody.
//!
//! One task and one channel for each connection, a small read buffer, no write buffer, and one frame that was made
//! before and is shared by all.

use crate::{
    audience::{ACK, NEXT, SUBPROTOCOL},
    child::{Child, Orders},
};
use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

/// Bytes read at once. The library's 128 KiB would be held by every connection.
const READ_BUFFER: usize = 4 * 1024;
/// Bytes that may wait in a connection.
const MAX_WRITE_BUFFER: usize = 64 * 1024;

type Members = Arc<Mutex<Vec<mpsc::UnboundedSender<Message>>>>;

/// Sends frames of so many bytes, as often as it is told to.
pub async fn run(bytes: usize) -> Result<()> {
    let (listener, members) = (TcpListener::bind("127.0.0.1:0").await?, Members::default());
    let mut orders = Orders::new();
    orders.answer(listener.local_addr()?.port()).await?;
    tokio::spawn(accept(listener, members.clone()));
    let text = format!("{NEXT}{}}}", "x".repeat(bytes.saturating_sub(NEXT.len() + 1)));
    let frame = Message::text(text);
    while let Some(events) = orders.next().await? {
        for _ in 0..events {
            let members = members.lock().unwrap_or_else(PoisonError::into_inner);
            // One that is gone is missed by the audience
            members.iter().for_each(|member| drop(member.send(frame.clone())));
        }
    }
    Ok(())
}

async fn accept(listener: TcpListener, members: Members) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, members.clone()));
    }
}

async fn serve(stream: TcpStream, members: Members) -> Result<()> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let config = config.max_write_buffer_size(MAX_WRITE_BUFFER);
    let mut socket = accept_hdr_async_with_config(stream, choose_protocol, Some(config)).await?;
    let mut frames = enter(&mut socket, &members).await?;
    loop {
        tokio::select! {
            biased;
            frame = frames.recv() => socket.send(frame.context("the server ended")?).await?,
            message = socket.next() => drop(message.context("the client hung up")??),
        }
    }
}

/// Lets a client in after its first word.
async fn enter(
    socket: &mut WebSocketStream<TcpStream>,
    members: &Members,
) -> Result<mpsc::UnboundedReceiver<Message>> {
    socket.next().await.context("the client hung up")??;
    let (sender, frames) = mpsc::unbounded_channel();
    members.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    socket.send(Message::text(ACK)).await?;
    Ok(frames)
}

#[expect(clippy::result_large_err, reason = "the form of the library's callback")]
#[expect(clippy::unnecessary_wraps, reason = "the form of the library's callback")]
fn choose_protocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

/// The process of the bare server.
pub struct RawServer {
    child: Child,
    port: u16,
}

impl RawServer {
    /// Starts it.
    pub async fn start(bytes: usize) -> Result<Self> {
        let mut child = Child::start(["raw-server", &bytes.to_string()])?;
        let port = child.hear().await?.parse()?;
        Ok(Self { child, port })
    }

    /// Where it listens.
    pub fn live_url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// Makes it send so many frames to everybody.
    pub async fn broadcast(&mut self, events: usize) -> Result<()> {
        self.child.tell(events).await
    }

    /// Its process.
    pub fn process(&self) -> Result<u32> {
        self.child.id()
    }
}
