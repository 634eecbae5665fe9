//! Traces of the whole system, as a receiver of OpenTelemetry's protocol gets them: what one change causes is one
//! trace, which stands in `docs/operations.md` as it was captured; and nothing in traces and logs is about people.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use std::{fs, path::Path};

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::otlp::{Collector, Span, orphans, outline, tree};
use testkit::provider::{Provider, Reply};
use testkit::{Supergraph, eventually, supergraph::SERVICES};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const SOON: Duration = Duration::from_secs(30);
const BEGIN: &str = "<!-- the trace: written by services/leadgraph/tests/supergraph_trace.rs -->\n\n```\n";
const END: &str = "```\n";
const CREATE: &str = "mutation($input: CreateInteractionInput!) {
    createInteraction(createInteractionInput: $input) { id } }";
/// The demo leads, as the service loads them.
const LEADS: &str = include_str!("../../leads/demo/leads.csv");
/// What the demo data says of interactions.
const NOTES: &str = include_str!("../../interactions/src/demo.rs");

/// The variables of a system that tells everything to a receiver.
fn telling(collector: &Collector) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_TRACES_SAMPLER_ARG", "1.0".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100000".to_owned()),
        ("ROUTER_OTLP", "true".to_owned()),
        ("ROUTER_OTLP_ENDPOINT", collector.endpoint()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_one_trace_from_the_router_to_the_subscriber() {
    let collector = Collector::start().await;
    let supergraph = Supergraph::postgres_with(&telling(&collector)).await;
    let admin = supergraph.admin().await;
    supergraph.settled().await;
    let mut socket = subscribed(&supergraph, &admin).await;

    let input =
        json!({ "leadId": 3, "type": "CALL", "date": "2026-01-15T10:00:00Z", "notes": "Wants a demo" });
    supergraph.data(&admin, CREATE, json!({ "input": input })).await;
    assert_eq!(said(&mut socket).await["type"], "next");

    let spans =
        trace_of(&collector, "createInteraction", &["live.frame", "event.apply", "event.publish"]).await;
    let text = tree(&spans);
    let lost: Vec<_> = orphans(&spans).into_iter().map(|span| (&span.service, &span.name)).collect();
    assert!(lost.is_empty(), "{lost:?} are parts of what was not sent:\n{text}");
    let paths = outline(&spans);
    for end in [
        "interactions graphql.request > interactions db.query",
        "interactions graphql.request > interactions event.publish",
        "interactions graphql.request > notifications event.apply > notifications db.query",
        "notifications event.apply > notifications live.deliver > notifications live.frame",
        "interactions graphql.request > scoring event.apply",
    ] {
        let found = paths.iter().any(|path| path.starts_with("router ") && path.ends_with(end));
        assert!(found, "{end} is not in\n{text}");
    }
    let frame = spans.iter().find(|span| span.name == "live.frame").unwrap();
    assert!(frame.attribute("leadgraph.bytes").parse::<usize>().is_ok_and(|bytes| bytes > 50));
    let request = spans.iter().find(|span| span.name == "graphql.request" && span.service == "interactions");
    let request = request.unwrap();
    assert_eq!(request.attribute("graphql.operation.type"), "mutation");
    assert_eq!(request.attribute("leadgraph.field"), "createInteraction");
    assert_eq!(request.attribute("leadgraph.actor"), "user:1");
    assert_eq!(request.resource["service.namespace"], "leadgraph");
    keep(&text, &paths);
}

/// The spans of the newest trace in which a field was asked for, when those of these names are there and no more come.
async fn trace_of(collector: &Collector, field: &str, names: &[&str]) -> Vec<Span> {
    let trace = || {
        let spans = collector.spans();
        let asked = spans.iter().rev().find(|span| span.attribute("leadgraph.field") == field)?.trace.clone();
        Some(spans.into_iter().filter(|span| span.trace == asked).collect::<Vec<_>>())
    };
    eventually("the trace is there", SOON, async || {
        trace().is_some_and(|spans| names.iter().all(|name| spans.iter().any(|span| span.name == *name)))
    })
    .await;
    let mut known = 0;
    loop {
        // Longer than anybody waits until it sends
        tokio::time::sleep(Duration::from_secs(2)).await;
        let spans = trace().unwrap();
        if spans.len() == known {
            return spans;
        }
        known = spans.len();
    }
}

/// Compares which spans there are with those in the documentation, and puts these there when they differ.
fn keep(text: &str, paths: &BTreeSet<String>) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let old = fs::read_to_string(&page).unwrap();
    let (before, rest) = old.split_once(BEGIN).expect("the page has a place for the trace");
    let (shown, after) = rest.split_once(END).unwrap();
    if documented(shown) != *paths {
        fs::write(&page, format!("{before}{BEGIN}{text}{END}{after}")).unwrap();
        panic!(
            "the trace in docs/operations.md was another one and is now written anew: look at it and commit it"
        );
    }
}

/// The paths of a tree as it is printed.
fn documented(tree: &str) -> BTreeSet<String> {
    let mut path: Vec<String> = Vec::new();
    let paths = tree.lines().map(|line| {
        let depth = (line.len() - line.trim_start().len()) / 2;
        path.truncate(depth);
        path.push(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
        path.join(" > ")
    });
    paths.collect()
}

async fn subscribed(supergraph: &Supergraph, token: &str) -> Socket {
    let url = format!("ws://127.0.0.1:{}/graphql", supergraph.port("notifications"));
    let mut request = url.into_client_request().unwrap();
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = connect_async(request).await.unwrap();
    send(&mut socket, &json!({ "type": "connection_init", "payload": { "token": token } })).await;
    assert_eq!(said(&mut socket).await["type"], "connection_ack");
    let subscription = "subscription { notificationCreated { sequence title message } }";
    for (id, query) in [("1", subscription), ("2", "{ getUnreadCount }")] {
        let payload = json!({ "query": query });
        send(&mut socket, &json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }
    // The subscription has begun when the question after it is answered
    while said(&mut socket).await != json!({ "id": "2", "type": "complete" }) {}
    socket
}

async fn send(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

async fn said(socket: &mut Socket) -> Value {
    let message = tokio::time::timeout(SOON, socket.next()).await.expect("something is said");
    serde_json::from_str(message.unwrap().unwrap().to_text().unwrap()).unwrap()
}

/// Subscribers of one group: more than are told of.
const SOCKETS: usize = 12;
/// What the test writes, none of which may be told.
const WRITTEN: [&str; 8] = [
    "Quokka likes the blue one",
    "Zebrafinch wants a call",
    "wombat@example.org",
    "Wombatsson",
    "+99 123 456 789",
    "Nowhereville",
    "platypus-password-9",
    "numbat-wrong-password",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_told_is_about_people() {
    let collector = Collector::start().await;
    let mut variables = telling(&collector);
    let ours = ["leadgraph", "subgraph", "events", "leadview", "llm"].into_iter().chain(SERVICES);
    let filter = ours.map(|name| format!("{name}=debug")).collect::<Vec<_>>().join(",");
    variables.extend([("RUST_LOG", format!("info,{filter}")), ("LOG_FORMAT", "json".to_owned())]);
    variables.push(("APOLLO_ROUTER_LOG", "info".to_owned()));
    let said = json!({ "summary": WRITTEN[0], "tasks": [{ "title": WRITTEN[1], "priority": WRITTEN[7] }] });
    let provider = Provider::always(Reply::answer(&said)).await;
    variables.push(("LLM_BASE_URL", provider.url()));
    let supergraph = Supergraph::postgres_with(&variables).await;
    let token = work_through(&supergraph).await;
    supergraph.settled().await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let secret = secrets(&token);
    let logs: BTreeMap<_, _> = supergraph.logs().collect();
    for (name, log) in &logs {
        for line in log.lines().filter(|line| !line.is_empty()) {
            let _: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{name} logs {line}"));
        }
        assert_eq!(told(log, &secret), Vec::<String>::new(), "in the log of {name}");
    }
    assert_eq!(told(&collector.text(), &secret), Vec::<String>::new(), "in what was sent");
    let spans = collector.spans();
    assert_told(&spans);
    assert_traced(&logs["leads"], &spans);
    assert_traced(&logs["notifications"], &spans);
}

/// Spans of every kind were sent: a job in the trace in which it was asked for, messages over sockets each in its own, and
/// of the frames of one event the first ten.
fn assert_told(spans: &[Span]) {
    for name in [
        "graphql.request",
        "db.query",
        "event.publish",
        "event.apply",
        "service.call",
        "job.run",
        "llm.request",
        "live.frame",
    ] {
        assert!(spans.iter().any(|span| span.name == name), "no {name} was sent");
    }
    let job = spans.iter().find(|span| span.name == "job.run").unwrap();
    let asked = spans.iter().find(|span| job.parent.as_ref() == Some(&span.id)).unwrap();
    assert_eq!(asked.attribute("leadgraph.field"), "recalculateAllScores");
    let over_socket = |span: &&Span| span.attribute("leadgraph.field") == "getUnreadCount";
    assert!(spans.iter().filter(over_socket).all(|span| span.parent.is_none()), "sockets have no headers");
    assert_eq!(spans.iter().filter(over_socket).count(), SOCKETS);
    let to_all = spans.iter().filter(|span| span.attribute("leadgraph.subscribers") == SOCKETS.to_string());
    let frames = to_all.map(|span| spans.iter().filter(|it| it.parent.as_ref() == Some(&span.id)).count());
    assert!(frames.clone().count() >= 15 && frames.max() == Some(10), "ten of them are told of");
}

/// Some lines say to which trace they belong, and that is one that was sent.
fn assert_traced(log: &str, spans: &[Span]) {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let traced: Vec<_> = lines.filter(|line| line["trace_id"].is_string()).collect();
    assert!(traced.len() > 10, "{} lines have a trace", traced.len());
    for line in traced {
        let known = spans.iter().any(|it| line["trace_id"] == *it.trace && line["span_id"] == *it.id);
        assert!(known, "{line} is of an unknown trace");
    }
}

/// What of all this is told, with what stands around it.
fn told(text: &str, secrets: &BTreeSet<String>) -> Vec<String> {
    let around = |secret: &String| {
        let at = text.find(secret.as_str())?;
        let from = text.floor_char_boundary(at.saturating_sub(200));
        let to = text.ceil_char_boundary((at + 200).min(text.len()));
        Some(format!("{secret}: {}", &text[from..to]))
    };
    secrets.iter().filter_map(around).collect()
}

/// E-mail addresses, telephone numbers and last names of all demo leads, the notes of the demo data, what the test
/// writes, and the token.
fn secrets(token: &str) -> BTreeSet<String> {
    let leads = LEADS.lines().skip(1).flat_map(|line| line.split(',').skip(1).take(3));
    // As a word of its own: Kim and Berg stand in other words
    let leads = leads.filter(|field| field.len() > 4);
    let notes = NOTES.lines().filter_map(|line| line.strip_prefix("    \"")?.strip_suffix("\","));
    let notes: Vec<_> = notes.collect();
    assert!(notes.len() == 10, "{notes:?}");
    let all = leads.chain(notes).chain(WRITTEN).chain([token, token.rsplit('.').next().unwrap()]);
    all.map(str::to_owned).collect()
}

/// Reads and changes every demo lead, and makes mistakes, as somebody whose token this gives.
async fn work_through(supergraph: &Supergraph) -> String {
    let admin = supergraph.admin().await;
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let user = json!({ "email": "wombat@example.org", "name": "Wombatsson", "role": "MANAGER",
        "password": "platypus-password-9" });
    supergraph.data(&admin, create, json!({ "input": user })).await;
    let login = "mutation($input: LoginInput!) { login(input: $input) { token } }";
    let wrong = json!({ "email": "wombat@example.org", "password": "numbat-wrong-password" });
    let refused = supergraph.graphql(None, login, json!({ "input": wrong })).await;
    assert!(refused["errors"].is_array(), "{refused:#}");
    let token = supergraph.login("wombat@example.org", "platypus-password-9").await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(subscribed(supergraph, &token).await);
    }
    for lead in 1..=15 {
        work_on(supergraph, &token, lead).await;
    }
    for socket in &mut sockets {
        assert_eq!(said(socket).await["type"], "next");
    }
    supergraph.data(&admin, "mutation { recalculateAllScores { __typename } }", json!({})).await;
    ask_by_address(supergraph, &token).await;
    make_mistakes(supergraph, &token).await;
    token
}

/// As browsers may: the document and its variables stand in the address.
async fn ask_by_address(supergraph: &Supergraph, token: &str) {
    let mut address = reqwest::Url::parse(&supergraph.url("router")).unwrap();
    let search = "query($text: String!) { leads(filter: { search: $text }) { id } me { email } }";
    let variables = json!({ "text": WRITTEN[5] }).to_string();
    address.query_pairs_mut().append_pair("query", search).append_pair("variables", &variables);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.get(address).bearer_auth(token);
    let answer = request.header("content-type", "application/json").send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["data"]["me"]["email"], WRITTEN[2], "{answer:#}");
}

async fn work_on(supergraph: &Supergraph, token: &str, lead: i32) {
    let input =
        json!({ "leadId": lead, "type": "EMAIL", "date": "2026-01-15T10:00:00Z", "notes": WRITTEN[0] });
    supergraph.data(token, CREATE, json!({ "input": input })).await;
    let task = "mutation($input: CreateTaskInput!) { createTask(input: $input) { id } }";
    supergraph.data(token, task, json!({ "input": { "leadId": lead, "title": WRITTEN[1] } })).await;
    let change = "mutation($input: UpdateLeadInput!) { updateLead(updateLeadInput: $input) { id } }";
    let changed = json!({ "id": lead, "phone": WRITTEN[4], "location": WRITTEN[5] });
    supergraph.data(token, change, json!({ "input": changed })).await;
    let assign = "mutation($id: Int!) { assignLead(id: $id, ownerId: 1) { id } }";
    supergraph.data(token, assign, json!({ "id": lead })).await;
    let all = "query($id: Int!, $text: String!) {
        lead(id: $id) { firstName lastName email phone location interactions { notes } tasks { title } summary }
        leads(filter: { search: $text }) { id }
        getNotifications(limit: 5) { title message relatedLead { email } }
    }";
    let text = LEADS.lines().nth(usize::try_from(lead).unwrap()).unwrap().split(',').nth(1).unwrap();
    supergraph.data(token, all, json!({ "id": lead, "text": text })).await;
    if lead <= 3 {
        let ask = "mutation($id: Int!) {
            generateSummary(leadId: $id) { summary }
            generateTaskRecommendations(leadId: $id) { title }
        }";
        supergraph.data(token, ask, json!({ "id": lead })).await;
    }
}

/// What is refused, by each of the ways in which something is.
async fn make_mistakes(supergraph: &Supergraph, token: &str) {
    let create = "mutation($input: CreateLeadInput!) { createLead(input: $input) { id } }";
    let same = json!({ "firstName": "A", "lastName": "Wombatsson", "email": "alice.nguyen@example.com" });
    let notes =
        json!({ "leadId": "Quokka likes the blue one", "type": "CALL", "date": "2026-01-15T10:00:00Z" });
    for (query, variables) in [
        (create, json!({ "input": same })),
        (
            create,
            json!({ "input": { "firstName": "A", "lastName": "B", "email": "Zebrafinch wants a call" } }),
        ),
        (CREATE, json!({ "input": notes })),
        ("{ lead(id: \"wombat@example.org\") { id } }", json!({})),
        ("{ leads(filter: { search: \"Nowhereville\" }, limit: -1) { id } }", json!({})),
        ("query Wombatsson_ { nothing(x: \"Wombatsson\") }", json!({})),
        ("{ leads(filter: { search: \"Wombatsson", json!({})),
    ] {
        for target in ["router", "leads", "interactions"] {
            let answer = supergraph.direct(target, Some(token), query, variables.clone()).await;
            assert!(answer["errors"].is_array(), "{target}: {query}: {answer:#}");
        }
    }
    for target in SERVICES {
        let request =
            supergraph.request(Method::POST, target, Some(token)).header("content-type", "application/json");
        supergraph.send(request.body("{\"query\": \"{ Quokka likes the blue one\"")).await;
        supergraph
            .direct(target, Some("Wombatsson.Wombatsson.Wombatsson"), "{ __typename }", json!({}))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_who_asks_goes_on_where_nothing_is_sent() {
    let variables = [("LOG_FORMAT", "json".to_owned()), ("RUST_LOG", "leadgraph::request=debug".to_owned())];
    let supergraph = Supergraph::sqlite_with(&variables).await;
    let admin = supergraph.admin().await;
    for (target, trace) in
        [("router", "4bf92f3577b34da6a3ce929d0e0e4736"), ("leads", "0af7651916cd43dd8448eb211c80319c")]
    {
        let query = format!(
            "mutation {{ createLead(input: {{ firstName: \"A\", lastName: \"B\",
            email: \"{target}@example.org\" }}) {{ id }} }}"
        );
        let request = supergraph.request(Method::POST, target, Some(&admin)).json(&json!({ "query": query }));
        let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
        let answer = supergraph.send(request.header("tracestate", "vendor=x")).await;
        assert!(answer.body.get("errors").is_none(), "{answer:?}");
        let newest = "SELECT envelope FROM outbox ORDER BY position DESC LIMIT 1";
        let row = supergraph.rows("leads", newest).await.remove(0);
        let event: Value = serde_json::from_str(row["envelope"].as_str().unwrap()).unwrap();
        assert!(event["traceparent"].as_str().is_some_and(|it| it.contains(trace)), "{event:#}");
        assert_eq!(event["tracestate"], "vendor=x");
    }
    let (_, log) = supergraph.logs().find(|(name, _)| *name == "leads").unwrap();
    assert!(
        log.contains(r#""trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"00f067aa0ba902b7""#),
        "{log}"
    );
}
