//! A lead is removed while somebody adds an interaction with it: whoever is first, no interaction stays behind.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use events::{
    Bus, Envelope, LocalBus,
    contract::{Lead, LeadCreated, LeadRemoved},
    outbox,
};
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use subgraph::{Clock, Random, Role, Running};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys, binary, free_port, mint};
use tokio::time::{Instant, sleep};

/// A demo lead.
const LEAD: i32 = 1;
const CREATE: &str = r#"mutation { createInteraction(createInteractionInput:
    { type: CALL, date: "2026-01-15T11:30:00Z", leadId: 1 }) { leadId } }"#;

#[tokio::test]
async fn an_interaction_that_is_first_goes_with_the_lead() {
    for in_view in [true, false] {
        let race = Race::begin(in_view).await;
        let finish = race.hold_finish().await;
        let creation = tokio::spawn(race.create());
        race.until_waiting(1).await;
        race.remove_lead().await;
        race.until_waiting(2).await;
        finish.commit().await.unwrap();
        let answer = creation.await.unwrap();
        assert_eq!(answer, json!({ "data": { "createInteraction": { "leadId": LEAD } } }), "{in_view}");
        race.until_removed().await;
        assert_eq!(race.count("interaction").await, 0, "{in_view}");
        race.end().await;
    }
}

#[tokio::test]
async fn a_removal_that_is_first_lets_no_interaction_in() {
    for in_view in [true, false] {
        let race = Race::begin(in_view).await;
        // So that the removal has something to record, and waits
        let row =
            "INSERT INTO interaction (type, date, lead_id, created_at) VALUES ('CALL', now(), 1, now())";
        race.sql.execute_unprepared(row).await.unwrap();
        let finish = race.hold_finish().await;
        race.remove_lead().await;
        race.until_waiting(1).await;
        let creation = tokio::spawn(race.create());
        race.until_waiting(2).await;
        finish.commit().await.unwrap();
        let answer = creation.await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{in_view}: {answer}");
        race.until_removed().await;
        assert_eq!(race.count("interaction").await, 0, "{in_view}");
        race.end().await;
    }
}

/// The service on Postgres, with the leads service beside it.
struct Race {
    sql: DatabaseConnection,
    bus: Arc<LocalBus>,
    running: Running,
    _database: TestDatabase,
    _folder: TempDir,
    _leads: testkit::Service,
}

impl Race {
    async fn begin(in_view: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, port) = (TestDatabase::postgres(), free_port());
        let shared = ["--environment=development", "--service-key=the service key of the tests, long enough"];
        let flags = ["--demo=true".to_owned(), "--data-dir=data".into(), format!("--port={port}")];
        let flags = flags.into_iter().chain(shared.map(str::to_owned));
        let mut leads = testkit::Service::spawn(binary("leads"), flags, [("", ""); 0]);
        leads.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        TestKeys::shared().install(folder.path(), "interactions");
        let flags = [
            "--port=0".to_owned(),
            "--demo=false".into(),
            format!("--data-dir={}", folder.path().display()),
            format!("--database-url={}", database.url()),
            format!("--leads-url=http://127.0.0.1:{port}/graphql"),
            format!("--jwks-url=http://127.0.0.1:{}/", free_port()),
        ];
        let config = interactions::subgraph().config_from(flags.into_iter().chain(shared.map(str::to_owned)));
        let subgraph = interactions::subgraph();
        let running = subgraph.start_with(config.unwrap(), Clock::System, Random::System).await.unwrap();
        let url = format!("{}?options=-csearch_path%3Dinteractions,public", database.url());
        let sql = Database::connect(url).await.unwrap();
        let bus = LocalBus::open(&folder.path().join("events.sqlite")).await.unwrap();
        let race = Self { sql, bus, running, _database: database, _folder: folder, _leads: leads };
        if in_view {
            race.tell(LeadCreated { lead: Lead { id: LEAD, ..Lead::example() } }).await;
            race.until("SELECT count(*) FROM lead_view", 1).await;
        }
        race
    }

    /// Publishes what the leads service would.
    async fn tell<E: events::Event>(&self, event: E) {
        let at = Clock::System.now();
        let event = Envelope::new(&event, Random::System.uuid(at), at, "user:1".into(), None).unwrap();
        let envelope = serde_json::to_string(&event).unwrap();
        let (id, kind) = (event.id, event.kind);
        let row = outbox::Model {
            position: 0,
            id,
            kind,
            envelope,
            created_at: at,
            published_at: None,
            keep_until: None,
        };
        self.bus.append(&[row]).await.unwrap();
    }

    async fn remove_lead(&self) {
        self.tell(LeadRemoved { id: LEAD, version: 2 }).await;
    }

    /// Stops every change just before its end, until this is committed.
    async fn hold_finish(&self) -> DatabaseTransaction {
        let tx = self.sql.begin().await.unwrap();
        tx.execute_unprepared("LOCK TABLE audit_log IN EXCLUSIVE MODE").await.unwrap();
        tx
    }

    /// Adds an interaction, as a client does.
    fn create(&self) -> impl Future<Output = Value> + use<> {
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).no_proxy().build().unwrap();
        let request = client.post(format!("http://{}/graphql", self.running.addr));
        let request = request.bearer_auth(mint(Role::SalesRep, 3, Clock::System.now()));
        let request = request.json(&json!({ "query": CREATE }));
        async move { request.send().await.unwrap().json().await.unwrap() }
    }

    /// Until so many changes wait for a lock.
    async fn until_waiting(&self, many: i64) {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        self.until(waiting, many).await;
    }

    /// Until the removal was applied.
    async fn until_removed(&self) {
        self.until("SELECT count(*) FROM inbox WHERE kind = 'lead.removed'", 1).await;
        assert_eq!(self.number("SELECT count(*) FROM lead_view WHERE removed_at IS NOT NULL").await, 1);
    }

    async fn until(&self, sql: &str, expected: i64) {
        let begin = Instant::now();
        while self.number(sql).await != expected {
            assert!(begin.elapsed() < Duration::from_secs(8), "{sql} is not {expected}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.sql.get_database_backend(), sql);
        self.sql.query_one_raw(statement).await.unwrap().unwrap().try_get_by(0).unwrap()
    }

    async fn end(self) {
        self.running.stop().await.unwrap();
        self.sql.close().await.unwrap();
    }
}
