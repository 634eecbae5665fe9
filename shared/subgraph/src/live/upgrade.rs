//! From HTTP to WebSocket. Which origins may come is checked before, where it is for all requests.

use super::{
    protocol::SUBPROTOCOL,
    socket::{Connection, Entrance},
};
use crate::{
    address::Sender,
    error::Error,
    graphql::{Endpoint, failed, respond},
    rate::too_many,
    service::Service,
};
use poem::{
    FromRequest, IntoResponse, Request, Response,
    http::{StatusCode, header},
    web::websocket::{WebSocket, WebSocketConfig, WebSocketStream},
};

/// Bytes of a message of a client, at most: a query fits, an upload does not.
const MAX_MESSAGE: usize = 64 * 1024;
/// Bytes read at once: a usual message. The library's 128 KiB would be held by every socket.
const READ_BUFFER: usize = 2 * 1024;
/// Bytes after which frames are written though more are to come: a burst is few system calls. Each socket keeps the
/// room of its largest burst.
const WRITE_BUFFER: usize = 1024;

/// Whether a request asks for a WebSocket.
pub(crate) fn is_upgrade(request: &Request) -> bool {
    request.header(header::UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
}

/// Answers a request that asks for a WebSocket.
pub(crate) async fn upgrade(endpoint: &Endpoint, request: &Request) -> Response {
    let offered = request.header(header::SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
    if !offered.split(',').any(|protocol| protocol.trim() == SUBPROTOCOL) {
        return refuse(&format!("offer the WebSocket subprotocol {SUBPROTOCOL}"));
    }
    let socket = match WebSocket::from_request_without_body(request).await {
        Ok(socket) => socket.protocols([SUBPROTOCOL]).config(config()),
        Err(_) => return refuse("is no WebSocket handshake of version 13"),
    };
    let header = request.header(header::AUTHORIZATION).map(str::to_owned);
    let entrance = Entrance { header, address: Sender::of(request).address };
    if let Err(error) = endpoint.service.rates.arrival(entrance.address) {
        let body = serde_json::to_vec(&failed(error.clone())).unwrap_or_default();
        return too_many(&error, body);
    }
    let endpoint = endpoint.clone();
    socket.on_upgrade(move |socket| Box::pin(serve(Box::new(socket), endpoint, entrance))).into_response()
}

fn refuse(message: &str) -> Response {
    respond(StatusCode::BAD_REQUEST, &failed(Error::invalid("upgrade", message)))
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        // It never holds more than one message beyond the buffer; the client's queue is the limit
        .max_write_buffer_size(usize::MAX)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// Counts a socket as long as it is open, however that ends.
struct Open(Service, u64);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.live.leave(self.1);
    }
}

async fn serve(socket: Box<WebSocketStream>, endpoint: Endpoint, entrance: Entrance) {
    let (number, client) = endpoint.service.live.enter();
    let _open = Open(endpoint.service.clone(), number);
    Box::new(Connection::new(socket, endpoint, (number, client), entrance)).serve().await;
}
