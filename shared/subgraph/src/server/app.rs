//! What answers requests: poem's routes, and beside them services that poem cannot hold.

use super::{Shutdown, headers};
use crate::{address::Proxies, metrics::RequestMetrics};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use poem::{
    Endpoint, Response,
    endpoint::BoxEndpoint,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use std::{io, net::SocketAddr, sync::Arc};

/// An answer as hyper sends it.
pub(super) type Answer = hyper::Response<BoxBody<Bytes, io::Error>>;

/// A service on hyper's requests, which can take over the connection with `hyper::upgrade::on`; poem hides what that
/// needs. In a request's extensions it finds [`Shutdown`], [`crate::Sender`] and poem's [`RemoteAddr`].
pub type Mounted = Arc<dyn Fn(hyper::Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Everything that one port answers.
pub(super) struct App {
    pub name: &'static str,
    pub routes: BoxEndpoint<'static, Response>,
    pub mounts: Vec<(&'static str, Mounted)>,
    pub local: LocalAddr,
    pub shutdown: Shutdown,
    pub metrics: RequestMetrics,
    pub proxies: Proxies,
}

impl App {
    pub async fn answer(&self, mut request: hyper::Request<Incoming>, remote: RemoteAddr) -> Answer {
        let remote_ip = remote.as_socket_addr().map(SocketAddr::ip);
        let sender = remote_ip.map(|ip| self.proxies.sender(ip, request.headers())).unwrap_or_default();
        request.extensions_mut().insert(sender);
        let mut answer = self.route(request, remote).await;
        headers::secure(answer.headers_mut(), sender.over_tls);
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            self.metrics.http_error(status);
        }
        answer
    }

    async fn route(&self, mut request: hyper::Request<Incoming>, remote: RemoteAddr) -> Answer {
        request.extensions_mut().insert(self.shutdown.clone());
        if let Some(mounted) = self.mounted(request.uri().path()) {
            request.extensions_mut().insert(remote);
            return mounted(request).await;
        }
        self.routes.get_response((request, self.local.clone(), remote, Scheme::HTTP).into()).await.into()
    }

    fn mounted(&self, path: &str) -> Option<&Mounted> {
        let below =
            |prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.mounts.iter().find(|(prefix, _)| below(*prefix)).map(|(_, mounted)| mounted)
    }
}
