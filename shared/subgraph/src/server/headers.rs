//! Headers that tell browsers what not to do with an answer.

use poem::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What answers say that say nothing else: they are data for one caller, and never a page.
const USUAL: [(HeaderName, &str); 6] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    // Pages of allowed origins ask with CORS, which this does not hinder
    (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
];

/// GraphiQL's page, which is there in development only: scripts, styles and a picture from where it links to.
pub(super) const GRAPHIQL: &str = "default-src 'none'; script-src 'unsafe-inline' https://unpkg.com; style-src \
    'unsafe-inline' https://unpkg.com; font-src data: https://unpkg.com; img-src 'self' data: https://graphql.org; \
    connect-src 'self' ws: wss:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page of `/docs`, which is there in development only and has everything within itself.
pub(super) const SWAGGER: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; font-src \
    data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Two years, which the browsers' own lists ask for. Only for this host: others are not ours.
const ONLY_TLS: &str = "max-age=63072000";

/// Adds what an answer does not say itself.
pub(super) fn secure(headers: &mut HeaderMap, over_tls: bool) {
    for (name, value) in USUAL {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if over_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(ONLY_TLS));
    }
}
