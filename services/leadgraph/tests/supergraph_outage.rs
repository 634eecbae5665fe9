//! Services that are gone: the others go on, and nobody has to be restarted when they are back.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Supergraph;
use testkit::supergraph::{SERVICES, code};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

testkit::on_both_databases!(
    a_dead_service_costs_its_own_fields_only,
    work_on_leads_that_are_known_goes_on_without_leads,
    a_service_that_starts_without_accounts_verifies_tokens,
    work_that_needs_a_dead_service_is_refused_and_changes_nothing,
    half_an_answer_is_none_and_a_refusal_is_one,
);

const PAGE: &str = "{ leads(limit: 3) {
    id email status owner { email } interactions(limit: 2) { id notes } tasks { title } activityScore
} }";
/// Root fields of one service each, none of which needs another one. Scoring has none that is built yet.
const ROOTS: [(&str, &str); 5] = [
    ("accounts", "{ users { email } }"),
    ("leads", "{ leads(limit: 1) { email } }"),
    ("interactions", "{ interactions(limit: 1) { notes } }"),
    ("tasks", "{ tasks { title } }"),
    ("notifications", "{ getUnreadCount }"),
];
/// The service of each field of [`PAGE`] that is not the leads service's own.
const FIELDS: [(&str, &str); 4] = [
    ("accounts", "owner"),
    ("interactions", "interactions"),
    ("tasks", "tasks"),
    ("scoring", "activityScore"),
];
/// A service that came back is used again within this time.
const HEALED_WITHIN: Duration = Duration::from_secs(10);

async fn a_dead_service_costs_its_own_fields_only(mut supergraph: Supergraph) {
    let admin = prepared(&supergraph).await;
    let whole = supergraph.data(&admin, PAGE, json!({})).await;
    for lead in whole["leads"].as_array().unwrap() {
        assert!(FIELDS.iter().all(|(_, field)| !lead[field].is_null()), "{lead:#}");
    }
    for dead in SERVICES {
        supergraph.kill(dead);
        let page = supergraph.graphql(Some(&admin), PAGE, json!({})).await;
        assert_eq!(page["data"], without(&whole, dead), "{dead} is dead: {page:#}");
        let errors = page["errors"].as_array().cloned().unwrap_or_default();
        assert_eq!(errors.is_empty(), dead == "notifications", "{dead} is dead: {page:#}");
        for error in errors {
            assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{error:#}");
            assert_eq!(error["extensions"]["service"], dead, "{error:#}");
            assert_eq!(error["message"], format!("The {dead} service does not answer; try again"));
            let path = error["path"].as_array().unwrap();
            assert!(
                dead == "leads" || path.len() >= 2 && path[0] == "leads" && path[1].is_u64(),
                "{error:#}"
            );
        }
        roots_answer_but_one(&supergraph, &admin, dead).await;
        supergraph.restart(dead).await;
        heals(&supergraph, &admin, &whole).await;
    }
}

async fn a_service_that_starts_without_accounts_verifies_tokens(mut supergraph: Supergraph) {
    let admin = prepared(&supergraph).await;
    let whole = supergraph.data(&admin, PAGE, json!({})).await;
    supergraph.kill("accounts");
    for service in ["leads", "interactions", "tasks", "scoring"] {
        supergraph.restart(service).await;
    }
    let deadline = Instant::now() + HEALED_WITHIN;
    loop {
        let page = supergraph.graphql(Some(&admin), PAGE, json!({})).await;
        if page["data"] == without(&whole, "accounts") {
            break;
        }
        assert!(Instant::now() < deadline, "{page:#}");
        sleep(Duration::from_millis(50)).await;
    }
    // Nor does a bad token become a good one
    let (start, end) = admin.split_at(admin.len() - 10);
    let forged = format!("{start}{}{}", if end.starts_with('A') { 'B' } else { 'A' }, &end[1..]);
    let refused = supergraph.graphql(Some(&forged), "{ tasks { title } }", json!({})).await;
    assert_eq!(code(&refused), Some("UNAUTHENTICATED"), "{refused:#}");
}

async fn work_on_leads_that_are_known_goes_on_without_leads(mut supergraph: Supergraph) {
    let admin = prepared(&supergraph).await;
    supergraph.settled().await;
    supergraph.kill("leads");
    for query in [
        r#"mutation { createTask(input: {title: "Call", leadId: 1}) { id } }"#,
        r#"mutation { createInteraction(createInteractionInput:
            {type: CALL, date: "2026-01-15T12:00:00Z", leadId: 1}) { id } }"#,
    ] {
        supergraph.data(&admin, query, json!({})).await;
    }
    supergraph.restart("leads").await;
    let page = supergraph
        .data(&admin, "{ lead(id: 1) { tasks { title } interactions { notes } } }", json!({}))
        .await;
    assert_eq!(page["lead"]["tasks"], json!([{ "title": "Call" }]));
}

async fn work_that_needs_a_dead_service_is_refused_and_changes_nothing(mut supergraph: Supergraph) {
    let admin = prepared(&supergraph).await;
    let before = supergraph.row_counts().await;
    for (dead, query) in [
        ("leads", r#"mutation { createTask(input: {title: "Call", leadId: 999999}) { id } }"#),
        (
            "leads",
            r#"mutation { createInteraction(createInteractionInput:
                {type: CALL, date: "2026-01-15T12:00:00Z", leadId: 999999}) { id } }"#,
        ),
        ("accounts", r#"mutation { assignLead(id: 2, ownerId: "2") { id } }"#),
    ] {
        supergraph.kill(dead);
        let refused = supergraph.graphql(Some(&admin), query, json!({})).await;
        assert_eq!(code(&refused), Some("UNAVAILABLE"), "{refused:#}");
        assert_eq!(refused["errors"][0]["message"], format!("The {dead} service does not answer; try again"));
        supergraph.restart(dead).await;
    }
    assert_eq!(supergraph.row_counts().await, before);
}

/// What a proxy, a broken service and a strict one say in the place of tasks.
async fn half_an_answer_is_none_and_a_refusal_is_one(mut supergraph: Supergraph) {
    let admin = prepared(&supergraph).await;
    let page = "{ leads(limit: 1) { email tasks { title } } }";
    supergraph.kill("tasks");
    let refusal = r#"{"errors": [{"message": "too large", "extensions": {"code": "BAD_USER_INPUT"}}]}"#;
    for (said, expected) in [
        (http("503 Service Unavailable", "text/html", "<p>no upstream"), vec!["UNAVAILABLE"]),
        (
            http("200 OK", "application/json", "{\"data\": ").replace("length: ", "length: 9"),
            vec!["UNAVAILABLE"],
        ),
        (String::new(), vec!["UNAVAILABLE"]),
        (
            http("413 Payload Too Large", "application/json", refusal),
            vec!["BAD_USER_INPUT", "SUBREQUEST_HTTP_ERROR"],
        ),
    ] {
        let stand_in = stand_in(supergraph.port("tasks"), said.clone()).await;
        let answer = supergraph.graphql(Some(&admin), page, json!({})).await;
        stand_in.abort();
        // Its port is free when it is over
        assert!(stand_in.await.unwrap_err().is_cancelled());
        assert!(answer["data"]["leads"][0]["email"].is_string(), "{said}: {answer:#}");
        assert!(answer["data"]["leads"][0]["tasks"].is_null(), "{said}: {answer:#}");
        let errors = answer["errors"].as_array().unwrap();
        let codes: BTreeSet<_> =
            errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap()).collect();
        assert!(codes.into_iter().eq(expected), "{said}: {answer:#}");
        assert!(errors.iter().all(|error| error["extensions"]["service"] == "tasks"), "{said}: {answer:#}");
    }
    supergraph.restart("tasks").await;
    supergraph.data(&admin, page, json!({})).await;
}

fn http(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// Answers everything on `port` with these bytes and hangs up.
async fn stand_in(port: u16, said: String) -> JoinHandle<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            // Without having read, hanging up would take the answer back
            let mut request = [0; 16_384];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(said.as_bytes()).await;
        }
    })
}

/// Three leads with an owner, interactions, a task and a score; the token of who may see them.
async fn prepared(supergraph: &Supergraph) -> String {
    let admin = supergraph.admin().await;
    for id in [15, 14, 13] {
        let assign = r#"mutation($id: Int!) { assignLead(id: $id, ownerId: "1") { id } }"#;
        supergraph.data(&admin, assign, json!({ "id": id })).await;
        let task = r#"mutation($id: Int!) { createTask(input: {title: "Call", leadId: $id}) { id } }"#;
        supergraph.data(&admin, task, json!({ "id": id })).await;
    }
    supergraph.settled().await;
    for id in [15, 14, 13] {
        // What follows from the demo data depends on the time
        let score = format!("UPDATE lead_score SET activity_score = {id} WHERE lead_id = {id}");
        supergraph.execute("scoring", &score).await;
    }
    // Each service has met the token, and with it the keys
    for query in ROOTS.map(|(_, root)| root).into_iter().chain([PAGE]) {
        supergraph.data(&admin, query, json!({})).await;
    }
    admin
}

/// What is left of the whole page when a service is gone.
fn without(whole: &Value, dead: &str) -> Value {
    if dead == "leads" {
        return Value::Null;
    }
    let mut page = whole.clone();
    for (_, field) in FIELDS.iter().filter(|(service, _)| *service == dead) {
        for lead in page["leads"].as_array_mut().unwrap() {
            lead[field] = Value::Null;
        }
    }
    page
}

async fn roots_answer_but_one(supergraph: &Supergraph, token: &str, dead: &str) {
    for (service, root) in ROOTS {
        let answer = supergraph.graphql(Some(token), root, json!({})).await;
        let expected = if service == dead { Some("UNAVAILABLE") } else { None };
        assert_eq!(code(&answer), expected, "{dead} is dead: {root}: {answer:#}");
    }
}

async fn heals(supergraph: &Supergraph, token: &str, whole: &Value) {
    let deadline = Instant::now() + HEALED_WITHIN;
    loop {
        let page = supergraph.graphql(Some(token), PAGE, json!({})).await;
        let unread = supergraph.graphql(Some(token), "{ getUnreadCount }", json!({})).await;
        if page["data"] == *whole && code(&page).is_none() && code(&unread).is_none() {
            return;
        }
        assert!(Instant::now() < deadline, "{page:#} {unread:#}");
        sleep(Duration::from_millis(50)).await;
    }
}
