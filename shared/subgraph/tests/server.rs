//! A subgraph's one port: GraphQL, routes of poem, and services beside them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_graphql::{EmptyMutation, EmptySubscription, Object};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use migrations::Chassis;
use poem::{EndpointExt, endpoint::make_sync};
use reqwest::{Client, StatusCode};
use std::{io::Error, path::Path, sync::Arc};
use subgraph::{Mounted, Policy, Running, Service, Subgraph};
use testkit::{TestKeys, free_port};

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// Says hello.
    async fn hello(&self) -> &str {
        "hello"
    }
}

fn mount(service: &Service) -> Mounted {
    let name = service.name;
    Arc::new(move |request| {
        let body = format!("{name} {}", request.uri().path());
        let body = Full::new(Bytes::from(body)).map_err(Error::other).boxed();
        Box::pin(async { hyper::Response::new(body) })
    })
}

async fn start(folder: &Path, port: u16) -> anyhow::Result<Running> {
    let policy = Policy::default().public(&["hello"]);
    let subgraph = Subgraph::new::<Query, EmptyMutation, EmptySubscription, Chassis>("greetings", 0, policy)
        .routes(|_| vec![("/more", make_sync(|_| "more").map_to_response().boxed())])
        .beside("/beside", mount);
    TestKeys::shared().install(folder, "greetings");
    let flags = [
        format!("--data-dir={}", folder.display()),
        format!("--database-url=sqlite://{}/own.sqlite?mode=rwc", folder.display()),
        format!("--port={port}"),
    ];
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
