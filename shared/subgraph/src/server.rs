//! The HTTP server around a subgraph: one port for poem's routes and for services that poem cannot hold.

mod accept;
mod app;
mod connection;
pub(crate) mod cors;
mod headers;
mod limits;
mod paced;
mod shutdown;
#[cfg(test)]
mod tests;

pub use app::Mounted;
pub use shutdown::Shutdown;

use crate::{
    address::Proxies,
    background::Background,
    graphql::Endpoint,
    health::{Api, Checks},
    live,
};
use anyhow::Context;
use app::App;
use limits::Limits;
use poem::{
    Body, EndpointExt, IntoResponse, Request, Response, Route,
    endpoint::BoxEndpoint,
    get, handler,
    http::{Method, StatusCode, header::CONTENT_SECURITY_POLICY},
    middleware::SetHeader,
    web::{Data, Html, LocalAddr},
};
use poem_openapi::OpenApiService;
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Whether the database has demo data.
    pub has_demo_data: bool,
    shutdown: Shutdown,
    /// Nothing once it has ended: a task can be waited for only once.
    server: Option<JoinHandle<()>>,
}

impl Running {
    /// Stops accepting, lets requests under way and open sockets finish and closes the database.
    ///
    /// # Errors
    /// When the server ended with an error.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.begin();
        self.joined().await
    }

    /// Waits until the server ends by itself, which it should not.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self.joined().await {
            Ok(()) => anyhow::anyhow!("the server ended by itself"),
            Err(error) => error,
        }
    }

    async fn joined(&mut self) -> anyhow::Result<()> {
        if let Some(server) = &mut self.server {
            let ended = server.await;
            self.server = None;
            ended?;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// A task that ends with what it belongs to.
#[derive(Debug)]
pub(crate) struct AbortOnDropHandle(pub JoinHandle<()>);

impl Drop for AbortOnDropHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[handler]
async fn graphql(request: &Request, body: Body, endpoint: Data<&Endpoint>) -> Response {
    if request.method() == Method::POST {
        return endpoint.answer(request, body).await;
    }
    if live::is_upgrade(request) && endpoint.stream.is_some() {
        return live::upgrade(&endpoint, request).await;
    }
    let browser = request.header("accept").is_some_and(|accept| accept.contains("text/html"));
    if request.method() == Method::GET && browser && endpoint.service.config.is_development() {
        let page = async_graphql::http::GraphiQLSource::build().endpoint("/graphql").finish();
        return Html(page).with_header(CONTENT_SECURITY_POLICY, headers::GRAPHIQL).into_response();
    }
    let error = crate::Error::invalid("method", "send POST");
    let answer = async_graphql::Response::from_errors(vec![error.into_server_error()]);
    let body = serde_json::to_vec(&answer).unwrap_or_default();
    let refused = Response::builder().status(StatusCode::METHOD_NOT_ALLOWED).header("allow", "POST");
    refused.content_type("application/json").body(body)
}

/// Starts serving.
pub(crate) async fn start(
    endpoint: Endpoint,
    checks: Checks,
    routes: Vec<(&'static str, BoxEndpoint<'static>)>,
    mounts: Vec<(&'static str, Mounted)>,
    background: Background,
) -> anyhow::Result<Running> {
    let (service, has_demo_data) = (endpoint.service.clone(), endpoint.has_demo_data);
    let addr = SocketAddr::new(service.config.listen_addr, service.config.port);
    let listener = TcpListener::bind(addr).await.with_context(|| taken(service.name, addr))?;
    let (addr, shutdown) = (listener.local_addr()?, Shutdown::default());
    let app = App {
        name: service.name,
        routes: all_routes(endpoint, checks, routes),
        mounts,
        local: LocalAddr(addr.into()),
        shutdown: shutdown.clone(),
        metrics: service.metrics.requests.clone(),
        proxies: Proxies::new(&service.config),
    };
    let server = tokio::spawn(async move {
        let (stop, live) = (app.shutdown.clone(), service.clone());
        let goodbyes = async move {
            stop.begun().await;
            live.live.stop();
        };
        tokio::join!(accept::run(listener, Arc::new(app), Limits::default()), goodbyes);
        // Not before: what is live has goodbyes to say. Not after: it needs the database
        background.stop().await;
        service.db.close().await;
        // Last, since all of that is told too
        service.tracer.shut_down().await;
    });
    Ok(Running { addr, has_demo_data, shutdown, server: Some(server) })
}

fn all_routes(
    endpoint: Endpoint,
    checks: Checks,
    routes: Vec<(&'static str, BoxEndpoint<'static>)>,
) -> BoxEndpoint<'static> {
    let service = endpoint.service.clone();
    let api = Api { service: service.clone(), checks };
    let api = OpenApiService::new(api, service.name, env!("CARGO_PKG_VERSION"));
    let mut app = Route::new().at("/graphql", graphql.data(endpoint));
    for (path, route) in routes {
        app = app.at(path, route);
    }
    if service.config.is_development() {
        let docs = SetHeader::new().overriding(CONTENT_SECURITY_POLICY, headers::SWAGGER);
        app = app.at("/openapi.json", get(api.spec_endpoint())).nest("/docs", api.swagger_ui().with(docs));
    }
    app.nest("/", api).with(cors::cors(&service.config)).map_to_response().boxed()
}

fn taken(name: &str, addr: SocketAddr) -> String {
    format!("{name} cannot listen on {addr}; is the port taken? Choose another with --port or PORT")
}
