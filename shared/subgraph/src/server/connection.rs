//! One connection, from its acceptance to its end or upgrade.

use super::{app::App, limits::Limits, paced::Paced};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use poem::{http::StatusCode, web::RemoteAddr};
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc};

/// Answers the requests of one connection. HTTP/1.1 only: it is what the router, browsers and WebSockets speak to an
/// `http://` address, and HTTP/2 would bring its own ways to flood a server.
pub(super) async fn serve(io: Paced, app: Arc<App>, remote: SocketAddr, limits: Limits) {
    let (stage, shutdown) = (io.stage(), app.shutdown.clone());
    let service = service_fn(|request| {
        let (app, stage) = (app.clone(), stage.clone());
        stage.answering();
        async move {
            let answer = app.answer(request, RemoteAddr(remote.into())).await;
            match answer.status() {
                StatusCode::SWITCHING_PROTOCOLS => stage.upgraded(),
                _ => stage.answered(),
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // Its own timeout is off: see `paced`
    let connection =
        http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection.with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = tokio::time::timeout(limits.grace, connection).await else {
                tracing::warn!(target: "leadgraph", subgraph = app.name, %remote, "a request was cut off by the stop");
                return;
            };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "leadgraph", subgraph = app.name, %remote, %error, "a connection broke off");
    }
}
