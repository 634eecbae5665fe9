//! What a service has now, for those who keep a view of it: `GET /internal/snapshot/TYPE`.
//!
//! Each line is one row as JSON, in the form of an event of that type; the last one says how many there were.
//! Where that one is missing, the answer was cut off. Rows are read page by page, only as fast as the other side
//! takes them.

use crate::{
    caller::Actor,
    error::{Error, Result},
    service::Service,
};
use events::Event;
use futures_util::{future::BoxFuture, stream};
use poem::{
    Body, EndpointExt, Request, Response, endpoint::BoxEndpoint, get, handler, http::StatusCode, web::Data,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, io, sync::Arc};

/// Where snapshots are read, before the type of event.
pub(crate) const PATH: &str = "/internal/snapshot/";
/// Rows read at once.
const PAGE: u64 = 500;

/// The rows after a key, as lines, with the key of the last one.
type Pages = Arc<
    dyn Fn(Service, Option<String>) -> BoxFuture<'static, Result<(Vec<String>, Option<String>)>>
        + Send
        + Sync,
>;

/// What a service owns and others keep views of, by type of event.
#[derive(Clone, Default)]
pub(crate) struct Snapshots(HashMap<&'static str, Pages>);

impl Snapshots {
    pub fn add<E, F>(&mut self, page: fn(Service, Option<String>, u64) -> F)
    where
        E: Event,
        F: Future<Output = Result<Vec<(String, E)>>> + Send + 'static,
    {
        let pages: Pages = Arc::new(move |service, after| {
            let page = page(service, after, PAGE);
            Box::pin(async move { lines(page.await?) })
        });
        self.0.insert(E::TYPE, pages);
    }

    pub fn of(&self, kind: &str) -> Option<&Pages> {
        self.0.get(kind)
    }

    /// The route under which they are read.
    pub fn route(&self, service: &Service) -> (&'static str, BoxEndpoint<'static>) {
        ("/internal/snapshot/:kind", get(stream_rows).data(service.clone()).data(self.clone()).boxed())
    }
}

fn lines<E: Event>(mut rows: Vec<(String, E)>) -> Result<(Vec<String>, Option<String>)> {
    let line = |(_, row): &(String, E)| serde_json::to_string(row).map_err(Error::internal);
    let lines = rows.iter().map(line).collect::<Result<_>>()?;
    Ok((lines, rows.pop().map(|(key, _)| key)))
}

/// The last line of a snapshot.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// Always true.
    pub end: bool,
    /// How many rows came before.
    pub count: u64,
}

#[handler]
async fn stream_rows(request: &Request, service: Data<&Service>, snapshots: Data<&Snapshots>) -> Response {
    if let Err(refused) = only_services(request, &service).await {
        return refused;
    }
    let kind = request.raw_path_param("kind").unwrap_or_default();
    let Some(pages) = snapshots.of(kind) else {
        return refuse(StatusCode::NOT_FOUND, Error::NotFound(format!("There is no snapshot of {kind}")));
    };
    let reading =
        Reading { service: service.clone(), pages: pages.clone(), after: None, count: 0, ended: false };
    let body = Body::from_bytes_stream(stream::try_unfold(reading, Reading::next));
    Response::builder().content_type("application/x-ndjson").body(body)
}

async fn only_services(request: &Request, service: &Service) -> Result<(), Response> {
    let header = request.header("authorization");
    let caller = service.auth.caller(header, String::new(), service.clock.now()).await;
    match caller.actor {
        Actor::Service(_) => Ok(()),
        Actor::Anonymous => Err(refuse(StatusCode::UNAUTHORIZED, caller.refusal())),
        _ => Err(refuse(StatusCode::FORBIDDEN, Error::Forbidden("Only other services can read this".into()))),
    }
}

fn refuse(status: StatusCode, error: Error) -> Response {
    let answer = async_graphql::Response::from_errors(vec![error.into_server_error()]);
    let body = serde_json::to_vec(&answer).unwrap_or_default();
    Response::builder().status(status).content_type("application/json").body(body)
}

/// A snapshot under way.
struct Reading {
    service: Service,
    pages: Pages,
    after: Option<String>,
    count: u64,
    ended: bool,
}

impl Reading {
    /// The next page as text; the end line behind the last one. An error cuts the answer off.
    async fn next(mut self) -> io::Result<Option<(String, Self)>> {
        if self.ended {
            return Ok(None);
        }
        let page = (self.pages)(self.service.clone(), self.after.take()).await;
        let (rows, last) = page.map_err(|error| {
            tracing::warn!(subgraph = self.service.name, error = error.message(), "a snapshot breaks off");
            io::Error::other(error.message())
        })?;
        self.count += rows.len() as u64;
        self.after = last;
        self.ended = rows.is_empty();
        let mut text = rows.join("\n");
        if self.ended {
            text = serde_json::to_string(&End { end: true, count: self.count })?;
        }
        text.push('\n');
        Ok(Some((text, self)))
    }
}
