//! `leadgraph rebuild` beside the real services: what was lost comes back, and what is gone goes.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

#[expect(dead_code, reason = "each test of the command line uses some of it")]
mod stand;

use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::{Value, json};
use stand::{Stand, rows, until};
use testkit::TestDatabase;

/// The view without tombstones.
const VIEW: &str = "SELECT id, version, first_name, last_name, status, location, owner_id FROM lead_view \
                    WHERE removed_at IS NULL ORDER BY id";
const OWNED: &str =
    "SELECT id, version, first_name, last_name, status, location, owner_id FROM lead ORDER BY id";

async fn execute(db: &DatabaseConnection, statements: &[&str]) {
    for sql in statements {
        db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

async fn count(db: &DatabaseConnection, from: &str) -> i64 {
    let sql = format!("SELECT CAST(COUNT(*) AS bigint) AS n FROM {from}");
    let statement = sea_orm::Statement::from_string(db.get_database_backend(), &sql);
    let row = db.query_one_raw(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    row.unwrap().try_get_by_index(0).unwrap()
}

/// Takes from interactions what it knows of others, as if it had never been told, and gives it what nobody has.
async fn damage(db: &DatabaseConnection) {
    let ghost = "INSERT INTO lead_view (id, version, first_name, last_name, has_phone) VALUES (999, 4, 'A', 'B', false)";
    let tombstone = "UPDATE lead_view SET removed_at = updated_at, first_name = NULL, last_name = NULL, status = NULL, \
                     has_phone = false, location = NULL, owner_id = NULL, budget_cents = NULL WHERE id = 5";
    execute(
        db,
        &[
            "DELETE FROM lead_view WHERE id IN (1, 2)",
            "UPDATE lead_view SET version = 0, first_name = 'Old' WHERE id = 3",
            tombstone,
            ghost,
            "UPDATE interaction SET lead_id = 999 WHERE lead_id = 7",
            "DELETE FROM revoked_session",
        ],
    )
    .await;
}

async fn a_view_comes_back(database: Option<TestDatabase>) {
    let mut stand = Stand::start(&["accounts", "leads", "interactions"], database, &[]).await;
    let (token, ended) = (stand.admin().await, stand.admin().await);
    stand.data("accounts", &ended, "mutation { logout }").await;
    let (db, leads) = (stand.database("interactions").await, stand.database("leads").await);
    let known = async || (count(&db, "lead_view").await, count(&db, "revoked_session").await);
    until("told", async || known().await == (15, 1)).await;
    damage(&db).await;
    assert_ne!(count(&db, "interaction WHERE lead_id = 999").await, 0);
    let said = stand.says(&["rebuild", "interactions"]);
    let sessions = "interactions: session.revoked from accounts: 1 rows, 1 were missing or old, 0 are gone";
    let of_leads = "interactions: lead.updated from leads: 15 rows, 3 were missing or old, 1 are gone";
    assert_eq!(said.lines().collect::<Vec<_>>(), [sessions, of_leads]);
    let mut owned = rows(&leads, OWNED).await;
    // It was removed as far as interactions knows: that is for good
    owned.retain(|lead| lead["id"] != 5);
    assert_eq!(rows(&db, VIEW).await, owned);
    assert_eq!(count(&db, "lead_view WHERE id = 999 AND version = 5 AND removed_at IS NOT NULL").await, 1);
    // What belonged to it went with it
    assert_eq!(count(&db, "interaction WHERE lead_id = 999").await, 0);
    let audit = "SELECT actor, request_id FROM audit_log WHERE action = 'interaction.removed_with_lead'";
    let by: Value = json!({ "actor": "system", "request_id": "rebuild" });
    assert_eq!(rows(&db, audit).await, [by]);
    assert!(stand.says(&["rebuild", "interactions"]).contains("15 rows, 0 were missing or old, 0 are gone"));
    // The service runs on, and hears what happens next
    let lead = stand.create_lead(&token, "Later").await;
    until("told", async || count(&db, &format!("lead_view WHERE id = {lead}")).await == 1).await;
    stand.kill("leads");
    let output = stand.leadgraph(&["rebuild", "interactions"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.starts_with("leadgraph: cannot rebuild interactions: leads does not answer at http://"),
        "{said}"
    );
    assert!(said.contains("start it first"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_comes_back_on_sqlite() {
    a_view_comes_back(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_comes_back_on_postgres() {
    a_view_comes_back(Some(TestDatabase::postgres())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_means_those_that_are_there() {
    let stand = Stand::start(&["accounts", "leads"], None, &[]).await;
    let said = stand.says(&["rebuild", "--all"]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 6, "{said}");
    assert_eq!(lines[0], "accounts: knows nothing of others");
    assert!(lines[1].starts_with("leads: session.revoked from accounts: 0 rows"), "{said}");
    assert!(lines[2..].iter().all(|line| line.ends_with(": no database yet")), "{said}");
    // Where there is none at all, the folder is likely another one
    for alone in ["tasks", "--all"] {
        let nowhere = tempfile::tempdir().unwrap();
        let folder = nowhere.path().display().to_string();
        let output = stand.leadgraph(&["rebuild", alone, "--data-dir", &folder]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("nothing was rebuilt"), "{alone}: {said}");
        assert_eq!(std::fs::read_dir(nowhere.path()).unwrap().count(), 0, "{alone}");
    }
    assert!(!stand.leadgraph(&["rebuild"]).status.success());
    assert!(!stand.leadgraph(&["rebuild", "leads", "--all"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_a_revoked_session() {
    let stand = Stand::start(&["accounts", "leads"], None, &[]).await;
    let token = stand.admin().await;
    let create = "mutation { createApiKey(input: { name: \"import\", role: MANAGER }) { apiKey { id } } }";
    let created = stand.data("accounts", &token, create).await;
    let id = created["createApiKey"]["apiKey"]["id"].as_str().unwrap();
    stand.data("accounts", &token, &format!("mutation {{ revokeApiKey(id: {id}) }}")).await;
    let db = stand.database("leads").await;
    let told = "SELECT session, expires_at FROM revoked_session";
    until("told", async || rows(&db, told).await.len() == 1).await;
    let before = rows(&db, told).await;
    execute(&db, &["DELETE FROM revoked_session"]).await;
    stand.says(&["rebuild", "leads"]);
    assert_eq!(rows(&db, told).await, before);
}
