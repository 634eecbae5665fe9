//! A receiver of OpenTelemetry's protocol over HTTP. It keeps what it is sent, and can be as bad as real ones are.

mod span;
mod tree;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;

pub use span::Span;
pub use tree::{orphans, outline, tree};

/// How a receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It takes what comes.
    Good,
    /// It takes so long, and then does.
    Slow(Duration),
    /// It answers with this status.
    Failing(u16),
}

/// A receiver; it ends with this.
#[derive(Debug)]
pub struct Collector {
    port: u16,
    kept: Arc<Mutex<Kept>>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Kept {
    mood: Mood,
    requests: usize,
    spans: Vec<Span>,
    metrics: Vec<ExportMetricsServiceRequest>,
    /// Every body, whatever it is.
    text: String,
}

impl Collector {
    /// A receiver on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let kept = Kept {
            mood: Mood::Good,
            requests: 0,
            spans: Vec::new(),
            metrics: Vec::new(),
            text: String::new(),
        };
        let kept = Arc::new(Mutex::new(kept));
        let task = tokio::spawn(accept(listener, kept.clone())).abort_handle();
        Self { port, kept, task }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How it answers from now on.
    pub fn behave(&self, mood: Mood) {
        self.kept().mood = mood;
    }

    /// All spans that were taken.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.kept().spans.clone()
    }

    /// All requests with metrics that were taken, in their order.
    #[must_use]
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.kept().metrics.clone()
    }

    /// How often something was sent, taken or not.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.kept().requests
    }

    /// Everything that was sent, traces or not: with all its words, and much between them.
    #[must_use]
    pub fn text(&self) -> String {
        self.kept().text.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, kept: Arc<Mutex<Kept>>) {
    // With the receiver its connections end too
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, kept.clone()));
    }
}

async fn serve(stream: TcpStream, kept: Arc<Mutex<Kept>>) {
    let answer = service_fn(|request| answer(request, &kept));
    // A sender that goes away is none of our business
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(
    request: Request<Incoming>,
    kept: &Mutex<Kept>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let mood = {
        let mut kept = lock(kept);
        kept.requests += 1;
        kept.mood
    };
    if let Mood::Slow(time) = mood {
        sleep(time).await;
    }
    let status = match (mood, body) {
        (Mood::Failing(status), _) => {
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
        (_, Ok(body)) => take(&mut lock(kept), &body, &path),
        (_, Err(_)) => StatusCode::BAD_REQUEST,
    };
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    Ok(answer)
}

fn take(kept: &mut Kept, body: &[u8], path: &str) -> StatusCode {
    kept.text.push_str(&String::from_utf8_lossy(body));
    let taken = match path {
        "/v1/traces" => ExportTraceServiceRequest::decode(body).map(|sent| {
            kept.spans.extend(sent.resource_spans.into_iter().flat_map(span::of_resource));
        }),
        "/v1/metrics" => ExportMetricsServiceRequest::decode(body).map(|sent| kept.metrics.push(sent)),
        _ => Ok(()),
    };
    if taken.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST }
}
