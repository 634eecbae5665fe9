//! Requests of the wrong size, shape or kind, to the router and to the services themselves.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use testkit::Supergraph;
use testkit::supergraph::{ROUTER, SERVICES, code};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

testkit::on_both_databases!(
    a_document_has_bounds,
    a_request_is_one_json_object_by_post,
    a_hundred_megabytes_are_refused_unread,
);

async fn a_document_has_bounds(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    for (service, document) in documents() {
        let answer = supergraph.direct(service, Some(&admin), &document, json!({})).await;
        assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{document:.300}: {answer:#}");
        assert!(answer["data"].is_null(), "{document:.300}: {answer:#}");
        // The router refuses some of these itself, with codes of its own
        let answer = supergraph.graphql(Some(&admin), &document, json!({})).await;
        let refused = code(&answer).is_some_and(|code| !["INTERNAL", "UNAVAILABLE"].contains(&code));
        assert!(refused && answer["data"].is_null(), "{document:.300}: {answer:#}");
    }
    assert_eq!(supergraph.row_counts().await, before);
}

/// Documents that cost too much or mean nothing, with a service that could be asked.
fn documents() -> Vec<(&'static str, String)> {
    let aliases = |field: &str| (0..500).map(|i| format!("a{i}: {field}")).collect::<Vec<_>>().join(" ");
    let login = r#"login(input: {email: "a@b.co", password: "p"}) { token }"#;
    // Two levels for each: a lead's interactions, an interaction's lead
    let deep = |levels: usize, limit: &str| {
        let around = format!("interactions{limit} {{ lead {{ ").repeat(levels / 2);
        format!("{{ {around} id {} }}", "} }".repeat(levels / 2))
    };
    let cycle = "{ interactions { ...A } } fragment A on Interaction { lead { interactions { ...B } } }
        fragment B on Interaction { lead { interactions { ...A } } }";
    vec![
        ("leads", format!("{{ {} }}", aliases("lead(id: 1) { id }"))),
        ("leads", format!("{{ leads {{ {} }} }}", aliases("email"))),
        ("leads", format!("mutation {{ {} }}", aliases("removeLead(id: 1)"))),
        ("accounts", format!("mutation {{ {} }}", aliases(login))),
        ("interactions", deep(50, "")),
        ("interactions", deep(38, "")),
        // Deep enough that the product of the limits is more than a number holds
        ("interactions", deep(18, "(limit: 500)")),
        ("interactions", deep(18, "(limit: 256)")),
        ("interactions", cycle.into()),
        ("leads", "query A { leads { id } } query B { leads { id } }".into()),
        ("leads", "{ leads { id }".into()),
        ("leads", String::new()),
        ("leads", "{ leads { nope } }".into()),
        ("leads", "fragment F on Lead { id }".into()),
    ]
}

async fn a_request_is_one_json_object_by_post(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let mutation = r#"{"query": "mutation { removeLead(id: 1) }"}"#;
    let bodies = [
        ("application/json", format!("[{mutation}]"), 400),
        ("application/json", format!("[{mutation}, {mutation}]"), 400),
        ("application/json", String::new(), 400),
        ("application/json", "null".into(), 400),
        ("application/json", r#"{"query": 1}"#.into(), 400),
        ("application/json", mutation[..20].into(), 400),
        ("text/plain", mutation.into(), 415),
        ("application/x-www-form-urlencoded", "query=mutation{removeLead(id:1)}".into(), 415),
        ("multipart/form-data; boundary=x", format!("--x\r\n\r\n{mutation}\r\n--x--"), 415),
        ("", mutation.into(), 415),
    ];
    for target in SERVICES.into_iter().chain([ROUTER]) {
        for (content_type, body, status) in &bodies {
            let mut request = supergraph.request(Method::POST, target, Some(&admin)).body(body.clone());
            if !content_type.is_empty() {
                request = request.header("content-type", *content_type);
            }
            let answer = supergraph.send(request).await;
            // The router says 400 to what could come from a form, which a browser sends without asking
            let as_expected =
                if target == ROUTER { answer.status.is_client_error() } else { answer.status == *status };
            assert!(as_expected, "{target}: {content_type}: {body:.60}: {answer:?}");
            assert!(answer.code().is_some(), "{target}: {content_type}: {body:.60}: {answer:?}");
        }
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let url = format!("{}?query=mutation%7BremoveLead(id:1)%7D", supergraph.url(target));
            let request = supergraph.request_at(method.clone(), &url, Some(&admin));
            let answer = supergraph.send(request.header("apollo-require-preflight", "1")).await;
            assert!(answer.status.is_client_error(), "{method} at {target}: {answer:?}");
            assert!(method != Method::GET || answer.status == 405, "{method} at {target}: {answer:?}");
        }
    }
    assert_eq!(supergraph.row_counts().await, before);
}

async fn a_hundred_megabytes_are_refused_unread(supergraph: Supergraph) {
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    for target in SERVICES.into_iter().chain([ROUTER]) {
        for chunked in [false, true] {
            let (status, sent) = upload(supergraph.port(target), &admin, chunked).await;
            assert_eq!(status, "413", "{target}, chunked: {chunked}");
            // What the sockets of both sides hold, and no more
            assert!(sent < 20_000_000, "{target} took {sent} bytes, chunked: {chunked}");
        }
    }
    for (target, operation) in [(ROUTER, "{ me { id } }"), ("leads", "{ lead(id: 1) { id } }")] {
        // Just above the limit, sent by a client that waits for its turn
        let whole = json!({ "query": operation, "variables": { "x": "a".repeat(2_000_000) } });
        let answer =
            supergraph.send(supergraph.request(Method::POST, target, Some(&admin)).json(&whole)).await;
        assert_eq!(answer.status, 413, "{target}: {answer:?}");
        let answer = supergraph.direct(target, Some(&admin), operation, json!({})).await;
        assert_eq!(code(&answer), None, "and {target} goes on: {answer:#}");
    }
    assert_eq!(supergraph.row_counts().await, before);
}

/// Sends a body of 100 MB until it is refused; the status, and how many bytes of the body went out.
async fn upload(port: u16, token: &str, chunked: bool) -> (String, usize) {
    const SIZE: usize = 100_000_000;
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length =
        if chunked { "transfer-encoding: chunked".into() } else { format!("content-length: {SIZE}") };
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nauthorization: Bearer {token}\r\n{length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let block = "a".repeat(100_000);
    let block = if chunked { format!("{:x}\r\n{block}\r\n", block.len()) } else { block };
    let mut sent = 0;
    let write = async {
        let start = if chunked { "1\r\n{\r\n" } else { "{" };
        let mut result = writer.write_all(start.as_bytes()).await;
        while sent < SIZE && result.is_ok() {
            result = writer.write_all(block.as_bytes()).await;
            sent += 100_000;
        }
        // Refused or not: what comes back decides
        std::future::pending::<()>().await;
    };
    let mut answer = [0; 12];
    let read = timeout(Duration::from_secs(30), reader.read_exact(&mut answer));
    tokio::select! {
        () = write => unreachable!("it is pending for ever"),
        read = read => drop(read.expect("an answer within 30 s").expect("an answer before the connection closes")),
    }
    let answer = String::from_utf8_lossy(&answer);
    (answer.split(' ').nth(1).unwrap_or_default().to_owned(), sent)
}
