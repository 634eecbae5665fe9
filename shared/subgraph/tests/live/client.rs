//! A client of graphql-transport-ws.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::Response},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
pub const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

pub struct Client {
    pub socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::with_headers(addr, &[PROTOCOL]).await.unwrap()
    }

    /// Also when it is refused.
    pub async fn with_headers(
        addr: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Response<Option<Vec<u8>>>> {
        Self::over(TcpStream::connect(addr).await.unwrap(), headers).await
    }

    /// One whose machine keeps almost nothing that it has not read.
    pub async fn narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        // The other side keeps little for segments that are small
        socket2::SockRef::from(&socket).set_tcp_mss(536).unwrap();
        Self::over(socket.connect(addr).await.unwrap(), &[PROTOCOL]).await.unwrap()
    }

    async fn over(
        stream: TcpStream,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Response<Option<Vec<u8>>>> {
        let mut request =
            format!("ws://{}/graphql", stream.peer_addr().unwrap()).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match client_async(request, stream).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()["sec-websocket-protocol"], "graphql-transport-ws");
                Ok(Self { socket })
            }
            Err(Error::Http(answer)) => Err(*answer),
            Err(error) => panic!("{error}"),
        }
    }

    /// Signs in, and is let in.
    pub async fn welcomed(mut self, token: &str) -> Self {
        self.say(json!({"type": "connection_init", "payload": {"token": token}})).await;
        assert_eq!(self.hear().await, json!({"type": "connection_ack"}));
        self
    }

    pub async fn say(&mut self, message: Value) {
        self.send(message.to_string()).await;
    }

    pub async fn send(&mut self, message: impl Into<Message>) {
        self.socket.send(message.into()).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({"query": query, "variables": variables});
        self.say(json!({"id": id, "type": "subscribe", "payload": payload})).await;
    }

    /// Is certain that what was asked before was received, if not done.
    pub async fn sync(&mut self) {
        self.say(json!({"type": "ping", "payload": {"sync": true}})).await;
        assert_eq!(self.hear().await, json!({"type": "pong", "payload": {"sync": true}}));
    }

    async fn frame(&mut self) -> Option<Message> {
        let next = timeout(PATIENCE, self.socket.next()).await.expect("something is received in time");
        next.transpose().unwrap_or_default()
    }

    /// The next message.
    pub async fn hear(&mut self) -> Value {
        loop {
            match self.frame().await {
                Some(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(Message::Ping(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next result of the subscription `id`.
    pub async fn next(&mut self, id: &str) -> Value {
        let mut message = self.hear().await;
        assert_eq!((&message["id"], &message["type"]), (&json!(id), &json!("next")), "{message}");
        message["payload"].take()
    }

    /// The errors that end the operation `id`.
    pub async fn errors(&mut self, id: &str) -> Value {
        let mut message = self.hear().await;
        assert_eq!((&message["id"], &message["type"]), (&json!(id), &json!("error")), "{message}");
        message["payload"].take()
    }

    /// Hears nothing for a moment.
    pub async fn silence(&mut self) {
        let heard = timeout(Duration::from_millis(300), self.socket.next()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Why the socket was closed; everything before is dropped.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.frame().await {
                Some(Message::Close(Some(frame))) => return (frame.code.into(), frame.reason.to_string()),
                Some(_) => {}
                None => panic!("was cut off without a word"),
            }
        }
    }

    /// Waits until the connection is cut off without a word.
    pub async fn cut_off(&mut self) {
        while let Some(message) = self.frame().await {
            assert!(!message.is_close(), "{message:?}");
        }
    }
}
