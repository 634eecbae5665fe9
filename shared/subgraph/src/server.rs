//! The HTTP server around a subgraph.

use crate::{
    config::{Config, Environment},
    graphql::Endpoint,
    health::{Api, Checks},
};
use anyhow::Context;
use poem::http::uri::Scheme;
use poem::{
    Body, EndpointExt, IntoResponse, Request, Response, Route, Server,
    endpoint::BoxEndpoint,
    get, handler,
    http::{Method, StatusCode},
    listener::{Acceptor, Listener, TcpAcceptor, TcpListener},
    middleware::Cors,
    web::{Data, Html, LocalAddr, RemoteAddr},
};
use poem_openapi::OpenApiService;
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle};

/// How long requests under way may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// How long a connection may be silent; longer than the slowest answer.
const IDLE: Duration = Duration::from_secs(90);

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Whether the database has demo data.
    pub has_demo_data: bool,
    stop: watch::Sender<bool>,
    /// Nothing once it has ended: a task can be waited for only once.
    server: Option<JoinHandle<std::io::Result<()>>>,
    _looking_after: AbortOnDropHandle,
}

impl Running {
    /// Stops accepting, lets requests under way finish and closes the database.
    ///
    /// # Errors
    /// When the server ended with an error.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
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
            ended??;
        }
        Ok(())
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

/// poem 3.1 leaves Nagle's algorithm on, which adds up to 40 ms to small answers.
struct NoDelay(TcpAcceptor);

impl Acceptor for NoDelay {
    type Io = TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> std::io::Result<(TcpStream, LocalAddr, RemoteAddr, Scheme)> {
        let accepted = self.0.accept().await?;
        accepted.0.set_nodelay(true)?;
        Ok(accepted)
    }
}

#[handler]
async fn graphql(request: &Request, body: Body, endpoint: Data<&Endpoint>) -> Response {
    if request.method() == Method::POST {
        return endpoint.answer(request, body).await;
    }
    let browser = request.header("accept").is_some_and(|accept| accept.contains("text/html"));
    if request.method() == Method::GET && browser && endpoint.service.config.is_development() {
        return Html(async_graphql::http::GraphiQLSource::build().endpoint("/graphql").finish())
            .into_response();
    }
    let error = crate::Error::invalid("method", "send POST; live delivery over WebSocket: not built yet");
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
    looking_after: AbortOnDropHandle,
) -> anyhow::Result<Running> {
    let (service, has_demo_data) = (endpoint.service.clone(), endpoint.has_demo_data);
    let addr = SocketAddr::new(service.config.listen_addr, service.config.port);
    let acceptor =
        TcpListener::bind(addr).into_acceptor().await.with_context(|| taken(service.name, addr))?;
    let addr = acceptor.local_addr().first().and_then(|a| a.as_socket_addr().copied()).unwrap_or(addr);
    let api = Api { service: service.clone(), checks };
    let api = OpenApiService::new(api, service.name, env!("CARGO_PKG_VERSION"));
    let mut app = Route::new().at("/graphql", graphql.data(endpoint));
    for (path, route) in routes {
        app = app.at(path, route);
    }
    if service.config.is_development() {
        app = app.at("/openapi.json", get(api.spec_endpoint())).nest("/docs", api.swagger_ui());
    }
    let app = app.nest("/", api).with(cors(&service.config));
    let (stop, mut stopped) = watch::channel(false);
    let db = service.db.clone();
    let server = tokio::spawn(async move {
        let signal = async move { drop(stopped.wait_for(|stop| *stop).await) };
        let server = Server::new_with_acceptor(NoDelay(acceptor)).idle_timeout(IDLE);
        let ended = server.run_with_graceful_shutdown(app, signal, Some(GRACE)).await;
        db.close().await;
        ended
    });
    Ok(Running { addr, has_demo_data, stop, server: Some(server), _looking_after: looking_after })
}

fn taken(name: &str, addr: SocketAddr) -> String {
    format!("{name} cannot listen on {addr}; is the port taken? Choose another with --port or PORT")
}

fn cors(config: &Config) -> Cors {
    let cors = Cors::new().allow_methods([Method::POST, Method::GET]).allow_credentials(true);
    let cors = cors.allow_headers(["content-type", "authorization", "x-request-id"]);
    let origins = config.cors_origins.clone();
    let development = config.environment == Environment::Development;
    cors.allow_origins_fn(move |origin| {
        if origins.is_empty() {
            development && is_localhost(origin)
        } else {
            origins.iter().any(|o| o == origin)
        }
    })
}

fn is_localhost(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_this_machine_is_localhost() {
        for yes in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173"] {
            assert!(super::is_localhost(yes), "{yes}");
        }
        for no in ["http://localhost.evil.example", "http://evil.example:80", "null", "", "ftp://localhost"] {
            assert!(!super::is_localhost(no), "{no}");
        }
    }
}
