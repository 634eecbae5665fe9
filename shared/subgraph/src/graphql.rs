//! The GraphQL endpoint: one JSON operation per request, checked before it runs.

use crate::{
    address::Sender,
    caller::Caller,
    error::Error,
    limits::{self, Gate},
    measure::Lists,
    policy::Policy,
    service::Service,
    telemetry::{Answered, Span, going_on},
};
use async_graphql::{
    PathSegment, Request as Operation, Response as Answer, ServerError, parser::types::OperationType,
};
use futures_util::{FutureExt, future::BoxFuture, stream::BoxStream};
use poem::{
    Body, Request, Response,
    http::{HeaderValue, StatusCode},
};
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes of a request's body, at most; the router has the same limit.
pub const MAX_BODY: usize = 2_000_000;
/// Errors in one answer, at most.
const MAX_ERRORS: usize = 20;
/// Time to receive a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Time to answer; the router waits 5 s longer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs operations; hides the types of a schema's roots.
pub type Executor = Arc<dyn Fn(Operation) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Runs subscriptions; hides the types of a schema's roots.
pub type StreamExecutor = Arc<dyn Fn(Operation) -> BoxStream<'static, Answer> + Send + Sync>;

/// A further look at a verified caller, before anything runs.
pub type Admission = Arc<dyn Fn(Service, Caller) -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// Everything the endpoint needs.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) service: Service,
    pub(crate) execute: Executor,
    /// Where there is something to subscribe to.
    pub(crate) stream: Option<StreamExecutor>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) entities: Arc<[String]>,
    pub(crate) lists: Arc<Lists>,
    pub(crate) admission: Option<Admission>,
    pub(crate) has_demo_data: bool,
}

impl Endpoint {
    /// Answers one HTTP request.
    pub async fn answer(&self, request: &Request, body: Body) -> Response {
        let span = self.service.tracer.request(request.headers());
        span.run(self.answered(&span, request, body)).await
    }

    async fn answered(&self, span: &Span, request: &Request, body: Body) -> Response {
        let mut operation = match read(request, body).await {
            Ok(operation) => operation,
            Err((status, error)) => return respond(status, &failed(error)),
        };
        let service = &self.service;
        let header = request.header("authorization");
        let caller = service.auth.caller(header, request_id(request, service), service.clock.now()).await;
        let caller = Caller { address: Sender::of(request).address, ..caller };
        let id = caller.request_id.clone();
        let answer = match self.too_often(&mut operation, &caller) {
            Some(refusal) => {
                let (request, actor, errors) = (&*id, &caller.actor, &refusal.errors[..]);
                span.answered(&Answered { kind: "refused", field: limits::UNKNOWN, request, actor, errors });
                refusal
            }
            None => self.serve(operation, self.admitted(caller).await, span).await,
        };
        let mut response = respond(StatusCode::OK, &answer);
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    }

    /// Runs one operation of an admitted caller, and counts it.
    pub(crate) async fn serve(&self, operation: Operation, caller: Caller, span: &Span) -> Answer {
        let (started, service) = (Instant::now(), &self.service);
        let (id, actor) = (caller.request_id.clone(), caller.actor.clone());
        let (kind, field, answer) = self.run(operation, caller).await;
        let outcome = if answer.errors.is_empty() { "ok" } else { "error" };
        let seconds = started.elapsed().as_secs_f64();
        service.metrics.requests.answered(kind, field, &answer.errors);
        service.metrics.requests.took(field, seconds);
        let errors = &answer.errors;
        span.answered(&Answered { kind, field, request: &id, actor: &actor, errors });
        let (name, request) = (service.name, &id);
        tracing::debug!(target: "leadgraph::request", subgraph = name, kind, field, outcome, %request, %actor, seconds);
        answer
    }

    /// What is checked before anything runs.
    pub(crate) fn gate(&self) -> Gate<'_> {
        let introspection = self.service.config.is_development();
        Gate { policy: &self.policy, entities: &self.entities, lists: &self.lists, introspection }
    }

    /// The caller, or nobody when their session was ended or the service's further look refuses them.
    pub(crate) async fn admitted(&self, caller: Caller) -> Caller {
        if caller.session.as_deref().is_some_and(|session| self.service.revocations.contains(session)) {
            let why = Error::Unauthenticated("The session has ended; sign in again".into());
            return Caller { address: caller.address, ..Caller::refused(caller.request_id, why) };
        }
        let Some(admission) = self.admission.as_ref().filter(|_| caller.session.is_some()) else {
            return caller;
        };
        match admission(self.service.clone(), caller.clone()).await {
            Ok(()) => caller,
            Err(why) => Caller { address: caller.address, ..Caller::refused(caller.request_id, why) },
        }
    }

    /// What kind of operation it is, its root field, and the answer.
    async fn run(&self, mut operation: Operation, caller: Caller) -> (&'static str, &'static str, Answer) {
        let allowed = match self.gate().check(&mut operation, &caller) {
            Ok(allowed) => allowed,
            Err(error) => return ("refused", limits::UNKNOWN, failed(error)),
        };
        let kind = match allowed.kind {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => {
                let how = "Subscribe over WebSocket at this path, with the subprotocol graphql-transport-ws";
                return ("subscription", allowed.field, failed(Error::Unavailable(how.into())));
            }
        };
        (kind, allowed.field, self.execute(kind, operation, caller).await)
    }

    async fn execute(&self, kind: &str, operation: Operation, caller: Caller) -> Answer {
        let running = AssertUnwindSafe((self.execute)(operation.data(caller))).catch_unwind();
        let answer = if kind == "mutation" {
            // A task of its own: a client that hangs up must not cancel a transaction halfway
            tokio::time::timeout(ANSWER_TIMEOUT, tokio::spawn(going_on(running)))
                .await
                .map(|joined| joined.ok().and_then(Result::ok))
        } else {
            tokio::time::timeout(ANSWER_TIMEOUT, running).await.map(Result::ok)
        };
        match answer {
            Ok(Some(answer)) => with_codes(answer),
            Ok(None) => failed(Error::internal("a resolver panicked")),
            Err(_) => failed(Error::Unavailable("The answer took too long; try again".into())),
        }
    }
}

async fn read(request: &Request, body: Body) -> Result<Operation, (StatusCode, Error)> {
    let refuse = |status, message: &str| Err((status, Error::invalid("body", message)));
    let content_type =
        request.content_type().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !content_type.eq_ignore_ascii_case("application/json") {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
    }
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, body.into_bytes_limit(MAX_BODY)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(poem::error::ReadBodyError::PayloadTooLarge)) => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "is larger than 2 MB");
        }
        Ok(Err(_)) => return refuse(StatusCode::BAD_REQUEST, "cannot be read"),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "came too slowly"),
    };
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return refuse(StatusCode::BAD_REQUEST, "must be one JSON object: one operation per request");
    }
    serde_json::from_slice(&bytes)
        .or_else(|error| refuse(StatusCode::BAD_REQUEST, &format!("is not GraphQL in JSON: {error}")))
}

/// The caller's own id of the request when it is a plain one, else a new one.
fn request_id(request: &Request, service: &Service) -> String {
    let plain = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    let given = request.header("x-request-id").filter(plain).map(str::to_owned);
    given.unwrap_or_else(|| service.random.uuid(service.clock.now()).simple().to_string())
}

pub(crate) fn failed(error: Error) -> Answer {
    Answer::from_errors(vec![error.into_server_error()])
}

pub(crate) fn respond(status: StatusCode, answer: &Answer) -> Response {
    let body = serde_json::to_vec(answer).unwrap_or_default();
    Response::builder().status(status).content_type("application/json").body(body)
}

/// Gives async-graphql's own errors a code: all that come without one are about the request.
pub(crate) fn with_codes(mut answer: Answer) -> Answer {
    // One mistake made a thousand times needs no thousand answers
    answer.errors.truncate(MAX_ERRORS);
    for error in
        answer.errors.iter_mut().filter(|e| e.extensions.as_ref().is_none_or(|x| x.get("code").is_none()))
    {
        let coded = Error::invalid(place(error), plain(&error.message)).into_server_error();
        error.message.clone_from(&coded.message);
        error.extensions = coded.extensions;
    }
    answer
}

/// What an error of async-graphql is about: the argument it names, else where in the answer it
/// stands, else the query.
fn place(error: &ServerError) -> String {
    let named = error.message.split_once("argument \"").and_then(|(_, rest)| rest.split_once('"'));
    let field = error.path.iter().rev().find_map(|segment| match segment {
        PathSegment::Field(name) => Some(name.as_str()),
        PathSegment::Index(_) => None,
    });
    named.map(|(name, _)| name).or(field).unwrap_or("query").to_owned()
}

/// The message without what [`place`] says already.
fn plain(message: &str) -> &str {
    let parsing = message.strip_prefix("Failed to parse \"").and_then(|rest| rest.split_once("\": "));
    let validating =
        message.strip_prefix("Invalid value for argument \"").and_then(|rest| rest.split_once("\", "));
    parsing.or(validating).map_or(message, |(_, plain)| plain)
}
