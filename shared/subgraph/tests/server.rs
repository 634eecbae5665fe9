//! A subgraph's one port: GraphQL, routes of poem, and services beside them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod greetings;

use bytes::Bytes;
use greetings::greetings;
use http_body_util::{BodyExt, Full};
use poem::{EndpointExt, endpoint::make_sync};
use reqwest::{Client, StatusCode};
use std::{io::Error, path::Path, sync::Arc};
use subgraph::{Mounted, Running, Service};
use testkit::{TestKeys, free_port};

fn mount(service: &Service) -> Mounted {
    let name = service.name;
    Arc::new(move |request| {
        let body = format!("{name} {}", request.uri().path());
        let body = Full::new(Bytes::from(body)).map_err(Error::other).boxed();
        Box::pin(async { hyper::Response::new(body) })
    })
}

async fn start(folder: &Path, port: u16) -> anyhow::Result<Running> {
    start_with(folder, port, &[]).await
}

async fn start_with(folder: &Path, port: u16, more: &[&str]) -> anyhow::Result<Running> {
    let subgraph = greetings()
        .routes(|_| vec![("/more", make_sync(|_| "more").map_to_response().boxed())])
        .beside("/beside", mount);
    TestKeys::shared().install(folder, "greetings");
    let flags = [
        format!("--data-dir={}", folder.display()),
        format!("--database-url=sqlite://{}/own.sqlite?mode=rwc", folder.display()),
        format!("--port={port}"),
    ];
    let flags = flags.into_iter().chain(more.iter().map(|flag| (*flag).to_owned()));
    subgraph.start(subgraph.config_from(flags)?).await
}

async fn get(client: &Client, url: String) -> (StatusCode, String) {
    let answer = client.get(url).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn one_port_answers_everything() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), 0).await.unwrap();
    let at = |path: &str| format!("http://{}{path}", running.addr);
    let client = Client::builder().no_proxy().build().unwrap();
    let asked = client.post(at("/graphql")).json(&serde_json::json!({ "query": "{ hello }" }));
    assert_eq!(asked.send().await.unwrap().text().await.unwrap(), r#"{"data":{"hello":"hello"}}"#);
    assert_eq!(get(&client, at("/more")).await, (StatusCode::OK, "more".into()));
    assert_eq!(get(&client, at("/beside/it")).await, (StatusCode::OK, "greetings /beside/it".into()));
    assert_eq!(get(&client, at("/health/live")).await.0, StatusCode::OK);
    assert_eq!(get(&client, at("/besides")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&client, at("/graphql")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let origin = client.get(at("/health/live")).header("origin", "http://localhost:3000");
    assert!(origin.send().await.unwrap().headers().contains_key("access-control-allow-origin"));
    let addr = running.addr;
    running.stop().await.unwrap();
    std::net::TcpListener::bind(addr).unwrap();
}

const USUAL: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[tokio::test]
async fn every_answer_tells_browsers_what_not_to_do_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), 0).await.unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let at = |path: &str| format!("http://{}{path}", running.addr);
    let mut answers = vec![
        client.post(at("/graphql")).json(&serde_json::json!({ "query": "{ hello }" })).send().await.unwrap(),
        client.post(at("/graphql")).body("nonsense").send().await.unwrap(),
    ];
    for path in ["/graphql", "/health/live", "/version", "/metrics", "/more", "/beside/it", "/nowhere"] {
        answers.push(client.get(at(path)).send().await.unwrap());
    }
    for answer in answers {
        for (name, value) in USUAL {
            assert_eq!(answer.headers()[name], value, "{}: {name}", answer.url());
        }
        assert!(!answer.headers().contains_key("strict-transport-security"), "{}", answer.url());
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_says_that_there_is_tls() {
    for (trusted, said) in [("127.0.0.0/8", true), ("192.0.2.1", false)] {
        let folder = tempfile::tempdir().unwrap();
        let trusted = format!("--trusted-proxies={trusted}");
        let running = start_with(folder.path(), 0, &[&trusted]).await.unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        let ask = client.get(format!("http://{}/version", running.addr)).header("x-forwarded-proto", "https");
        let answer = ask.send().await.unwrap();
        assert_eq!(answer.headers().contains_key("strict-transport-security"), said, "{trusted}");
    }
}

/// The sources that a policy has for a kind of thing.
fn sources<'a>(policy: &'a str, directive: &str) -> Vec<&'a str> {
    let found = policy.split(';').find_map(|part| part.trim().strip_prefix(directive));
    found.unwrap_or_default().split_whitespace().collect()
}

/// Every value of this attribute in those tags of a page.
fn attributes(page: &str, tag: &str, attribute: &str) -> Vec<String> {
    let opening = format!("<{tag}");
    let tags = page.split(&opening).skip(1).filter_map(|rest| rest.split('>').next());
    let value = |tag: &str| Some(tag.split_once(&format!("{attribute}=\""))?.1.split('"').next()?.to_owned());
    tags.filter_map(value).collect()
}

#[tokio::test]
async fn the_pages_of_development_may_load_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), 0).await.unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    for (path, outside) in [("/graphql", true), ("/docs", false)] {
        let ask = client.get(format!("http://{}{path}", running.addr)).header("accept", "text/html");
        let answer = ask.send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let page = answer.text().await.unwrap();
        for (tag, attribute, directive) in
            [("script", "src", "script-src"), ("link rel=\"stylesheet\"", "href", "style-src")]
        {
            let allowed = sources(&policy, directive);
            let loaded = attributes(&page, tag, attribute);
            assert_eq!(!loaded.is_empty(), outside, "{path}: {loaded:?}");
            for address in loaded {
                assert!(allowed.iter().any(|source| address.starts_with(&format!("{source}/"))), "{address}");
            }
            // Both have scripts and styles within the page, and ask this service
            assert!(allowed.contains(&"'unsafe-inline'"), "{path}: {policy}");
        }
        assert!(sources(&policy, "connect-src").contains(&"'self'"), "{path}: {policy}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn production_has_no_pages_and_its_counters_are_not_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--environment=production", "--service-key=3f9c2b7a51e84d06b8fa0c6d9e21573f"];
    let running = start_with(folder.path(), 0, &flags).await.unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let get = |path: &str| client.get(format!("http://{}{path}", running.addr)).header("accept", "text/html");
    assert_eq!(get("/graphql").send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    for path in ["/docs", "/openapi.json"] {
        assert_eq!(get(path).send().await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(get("/metrics").send().await.unwrap().status(), StatusCode::OK, "from this machine");
    let by_proxy = get("/metrics").header("x-forwarded-for", "192.0.2.1");
    assert_eq!(by_proxy.send().await.unwrap().status(), StatusCode::FORBIDDEN, "a proxy asks for others");
}

#[tokio::test]
async fn a_taken_port_is_said_in_words() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = free_port();
    let first = start(folder.path(), port).await.unwrap();
    let error = start(other.path(), port).await.unwrap_err();
    let words = "cannot listen on 127.0.0.1:";
    assert!(
        error.to_string().starts_with(&format!("greetings {words}{port}; is the port taken?")),
        "{error}"
    );
    // Dropped is stopped
    drop(first);
    while std::net::TcpListener::bind(("127.0.0.1", port)).is_err() {
        tokio::task::yield_now().await;
    }
}
