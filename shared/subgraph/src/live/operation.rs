//! Operations over a socket: queries and mutations as over HTTP, and subscriptions, which are opened once, made
//! into answers once for each event and group, and first given what the client missed.

use super::{
    client::Client,
    follow::{Followed, Opening, Rendering, Resume, Streaming},
    group::{Group, Member, Seated},
    key, protocol,
};
use crate::{
    caller::Caller,
    error::Error,
    graphql::{ANSWER_TIMEOUT, Endpoint, failed, with_codes},
    limits,
};
use async_graphql::{
    Request, Response as Answer, ServerError, Value, Variables,
    parser::types::{ExecutableDocument, OperationDefinition, OperationType},
};
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Time to make an event into an answer; all events behind it wait.
const RENDER_TIMEOUT: Duration = Duration::from_secs(5);
/// Events replayed at once. Many clients may come back at the same moment, each with a page in memory.
const REPLAY_PAGE: u64 = 100;

/// What makes two operations the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The type of event that is followed.
    pub kind: &'static str,
    query: Arc<str>,
    name: Option<Arc<str>>,
    variables: Arc<str>,
}

/// A subscription that was opened. It does not depend on who opened it: what is live is told everybody.
#[derive(Clone)]
pub(crate) struct LiveOperation {
    /// What makes it the same as others.
    pub key: Key,
    variables: Variables,
}

/// What came of opening a subscription.
enum Opened {
    /// It follows events, from where the client was.
    Live(LiveOperation, Option<Resume>),
    /// It has a stream of its own.
    Own(BoxStream<'static, Answer>),
}

/// An operation of a client, and what it needs to run.
pub(crate) struct Run {
    /// Where it runs.
    pub endpoint: Endpoint,
    /// Whose it is.
    pub client: Arc<Client>,
    /// Its number.
    pub number: u64,
    /// Its id, quoted.
    pub id: Arc<str>,
}

impl Run {
    /// Runs an operation to its end, or until it is live.
    pub async fn run(self, mut request: Box<Request>, caller: Arc<Caller>) {
        if let Some(refusal) = self.endpoint.too_often(&mut request, &caller) {
            return self.fail(&refusal.errors);
        }
        let service = &self.endpoint.service;
        let request_id = service.random.uuid(service.clock.now()).simple().to_string();
        let caller = self.endpoint.admitted(Caller { request_id, ..Caller::clone(&caller) }).await;
        if !is_subscription(&mut request) {
            // A few at a time, and not while answers pile up: they may be large
            let Ok(_turn) = self.client.answering.acquire().await else { return };
            if !self.client.room(self.number).await {
                return;
            }
            let span = service.tracer.message();
            let answer = span.run(self.endpoint.serve(*request, caller, &span)).await;
            drop(span);
            return self.client.finish(self.number, |id| last_messages(id, &answer));
        }
        match self.endpoint.open(*request, caller).await {
            Ok(Opened::Live(operation, resume)) => {
                let group = service.live.hub.group(operation);
                match resume {
                    Some(resume) => self.catch_up(&group, resume).await,
                    None => drop(group.seat(self.number, self.member(i64::MIN))),
                }
            }
            Ok(Opened::Own(answers)) => self.stream(answers).await,
            Err(errors) => self.fail(&errors),
        }
    }

    /// Sends all of a stream, at the client's pace.
    async fn stream(&self, mut answers: BoxStream<'static, Answer>) {
        loop {
            let Ok(answer) = AssertUnwindSafe(answers.next()).catch_unwind().await else {
                return self.fail(&[Error::internal("a stream panicked").into_server_error()]);
            };
            let Some(answer) = answer else { break };
            let payload = to_json(&with_codes(answer)).into();
            if !(self.client.room(self.number).await && self.client.push_replayed(self.number, payload)) {
                return;
            }
        }
        self.client.finish(self.number, |id| vec![protocol::complete(id)]);
    }

    fn member(&self, after: i64) -> Member {
        Member { client: self.client.clone(), id: self.id.clone(), after }
    }

    fn fail(&self, errors: &[ServerError]) {
        self.client.finish(self.number, |id| vec![protocol::error(id, errors)]);
    }

    /// Replays what the client missed, at its own pace, and then makes it live.
    async fn catch_up(&self, group: &Arc<Group>, resume: Resume) {
        let live = &self.endpoint.service.live;
        live.hub.metrics.resumed.inc();
        let mut after = resume.after;
        while self.client.room(self.number).await {
            // Before the page is read: what was delivered by now is on it, or was removed
            let delivered = group.last(self.number).and_then(|last| i32::try_from(last).ok());
            let page = match self.page(&resume, after).await {
                Ok(page) => page,
                Err(error) => return self.fail(&[error.into_server_error()]),
            };
            if page.is_empty() {
                after = delivered.map_or(after, |delivered| delivered.max(after));
                match group.seat(self.number, self.member(i64::from(after))) {
                    Seated::Yes | Seated::Gone => return,
                    Seated::Behind => continue,
                }
            }
            for (sequence, data) in page {
                let payload = self.endpoint.render(&group.operation, Rendering::Replayed(data)).await;
                if let Some(payload) = payload
                    && !(self.client.room(self.number).await
                        && self.client.push_replayed(self.number, payload))
                {
                    return;
                }
                after = sequence;
            }
        }
    }

    async fn page(&self, resume: &Resume, after: i32) -> Result<Vec<(i32, serde_json::Value)>, Error> {
        let service = &self.endpoint.service;
        // Thousands may come back at once: they wait here and not for connections, where others wait, too
        let turn = service.live.reading.acquire().await.map_err(Error::internal)?;
        let page = (resume.replay)(service.clone(), after, REPLAY_PAGE).await?;
        drop(turn);
        let in_order = page.is_sorted_by(|(a, _), (b, _)| a < b);
        if !in_order || page.first().is_some_and(|(first, _)| *first <= after) {
            return Err(Error::internal("a replay is not in order, or repeats itself"));
        }
        Ok(page)
    }
}

/// What ends a query or a mutation: its answer, or the errors for which it did not run.
fn last_messages(id: &str, answer: &Answer) -> Vec<String> {
    let ran = answer.data != Value::Null || answer.errors.iter().any(|error| !error.path.is_empty());
    if !ran && !answer.errors.is_empty() {
        return vec![protocol::error(id, &answer.errors)];
    }
    vec![protocol::next(id, &to_json(answer)), protocol::complete(id)]
}

fn to_json(answer: &Answer) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

/// What cannot be parsed, or is more than one operation, is refused where queries are.
fn is_subscription(request: &mut Request) -> bool {
    let operation = request.parsed_query().ok().and_then(only_operation);
    operation.is_some_and(|operation| operation.ty == OperationType::Subscription)
}

fn only_operation(document: &ExecutableDocument) -> Option<&OperationDefinition> {
    document.operations.iter().next().map(|(_, operation)| &operation.node)
}

impl Endpoint {
    /// Checks a subscription, and finds out what it follows.
    async fn open(&self, mut request: Request, caller: Caller) -> Result<Opened, Vec<ServerError>> {
        let allowed = self.gate().check(&mut request, &caller);
        let field = allowed.as_ref().map_or(limits::UNKNOWN, |allowed| allowed.field);
        let opened = match allowed {
            Ok(_) => self.opened(request, caller).await,
            Err(error) => Err(vec![error.into_server_error()]),
        };
        let errors = opened.as_ref().err().map_or(&[][..], Vec::as_slice);
        self.service.metrics.requests.answered("subscription", field, errors);
        opened
    }

    async fn opened(&self, request: Request, caller: Caller) -> Result<Opened, Vec<ServerError>> {
        let refuse = |error: Error| vec![error.into_server_error()];
        let (request, query, name) = named(request);
        let (request, telling) = telling(request);
        let (variables, opening) = (request.variables.clone(), Arc::new(Opening::default()));
        let again = repeated(&request);
        let answer = self.first(request.data(caller.clone()).data(opening.clone()), ANSWER_TIMEOUT).await;
        if let Some(answer) = answer.filter(|answer| !answer.errors.is_empty()) {
            return Err(with_codes(answer).errors);
        }
        match (<[Followed; 1]>::try_from(opening.followed()), &self.stream) {
            (Ok([Followed::Events { kind, resume }]), _) => {
                let key = Key { kind, query, name, variables: telling };
                Ok(Opened::Live(LiveOperation { key, variables }, resume))
            }
            (Ok([Followed::Own]), Some(stream)) => {
                Ok(Opened::Own(stream(again.data(caller).data(Streaming))))
            }
            _ => Err(refuse(Error::invalid("query", "a subscription has exactly one root field"))),
        }
    }

    /// Makes an event into an answer; nothing when the operation leaves it out.
    pub(crate) async fn render(&self, operation: &LiveOperation, rendering: Rendering) -> Option<Arc<str>> {
        let LiveOperation { key, variables } = operation;
        let mut request = Request::new(&*key.query).variables(variables.clone());
        if let Some(name) = &key.name {
            request = request.operation_name(&**name);
        }
        let caller = Caller { request_id: "live".into(), ..Caller::system() };
        let answer = self.first(request.data(caller).data(rendering), RENDER_TIMEOUT).await;
        answer.map(|answer| to_json(&with_codes(answer)).into())
    }

    /// The first answer of a subscription's stream.
    async fn first(&self, request: Request, limit: Duration) -> Option<Answer> {
        let Some(stream) = &self.stream else {
            return Some(failed(Error::Unavailable("There is nothing to subscribe to".into())));
        };
        let mut answers = stream(request);
        match timeout(limit, AssertUnwindSafe(answers.next()).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Some(failed(Error::internal("a resolver panicked"))),
            Err(_) => Some(failed(Error::Unavailable("The answer took too long; try again".into()))),
        }
    }
}

/// The same operation, to be run once more.
fn repeated(request: &Request) -> Request {
    let again = Request::new(&*request.query).variables(request.variables.clone());
    match &request.operation_name {
        Some(name) => again.operation_name(name),
        None => again,
    }
}

fn named(request: Request) -> (Request, Arc<str>, Option<Arc<str>>) {
    let (query, name) = (request.query.as_str().into(), request.operation_name.as_deref().map(Into::into));
    (request, query, name)
}

/// The variables in which operations that are not the same differ.
fn telling(mut request: Request) -> (Request, Arc<str>) {
    let variables = request.variables.clone();
    let document = request.parsed_query().ok();
    let telling = document.and_then(|document| {
        only_operation(document).map(|operation| key::telling(document, operation, &variables))
    });
    let telling = telling.unwrap_or_default().into();
    (request, telling)
}
