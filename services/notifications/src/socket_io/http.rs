//! The gateway's HTTP side: which pages may come, which session a request belongs to, and its way to WebSocket.

use super::{Gateway, session::Session, stream::Cuttable};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{self, HeaderValue},
    service::Service,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use socketioxide::{service::SocketIoService, socket::Sid};
use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    io,
    sync::Arc,
};
use subgraph::Sender;
use tokio_util::sync::CancellationToken;

type Answer = Response<BoxBody<Bytes, io::Error>>;

/// What the library answers to a session that it does not know: the client begins a new one.
const UNKNOWN_SESSION: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// Answers what is not of Engine.IO's form.
#[derive(Clone)]
pub(super) struct NotFound;

impl<B> Service<Request<B>> for NotFound {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<B>) -> Self::Future {
        let mut answer = Response::new(Empty::new());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(answer))
    }
}

/// Where requests come in.
#[derive(Clone)]
pub(super) struct Entrance {
    /// Whose it is.
    pub gateway: Arc<Gateway>,
    /// Engine.IO itself.
    pub engine: SocketIoService<NotFound>,
}

impl Entrance {
    /// Answers one request, or says why not.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
            return self.route(request).await;
        };
        if !origin.to_str().is_ok_and(|origin| self.gateway.service.config.allows_origin(origin)) {
            return refuse(StatusCode::FORBIDDEN, "");
        }
        let mut answer = match *request.method() {
            Method::OPTIONS => refuse(StatusCode::NO_CONTENT, ""),
            _ => self.route(request).await,
        };
        allow(&mut answer, origin);
        answer
    }

    /// Finds the session, or opens one.
    async fn route(&self, mut request: Request<Incoming>) -> Answer {
        let sessions = &self.gateway.sessions;
        let session = match sid(&request) {
            Some(id) => id.parse().ok().and_then(|id| sessions.find(id)),
            None => sessions.open(),
        };
        let Some(session) = session else {
            return match sid(&request) {
                Some(_) => refuse(StatusCode::BAD_REQUEST, UNKNOWN_SESSION),
                None => refuse(StatusCode::SERVICE_UNAVAILABLE, ""),
            };
        };
        let is_new = sid(&request).is_none();
        if is_new && let Some(refusal) = self.too_often(&request) {
            return refusal;
        }
        if is_new {
            request.extensions_mut().insert(session.clone());
        }
        let cut = session.cut.clone();
        let answering = async {
            match request.headers().contains_key(header::UPGRADE) {
                true => self.upgrade(request, session).await,
                false if is_new => self.open(request, &session).await,
                false => self.ask(request).await,
            }
        };
        tokio::select! {
            biased;
            () = cut.cancelled() => refuse(StatusCode::BAD_REQUEST, UNKNOWN_SESSION),
            answer = answering => answer,
        }
    }

    /// The answer to a handshake from an address that makes too many.
    fn too_often(&self, request: &Request<Incoming>) -> Option<Answer> {
        let address = request.extensions().get::<Sender>().and_then(|sender| sender.address);
        let error = self.gateway.service.rates.arrival(address).err()?;
        let mut answer = refuse(StatusCode::TOO_MANY_REQUESTS, r#"{"message":"Too many connections"}"#);
        let seconds = error.retry_after().unwrap_or(1);
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        Some(answer)
    }

    /// Opens a session by polling, and learns its id.
    async fn open(&self, request: Request<Incoming>, session: &Arc<Session>) -> Answer {
        let (parts, body) = self.ask(request).await.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if let Some(id) = opened(&body) {
            self.gateway.sessions.name(session, id);
        }
        Response::from_parts(parts, full(body))
    }

    /// Gives a session its WebSocket. The library would take over the connection by itself, and then nobody could
    /// cut it.
    async fn upgrade(&self, mut request: Request<Incoming>, session: Arc<Session>) -> Answer {
        let upgrade = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        let answer = self.ask(Request::from_parts(parts.clone(), body)).await;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let request = Request::from_parts(parts, ());
            tokio::spawn(self.clone().carry(upgrade, request, session.cut.clone()));
        }
        answer
    }

    async fn carry(self, upgrade: OnUpgrade, request: Request<()>, cut: CancellationToken) {
        let Ok(connection) = upgrade.await else { return };
        let id = sid(&request).map(str::to_owned);
        let closed = CancellationToken::new();
        let stream = Cuttable::new(TokioIo::new(connection), cut, closed.clone());
        // Fails for a session that ended meanwhile
        if self.engine.call((stream, request)).await.is_ok()
            && let Some(id) = id
        {
            closed.cancelled().await;
            self.close(&id).await;
        }
    }

    /// Closes a session that began by polling and whose WebSocket has ended, if only its handshake did: the library
    /// would wait for the rest of that for ever.
    async fn close(&self, id: &str) {
        let request = Request::post(format!("/socket.io/?EIO=4&transport=polling&sid={id}"));
        if let Ok(request) = request.body(Full::<Bytes>::from("1")) {
            self.ask(request).await;
        }
    }

    /// What the library answers.
    async fn ask<B>(&self, request: Request<B>) -> Answer
    where
        B: Body + Debug + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Debug,
    {
        let Ok(answer) = self.engine.call(request).await;
        answer.map(|body| body.map_err(|never| match never {}).boxed())
    }
}

/// The session that a request belongs to.
fn sid<B>(request: &Request<B>) -> Option<&str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("sid="))
}

/// The id of a session that was opened by polling: the answer is the packet `0{"sid":..}`.
fn opened(body: &[u8]) -> Option<Sid> {
    #[derive(Deserialize)]
    struct Open<'a> {
        sid: &'a str,
    }
    let open: Open<'_> = serde_json::from_slice(body.strip_prefix(b"0")?).ok()?;
    open.sid.parse().ok()
}

/// Lets a page from `origin` read the answer.
fn allow(answer: &mut Answer, origin: HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET,POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type,authorization"),
        (header::VARY, "origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn refuse(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(full(text.into()));
    *answer.status_mut() = status;
    if !text.is_empty() {
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    answer
}

fn full(body: Bytes) -> BoxBody<Bytes, io::Error> {
    Full::new(body).map_err(|never| match never {}).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_says_which_session_it_opened() {
        let id = Sid::new();
        let body = format!(r#"0{{"sid":"{id}","upgrades":["websocket"],"pingInterval":25000}}"#);
        assert_eq!(opened(body.as_bytes()), Some(id));
        for other in ["", "0", "1", "0{}", r#"{"sid":"x"}"#, r#"0{"sid":"x"}"#] {
            assert_eq!(opened(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_request_names_its_session() {
        let request = |uri: &str| Request::get(uri).body(()).unwrap();
        assert_eq!(sid(&request("/socket.io/?EIO=4&sid=abc&t=1")), Some("abc"));
        assert_eq!(sid(&request("/socket.io/?EIO=4&nosid=abc")), None);
        assert_eq!(sid(&request("/socket.io/")), None);
    }
}
