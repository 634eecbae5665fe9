//! The answer over HTTP, outside GraphQL, to who asks too often.

use crate::{address::Sender, error::Error, service::Service};
use poem::{
    Endpoint, EndpointExt, Request, Response,
    endpoint::BoxEndpoint,
    http::{StatusCode, header},
};
use serde_json::json;

/// A route whose requests count.
pub(crate) fn limited(service: &Service, route: BoxEndpoint<'static>) -> BoxEndpoint<'static> {
    let service = service.clone();
    let counted = route.around(move |route, request: Request| {
        let arrival = service.rates.arrival(Sender::of(&request).address);
        async move {
            match arrival {
                Ok(()) => route.call(request).await,
                Err(error) => {
                    let body = json!({ "error": "rate_limited", "error_description": error.message() });
                    Ok(too_many(&error, body.to_string()))
                }
            }
        }
    });
    counted.boxed()
}

/// 429 with this body, and when to come back.
pub(crate) fn too_many(error: &Error, body: impl Into<poem::Body>) -> Response {
    let answer = Response::builder().status(StatusCode::TOO_MANY_REQUESTS).content_type("application/json");
    answer.header(header::RETRY_AFTER, error.retry_after().unwrap_or(1)).body(body)
}

impl Sender {
    /// The one of this request.
    pub(crate) fn of(request: &Request) -> Self {
        request.data::<Self>().copied().unwrap_or_default()
    }
}
