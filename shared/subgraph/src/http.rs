//! The client for calls to other services of the installation.

use crate::telemetry::Carried;
use reqwest::{RequestBuilder, Response, header::HeaderMap};
use std::{sync::OnceLock, time::Duration};

/// A client with short timeouts that follows no redirects and uses no proxy: what it calls is
/// ours and near.
///
/// # Errors
/// When the system's TLS configuration cannot be read.
pub fn client() -> anyhow::Result<&'static reqwest::Client> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(1))
        .timeout(Duration::from_secs(3))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?;
    Ok(CLIENT.get_or_init(|| client))
}

/// Sends a request to another service, which goes on with the trace that this is a part of.
pub(crate) async fn send(request: RequestBuilder) -> reqwest::Result<Response> {
    let mut trace = HeaderMap::new();
    Carried::current().write(&mut trace);
    request.headers(trace).send().await
}
