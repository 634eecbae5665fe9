//! A provider of a language model that answers as a test wants: well, badly, slowly or not at all.
//!
//! ```no_run
//! # async fn example() {
//! use serde_json::json;
//! use testkit::provider::{Provider, Reply};
//!
//! let provider = Provider::start(|asked| match asked.number {
//!     0 => Reply::status(429).header("retry-after", "1"),
//!     1 => Reply::answer(&json!({ "score": 100 })).cut(40),
//!     _ => Reply::answer(&json!({ "score": asked.data["score"] })),
//! })
//! .await;
//! let flags = provider.flags();
//! // Start a service with these flags, make it ask
//! assert_eq!(provider.count(), 3);
//! # }
//! ```

mod connection;
mod reply;

pub use reply::Reply;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// A request that the provider got.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many came before it.
    pub number: usize,
    /// Method and path, such as `POST /v1/chat/completions`.
    pub target: String,
    /// Its headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body; null when it is no JSON.
    pub body: Value,
    /// The system message.
    pub instructions: String,
    /// The document in the user message; null when it is no JSON.
    pub data: Value,
}

impl Request {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| &**value)
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server on a port of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: AbortHandle,
}

impl Provider {
    /// Answers each request as the script says.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (seen, script): (_, Arc<Script>) = (Arc::new(Seen::default()), Arc::new(script));
        let accepting = tokio::spawn(accept(listener, seen.clone(), script)).abort_handle();
        Self { address, seen, accepting }
    }

    /// Answers each request in the same way.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The flags with which a service asks this provider.
    #[must_use]
    pub fn flags(&self) -> [String; 2] {
        ["--llm-base-url".to_owned(), self.url()]
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests there were so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many requests waited for their answers at the same time, at most.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What the provider saw.
#[derive(Debug, Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    waiting: AtomicUsize,
    most: AtomicUsize,
}

impl Seen {
    fn note(&self, target: String, headers: Vec<(String, String)>, body: Value) -> Request {
        let message = |role| {
            let messages = body["messages"].as_array().into_iter().flatten();
            let content = messages.filter(|it| it["role"] == role).find_map(|it| it["content"].as_str());
            content.unwrap_or_default().to_owned()
        };
        let data = serde_json::from_str(&message("user")).unwrap_or_default();
        let instructions = message("system");
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let request = Request { number: requests.len(), target, headers, body, instructions, data };
        requests.push(request.clone());
        request
    }

    /// Counts a request that waits, until the guard is dropped.
    fn waits(&self) -> Waiting<'_> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(waiting, Ordering::SeqCst);
        Waiting(self)
    }
}

struct Waiting<'a>(&'a Seen);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Takes connections; all of them end with this.
async fn accept(listener: TcpListener, seen: Arc<Seen>, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection::serve(stream, seen.clone(), script.clone()));
        while connections.try_join_next().is_some() {}
    }
}
