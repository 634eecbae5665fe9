//! The checker of invariants finds what is wrong: each invariant is broken on purpose, in copies of databases
//! with which nothing is.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use testkit::invariants::{self, Allowed};
use testkit::stack::{Client, Databases};
use testkit::supergraph::SERVICES;
use testkit::{Load, Stack};
use tokio::time::sleep;

/// One thing that is wrong: where, by which statement, and what the checker says of it. `{new}` is a new UUID,
/// `{lead}` the lead that everything happened to, `{gone}` the one that was removed.
const BREAKS: [(&str, &str, &str); 32] = [
    ("leads", "DELETE FROM outbox WHERE kind = 'lead.updated'", "lead.updated of {lead}"),
    ("accounts", "DELETE FROM outbox WHERE kind = 'session.revoked'", "session.revoked of "),
    ("notifications", "DELETE FROM outbox WHERE kind = 'notification.updated'", "notification.read of "),
    ("leads", "DELETE FROM audit_log WHERE action = 'lead.updated'", "has no change"),
    (
        "tasks",
        "UPDATE audit_log SET action = 'task.removed' WHERE action = 'task.created'",
        "tells of task.removed",
    ),
    (
        "interactions",
        "INSERT INTO outbox (id, kind, envelope, created_at, published_at)
         SELECT {new}, kind, envelope, created_at, published_at FROM outbox WHERE position = 1",
        "is not the interaction.created of interactions that it says",
    ),
    (
        "leads",
        r#"UPDATE outbox SET position = position + 1000000
           WHERE kind = 'lead.created' AND envelope LIKE '%"subject":"lead/{lead}"%'"#,
        "lead/{lead} has version 1 after 2",
    ),
    ("tasks", "DELETE FROM inbox WHERE kind = 'lead.updated'", "tasks has not applied lead.updated"),
    ("leads", "DELETE FROM inbox WHERE kind = 'session.revoked'", "leads has not applied session.revoked"),
    (
        "scoring",
        "INSERT INTO inbox SELECT {new}, kind, applied_at FROM inbox WHERE kind = 'lead.removed'",
        "which nobody published",
    ),
    ("notifications", "{forget}", "nobody was told of"),
    (
        "notifications",
        "INSERT INTO audit_log SELECT {new}, at, actor, request_id, action, entity_id, details
         FROM audit_log WHERE action = 'notification.created'",
        "2 notifications tell of",
    ),
    (
        "notifications",
        "UPDATE notification SET message = 'Jane Roe added to pipeline'
         WHERE related_lead_id = {lead} AND type = 'LEAD_CREATED'",
        "should say",
    ),
    (
        "notifications",
        "UPDATE counter SET value = value + 1 WHERE name = 'notification.sequence'",
        "and counted",
    ),
    ("notifications", "DELETE FROM notification WHERE related_lead_id = {lead}", "is stored as None"),
    (
        "interactions",
        "UPDATE lead_view SET last_name = 'Other' WHERE id = {lead}",
        "sees another lead {lead}",
    ),
    ("tasks", "DELETE FROM lead_view WHERE id = {lead}", "tasks does not know the lead {lead}"),
    ("scoring", "DELETE FROM lead_view WHERE id = {gone}", "scoring has no tombstone of the lead {gone}"),
    (
        "notifications",
        "UPDATE lead_view SET owner_id = 1 WHERE id = {gone}",
        "who the removed lead {gone} was",
    ),
    ("interactions", "UPDATE lead_view SET id = 999999 WHERE id = {gone}", "a lead 999999 that never was"),
    (
        "interactions",
        "UPDATE interaction SET lead_id = 999999 WHERE lead_id = {lead}",
        "belongs to the lead 999999",
    ),
    ("tasks", "UPDATE task SET lead_id = 999999 WHERE lead_id = {lead}", "belongs to the lead 999999"),
    (
        "scoring",
        "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at)
         VALUES (999999, 1, '2026-01-15T10:00:00.000000+00:00')",
        "lead_score 999999 belongs to the lead 999999",
    ),
    (
        "scoring",
        "UPDATE lead_score SET decayed_sum = decayed_sum + 1 WHERE lead_id = {lead}",
        "the score of the lead {lead} is made of",
    ),
    ("scoring", "UPDATE lead_score SET fit = fit + 1 WHERE lead_id = {lead}", "says fit"),
    ("scoring", "DELETE FROM lead_score WHERE lead_id = {lead}", "the lead {lead} has interactions and no score"),
    (
        "tasks",
        "UPDATE interaction_view SET version = 99 WHERE lead_id = {lead}",
        "tasks knows the interaction",
    ),
    (
        "notifications",
        "UPDATE notification SET related_lead_id = 999999 WHERE related_lead_id = {lead} AND type = 'LEAD_CREATED'",
        "belongs to the lead 999999",
    ),
    ("tasks", "DELETE FROM revoked_session", "tasks does not know that the session"),
    ("accounts", "UPDATE revoked_session SET session = 'another'", "ended; accounts does not"),
    (
        "scoring",
        "INSERT INTO parked_event (event_id, kind, subject, envelope, reason, attempts, parked_at)
         SELECT {new}, 'lead.created', 'lead/1', '{}', 'nobody knows why', 5, '2026-01-15T10:00:00.000000+00:00'",
        "scoring has parked lead.created",
    ),
    (
        "accounts",
        "UPDATE outbox SET published_at = NULL, created_at = '2026-01-15T10:00:00.000000+00:00'
         WHERE kind = 'user.created'",
        "/accounts has not published user.created",
    ),
];
/// Takes one notification away with everything that tells of it.
const FORGET: [&str; 3] = [
    "DELETE FROM outbox WHERE id IN (SELECT id FROM audit_log WHERE action = 'notification.created')",
    "DELETE FROM audit_log WHERE action = 'notification.created'",
    "DELETE FROM notification",
];

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut stack = Stack::embedded_in(folder.path()).await;
    let happened = prepare(&mut stack).await;
    check_breaks(&happened, |name| async {
        let copy = copies.path().join(name);
        copy_files(folder.path(), &copy);
        Databases::sqlite(&copy)
    })
    .await;

    let copy = copies.path().join("damaged");
    copy_files(folder.path(), &copy);
    let file = Database::connect(format!("sqlite://{}", copy.join("leads.sqlite").display())).await.unwrap();
    // What no program of ours can write
    let damage = "PRAGMA ignore_check_constraints = ON; UPDATE lead SET status = 'LOST?' WHERE id = 1";
    file.execute_unprepared(damage).await.unwrap();
    found(&Databases::sqlite(&copy), "the file of leads is damaged").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let mut stack = Stack::networked().await;
    let happened = prepare(&mut stack).await;
    let url = stack.postgres().url();
    let databases = Databases::postgres(&url);
    keep(&databases).await;
    check_breaks(&happened, |_| async {
        restore(&databases).await;
        databases.clone()
    })
    .await;

    restore(&databases).await;
    invariants::check(&databases, &Allowed::default()).await.unwrap();
    let forgotten = connection(&url).await;
    forgotten.execute_unprepared("BEGIN; SELECT count(*) FROM leads.lead").await.unwrap();
    sleep(Duration::from_millis(1_200)).await;
    found(&databases, "a transaction is idle").await;
    forgotten.execute_unprepared("ROLLBACK; SELECT pg_advisory_lock(7)").await.unwrap();
    found(&databases, "an advisory lock is left").await;
}

/// Copies of the tables that are broken.
async fn keep(databases: &Databases) {
    for (service, table) in tables() {
        databases.execute(service, &format!("CREATE TABLE kept_{table} AS TABLE {table}")).await;
    }
}

/// The tables as they were.
async fn restore(databases: &Databases) {
    for (service, table) in tables() {
        let sql = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}");
        databases.execute(service, &sql).await;
    }
}

fn tables() -> impl Iterator<Item = (&'static str, &'static str)> {
    let common = ["outbox", "audit_log", "inbox", "parked_event", "revoked_session", "counter"];
    let common = SERVICES.into_iter().flat_map(move |service| common.map(|table| (service, table)));
    let views = ["interactions", "tasks", "scoring", "notifications"].map(|service| (service, "lead_view"));
    let own = [
        ("interactions", "interaction"),
        ("tasks", "task"),
        ("tasks", "interaction_view"),
        ("scoring", "lead_score"),
        ("notifications", "notification"),
    ];
    common.chain(views).chain(own)
}

/// What the breaks speak of.
struct Happened {
    backend: sea_orm::DbBackend,
    lead: i64,
    gone: i64,
}

/// One of everything, and some more; then nobody runs any more.
async fn prepare(stack: &mut Stack) -> Happened {
    let client = stack.client().clone();
    let load = Load::start(&client, 7, 2);
    load.more(40).await;
    // Before: it might delete what the breaks speak of
    let ledger = load.finish().await;
    let (kept, gone) = (created(&client, "lead").await, created(&client, "gone").await);
    let update = "mutation($id: Int!) { updateLead(updateLeadInput: {id: $id, status: WON}) { id } }";
    client.data("leads", update, json!({ "id": kept })).await;
    let note = r#"mutation($id: Int!) { createInteraction(createInteractionInput:
        {type: CALL, date: "2026-01-15T10:00:00Z", notes: "Called", leadId: $id}) { id } }"#;
    client.data("interactions", note, json!({ "id": kept })).await;
    let task = r#"mutation($id: Int!) { createTask(input: {title: "Call", leadId: $id}) { id } }"#;
    let task = client.data("tasks", task, json!({ "id": kept })).await;
    let complete = "mutation($id: Int!) { completeTask(id: $id) { id } }";
    client.data("tasks", complete, json!({ "id": number(&task["createTask"]["id"]) })).await;
    client.data("leads", "mutation($id: Int!) { removeLead(id: $id) }", json!({ "id": gone })).await;
    let session = client.login().await.unwrap();
    client.ask_as(Some(&session), "accounts", "mutation { logout }", json!({})).await.unwrap();
    stack.settle(Duration::from_mins(1)).await.unwrap();
    client.data("notifications", "mutation { markAllAsRead }", json!({})).await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
    for service in SERVICES {
        assert!(stack.terminate(service).await.success());
    }
    stack.databases().close().await;
    Happened { backend: stack.backend(), lead: kept, gone }
}

async fn created(client: &Client, name: &str) -> i64 {
    let create = "mutation($input: CreateLeadInput!) { createLead(input: $input) { id } }";
    let input = json!({ "firstName": name, "lastName": "Doe", "email": format!("{name}@example.com") });
    number(&client.data("leads", create, json!({ "input": input })).await["createLead"]["id"])
}

fn number(id: &Value) -> i64 {
    id.as_i64().or_else(|| id.as_str()?.parse().ok()).unwrap()
}

/// Breaks each invariant in a copy of its own.
async fn check_breaks<F: Future<Output = Databases>>(happened: &Happened, copy: impl Fn(String) -> F) {
    for (number, (service, sql, words)) in BREAKS.into_iter().enumerate() {
        let databases = copy(format!("copy_{number}")).await;
        if number == 0 {
            invariants::check(&databases, &Allowed::default()).await.unwrap();
        }
        let statements = if sql == "{forget}" { FORGET.to_vec() } else { vec![sql] };
        for sql in statements {
            assert!(databases.execute(service, &happened.fill(sql)).await > 0, "{sql} breaks nothing");
        }
        found(&databases, &happened.fill(words)).await;
    }
}

impl Happened {
    fn fill(&self, text: &str) -> String {
        let new = match self.backend {
            sea_orm::DbBackend::Sqlite => "randomblob(16)",
            _ => "gen_random_uuid()",
        };
        let text = text.replace("{new}", new).replace("{lead}", &self.lead.to_string());
        text.replace("{gone}", &self.gone.to_string())
    }
}

/// The checker says these words.
async fn found(databases: &Databases, words: &str) {
    let broken = invariants::check(databases, &Allowed::default()).await.expect_err(words);
    assert!(broken.iter().any(|said| said.contains(words)), "{words:?} is not in:\n{}", broken.join("\n"));
}

async fn connection(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten().filter(|it| it.path().is_file()) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
