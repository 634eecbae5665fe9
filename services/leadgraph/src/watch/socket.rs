//! A connection that speaks graphql-transport-ws, from the client's side.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        error::{ProtocolError, UrlError},
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::CloseFrame,
    },
};

use super::Ended;

const SUBPROTOCOL: &str = "graphql-transport-ws";
/// How long connecting may take, and the server's first word.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The server says something at least every 25 s; one that does not is gone.
const SILENCE: Duration = Duration::from_mins(1);

/// What the server says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    ConnectionAck,
    Next { id: String, payload: Value },
    Error { id: String, payload: Value },
    Complete { id: String },
    Ping { payload: Option<Value> },
    Pong,
}

/// An open connection on which the server knows who asks.
pub(super) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    url: String,
    operations: u32,
}

impl Socket {
    pub async fn connect(url: &str, token: &str) -> Result<Self, Ended> {
        let stream = timeout(TIMEOUT, open(url)).await;
        let stream = stream.map_err(|_| Ended::passing(format!("{url} does not answer")))??;
        let mut socket = Self { stream, url: url.to_owned(), operations: 0 };
        socket.send(&json!({ "type": "connection_init", "payload": { "token": token } })).await?;
        match timeout(TIMEOUT, socket.next()).await {
            Ok(Ok(Said::ConnectionAck)) => Ok(socket),
            Ok(Ok(_)) => Err(Ended::lasting(format!("{url} does not speak {SUBPROTOCOL}"))),
            Ok(Err(ended)) => Err(ended),
            Err(_) => Err(Ended::passing(format!("{url} does not answer"))),
        }
    }

    /// Begins an operation; the answers to it have this id.
    pub async fn begin(&mut self, query: &str, variables: Value) -> Result<String, Ended> {
        self.operations += 1;
        let id = self.operations.to_string();
        let payload = json!({ "query": query, "variables": variables });
        self.send(&json!({ "type": "subscribe", "id": id, "payload": payload })).await?;
        Ok(id)
    }

    /// What the server says next, apart from asking whether somebody is there.
    pub async fn next(&mut self) -> Result<Said, Ended> {
        loop {
            let frame = timeout(SILENCE, self.stream.next()).await;
            let frame = frame.map_err(|_| Ended::passing("the server is silent"))?;
            match frame.ok_or_else(|| self.lost())?.map_err(|error| self.failed(&error))? {
                Message::Text(text) => match serde_json::from_str(&text) {
                    Ok(Said::Ping { payload }) => {
                        self.send(&json!({ "type": "pong", "payload": payload })).await?;
                    }
                    Ok(Said::Pong) => {}
                    Ok(said) => return Ok(said),
                    Err(error) => {
                        return Err(Ended::lasting(format!("the server said what is unknown: {error}")));
                    }
                },
                Message::Close(frame) => return Err(closed(frame)),
                // Pings of the connection itself are answered when it is read again
                _ => {}
            }
        }
    }

    async fn send(&mut self, message: &Value) -> Result<(), Ended> {
        let sent = self.stream.send(Message::text(message.to_string())).await;
        sent.map_err(|error| self.failed(&error))
    }

    fn lost(&self) -> Ended {
        Ended::passing(format!("the connection to {} was lost", self.url))
    }

    fn failed(&self, error: &tungstenite::Error) -> Ended {
        tracing::debug!(%error, "the connection failed");
        self.lost()
    }
}

async fn open(url: &str) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Ended> {
    if !url.starts_with("ws://") && !url.starts_with("wss://") {
        return Err(Ended::lasting(format!(
            "{url} is no address of a WebSocket: it begins with ws:// or wss://"
        )));
    }
    let mut request = url.into_client_request().map_err(|error| refused(url, &error))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    // Small messages that somebody waits for
    let (stream, _) =
        connect_async_with_config(request, None, true).await.map_err(|error| refused(url, &error))?;
    Ok(stream)
}

/// Why there is no connection.
fn refused(url: &str, error: &tungstenite::Error) -> Ended {
    let other = || Ended::lasting(format!("{url} does not speak {SUBPROTOCOL}: {error}"));
    match error {
        tungstenite::Error::Url(UrlError::UnableToConnect(_)) => {
            Ended::passing(format!("nothing answers at {url}"))
        }
        tungstenite::Error::Url(_) | tungstenite::Error::HttpFormat(_) => {
            Ended::lasting(format!("{url} is no address of a WebSocket: {error}"))
        }
        tungstenite::Error::Http(answer) if answer.status().is_client_error() => other(),
        tungstenite::Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => other(),
        _ => Ended::passing(format!("cannot connect to {url} ({error})")),
    }
}

/// Why the server closed the connection.
fn closed(frame: Option<CloseFrame>) -> Ended {
    let Some(CloseFrame { code, reason }) = frame else {
        return Ended::passing("the server closed the connection");
    };
    match u16::from(code) {
        4403 => Ended::refused(format!("the server does not take the token ({reason})")),
        code => Ended::passing(format!("the server closed the connection ({code} {reason})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn what_the_server_says_is_understood() {
        for (text, known) in [
            (r#"{"type":"connection_ack","payload":{"a":1}}"#, true),
            (r#"{"id":"1","type":"next","payload":{"data":null}}"#, true),
            (r#"{"id":"1","type":"error","payload":[{"message":"no"}]}"#, true),
            (r#"{"id":"1","type":"complete"}"#, true),
            (r#"{"type":"ping"}"#, true),
            (r#"{"type":"pong","payload":{}}"#, true),
            (r#"{"type":"data","id":"1"}"#, false),
        ] {
            assert_eq!(serde_json::from_str::<Said>(text).is_ok(), known, "{text}");
        }
    }

    #[test]
    fn only_one_close_code_is_about_the_token() {
        let closed = |code: u16| closed(Some(CloseFrame { code: code.into(), reason: "x".into() }));
        assert!(matches!(closed(4403), Ended::Refused(_)));
        assert!(matches!(closed(1001), Ended::Passing(_)));
    }

    #[tokio::test]
    async fn what_is_no_address_is_not_tried_again_and_what_is_away_is() {
        for no_address in ["http://127.0.0.1:1/graphql", "nowhere", "ws://"] {
            assert!(matches!(open(no_address).await, Err(Ended::Lasting(_))), "{no_address}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(open(&format!("ws://{closed}/graphql")).await, Err(Ended::Passing(_))));
    }

    #[tokio::test]
    async fn tls_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://{}/graphql", listener.local_addr().unwrap());
        let hello = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut first = [0];
            stream.readable().await.unwrap();
            stream.try_read(&mut first).unwrap();
            first
        });
        assert!(matches!(open(&url).await, Err(Ended::Passing(_))));
        // The type of a TLS handshake record
        assert_eq!(hello.await.unwrap(), [22]);
    }
}
