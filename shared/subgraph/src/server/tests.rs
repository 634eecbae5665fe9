//! The loop with real connections and short limits.

use super::{
    Shutdown,
    accept::run,
    app::{Answer, App, Mounted},
    limits::Limits,
};
use crate::{address::Proxies, metrics::Metrics};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::TokioIo;
use poem::{
    Body, EndpointExt, IntoResponse, Route, get, handler,
    web::{Data, LocalAddr, websocket::WebSocket},
};
use std::{io::Error, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Long enough for something wrong to show.
const MOMENT: Duration = Duration::from_millis(300);
/// Longer than a test waits for anything.
const NEVER: Duration = Duration::from_hours(1);
const LONG: Limits = Limits { idle: NEVER, head: NEVER, grace: NEVER, connections: 100 };
/// A text frame with `hi`, masked with zeros as clients must, and as it comes back.
const FRAME: ([u8; 8], [u8; 4]) = ([0x81, 0x82, 0, 0, 0, 0, b'h', b'i'], [0x81, 0x02, b'h', b'i']);

struct Server {
    addr: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<()>,
}

/// Tells the test that a request has arrived, and waits to be let go.
#[derive(Clone)]
struct Gate {
    arrived: mpsc::UnboundedSender<()>,
    go: Arc<Notify>,
}

#[handler]
fn hello() -> &'static str {
    "poem"
}

#[handler]
async fn gated(gate: Data<&Gate>) -> &'static str {
    gate.arrived.send(()).unwrap();
    gate.go.notified().await;
    "done"
}

#[handler]
fn echo(socket: WebSocket) -> impl IntoResponse {
    socket.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.next().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// More than the system buffers, and tells when it is dropped.
#[handler]
fn endless(Data(gate): Data<&Gate>) -> Body {
    let dropped = OnDrop(gate.arrived.clone());
    let chunks = stream::repeat_with(move || {
        let _held = &dropped;
        Ok::<_, Error>(Bytes::from_static(&[b'x'; 16_000]))
    });
    Body::from_bytes_stream(chunks)
}

/// Takes longer than a head may.
#[handler]
fn long() -> Body {
    let chunks = stream::iter(0..4).then(|_| async {
        sleep(MOMENT).await;
        Ok::<_, Error>(Bytes::from_static(b"x"))
    });
    Body::from_bytes_stream(chunks)
}

struct OnDrop(mpsc::UnboundedSender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        // Nobody waits when the test ends first
        let _ = self.0.send(());
    }
}

fn text(text: &'static str) -> Answer {
    hyper::Response::new(Full::new(Bytes::from_static(text.as_bytes())).map_err(Error::other).boxed())
}

/// Becomes an echo of bytes that says goodbye, though not at once.
async fn raw(mut request: hyper::Request<hyper::body::Incoming>) -> Answer {
    assert!(!request.uri().path().ends_with("/panic"), "as asked");
    if !request.headers().contains_key("upgrade") {
        return text("raw");
    }
    let shutdown = request.extensions().get::<Shutdown>().unwrap().clone();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        tokio::select! {
            copied = tokio::io::copy(&mut from, &mut to) => drop(copied),
            () = shutdown.begun() => {
                sleep(MOMENT).await;
                to.write_all(b"goodbye").await.unwrap();
            }
        }
    });
    let mut answer = hyper::Response::new(Empty::new().map_err(Error::other).boxed());
    *answer.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
    answer.headers_mut().insert("upgrade", "echo".parse().unwrap());
    answer
}

async fn serve(limits: Limits) -> (Server, Gate, mpsc::UnboundedReceiver<()>) {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let gate = Gate { arrived, go: Arc::default() };
    let routes = Route::new().at("/", get(hello)).at("/rawhide", get(hello)).at("/gated", get(gated));
    let routes =
        routes.at("/ws", get(echo)).at("/endless", get(endless)).at("/long", get(long)).data(gate.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, shutdown) = (listener.local_addr().unwrap(), Shutdown::default());
    let mounted: Mounted = Arc::new(|request| Box::pin(raw(request)));
    let app = App {
        name: "test",
        routes: routes.map_to_response().boxed(),
        mounts: vec![("/raw", mounted)],
        local: LocalAddr(addr.into()),
        shutdown: shutdown.clone(),
        metrics: Metrics::new("test").unwrap().requests,
        proxies: Proxies::none(),
    };
    let ended = tokio::spawn(run(listener, Arc::new(app), limits));
    (Server { addr, shutdown, ended }, gate, arrivals)
}

struct Client(TcpStream);

impl Client {
    async fn new(server: &Server) -> Self {
        Self(TcpStream::connect(server.addr).await.unwrap())
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn ask(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
    }

    async fn upgrade(&mut self, path: &str) {
        let key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
        let upgrade = "connection: upgrade\r\nupgrade: websocket";
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n{upgrade}\r\n{key}\r\n\r\n")).await;
        assert!(self.head().await.starts_with("HTTP/1.1 101"));
    }

    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.bytes::<1>().await);
        }
        String::from_utf8(head).unwrap()
    }

    /// The next answer's body.
    async fn body(&mut self) -> String {
        let head = self.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        timeout(SOON, self.0.read_exact(&mut body)).await.unwrap().unwrap();
        String::from_utf8(body).unwrap()
    }

    async fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        timeout(SOON, self.0.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    /// Waits until the server has closed it, without an answer.
    async fn closed(&mut self) {
        let read = timeout(SOON, self.0.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }

    async fn is_silent(&mut self) {
        assert!(timeout(MOMENT, self.0.read(&mut [0; 1])).await.is_err());
    }
}

impl Server {
    async fn stopped(self) {
        self.shutdown.begin();
        timeout(SOON, self.ended).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn one_connection_reaches_poem_and_what_is_beside_it() {
    let (server, ..) = serve(LONG).await;
    let mut client = Client::new(&server).await;
    for (path, answer) in [("/", "poem"), ("/raw", "raw"), ("/raw/x?y", "raw"), ("/rawhide", "poem")] {
        client.ask(path).await;
        assert_eq!(client.body().await, answer, "{path}");
    }
    server.stopped().await;
}

#[tokio::test]
async fn sockets_of_both_kinds_may_be_silent_for_long() {
    let (server, ..) = serve(Limits { idle: MOMENT, head: MOMENT, ..LONG }).await;
    let (mut poem, mut raw) = (Client::new(&server).await, Client::new(&server).await);
    poem.upgrade("/ws").await;
    raw.upgrade("/raw").await;
    for _ in 0..2 {
        poem.send(FRAME.0).await;
        assert_eq!(poem.bytes::<4>().await, FRAME.1);
        raw.send("bytes").await;
        assert_eq!(&raw.bytes::<5>().await, b"bytes");
        sleep(2 * MOMENT).await;
    }
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_a_slow_user_is_not() {
    let (server, ..) = serve(Limits { head: MOMENT, ..LONG }).await;
    let (mut user, mut slow) = (Client::new(&server).await, Client::new(&server).await);
    for client in [&mut user, &mut slow] {
        client.ask("/").await;
        assert_eq!(client.body().await, "poem");
    }
    let dripping = async {
        slow.send("GET / HTTP/1.1\r\n").await;
        // Fails once the server has closed it
        while slow.0.write_all(b"a: b\r\n").await.is_ok() {
            sleep(MOMENT / 6).await;
        }
    };
    timeout(SOON, dripping).await.unwrap();
    let mut stuck = Client::new(&server).await;
    stuck.send("GET").await;
    stuck.closed().await;
    user.ask("/").await;
    assert_eq!(user.body().await, "poem");
}

#[tokio::test]
async fn the_time_of_a_head_ends_with_it() {
    let (server, gate, mut arrivals) = serve(Limits { head: MOMENT, ..LONG }).await;
    let mut client = Client::new(&server).await;
    client.ask("/gated").await;
    arrivals.recv().await.unwrap();
    sleep(2 * MOMENT).await;
    gate.go.notify_one();
    assert_eq!(client.body().await, "done");
}

#[tokio::test]
async fn a_head_that_comes_before_its_turn_has_its_time() {
    let (server, ..) = serve(Limits { head: 3 * MOMENT, ..LONG }).await;
    let mut client = Client::new(&server).await;
    client.send("GET /long HTTP/1.1\r\nhost: test\r\n\r\n").await;
    client.head().await;
    client.send("GET / HTTP/1.1\r\n").await;
    assert_eq!(&client.bytes::<29>().await, b"1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n0\r\n\r\n");
    sleep(MOMENT / 6).await;
    client.send("host: test\r\n\r\n").await;
    assert_eq!(client.body().await, "poem");
}

#[tokio::test]
async fn what_does_nothing_is_closed() {
    let (server, _gate, mut dropped) = serve(Limits { idle: MOMENT, ..LONG }).await;
    let (mut unused, mut used) = (Client::new(&server).await, Client::new(&server).await);
    used.ask("/").await;
    assert_eq!(used.body().await, "poem");
    used.closed().await;
    unused.closed().await;
    // One that never reads its answer is as idle as one that never asks, whatever else it sends
    let mut never_reads = Client::new(&server).await;
    never_reads.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\nGET / HTTP/1.1\r\n").await;
    timeout(SOON, dropped.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_stop_lets_requests_finish_and_idle_connections_go() {
    let (server, gate, mut arrivals) = serve(LONG).await;
    let (mut busy, mut idle) = (Client::new(&server).await, Client::new(&server).await);
    idle.ask("/").await;
    assert_eq!(idle.body().await, "poem");
    busy.ask("/gated").await;
    arrivals.recv().await.unwrap();
    server.shutdown.begin();
    idle.closed().await;
    assert!(!server.ended.is_finished());
    assert!(TcpStream::connect(server.addr).await.is_err(), "it does not listen any more");
    gate.go.notify_one();
    assert_eq!(busy.body().await, "done");
    busy.closed().await;
    timeout(SOON, server.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_stop_waits_for_goodbyes_but_not_for_ever() {
    let (server, ..) = serve(LONG).await;
    let mut socket = Client::new(&server).await;
    socket.upgrade("/raw").await;
    socket.send("x").await;
    assert_eq!(&socket.bytes::<1>().await, b"x");
    let held = server.shutdown.hold();
    server.shutdown.begin();
    assert_eq!(&socket.bytes::<7>().await, b"goodbye");
    sleep(MOMENT).await;
    assert!(!server.ended.is_finished());
    drop(held);
    timeout(SOON, server.ended).await.unwrap().unwrap();

    let (server, _gate, mut arrivals) = serve(Limits { grace: MOMENT, ..LONG }).await;
    let mut hanging = Client::new(&server).await;
    hanging.ask("/gated").await;
    arrivals.recv().await.unwrap();
    let _never_dropped = server.shutdown.hold();
    server.stopped().await;
    hanging.closed().await;
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let (server, ..) = serve(LONG).await;
    let (mut other, mut panicking) = (Client::new(&server).await, Client::new(&server).await);
    other.ask("/").await;
    assert_eq!(other.body().await, "poem");
    panicking.ask("/raw/panic").await;
    panicking.closed().await;
    for client in [&mut other, &mut Client::new(&server).await] {
        client.ask("/raw").await;
        assert_eq!(client.body().await, "raw");
    }
    server.stopped().await;
}

#[tokio::test]
async fn no_more_than_so_many_connections_are_open() {
    let (server, ..) = serve(Limits { connections: 1, ..LONG }).await;
    let mut first = Client::new(&server).await;
    first.upgrade("/raw").await;
    let mut second = Client::new(&server).await;
    second.ask("/").await;
    second.is_silent().await;
    drop(first);
    assert_eq!(second.body().await, "poem");
}
