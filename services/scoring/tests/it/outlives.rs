//! A job that outlives the process it was begun in.

use crate::{
    model::answer,
    stage::{connect, lead, number},
};
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use std::time::Duration;
use subgraph::{Clock, Role};
use tempfile::TempDir;
use testkit::{
    Service, TestDatabase, TestKeys, binary, free_port, mint,
    provider::{Provider, Reply},
};

/// A process of the service that asks this provider.
async fn process(database: &TestDatabase, folder: &TempDir, provider: &Provider) -> (Service, String) {
    TestKeys::shared().install(folder.path(), "scoring");
    let port = free_port();
    let flags = [
        "--demo=false".to_owned(),
        "--environment=development".into(),
        "--service-key=the service key of the tests, long enough".into(),
        format!("--port={port}"),
        format!("--data-dir={}", folder.path().display()),
        format!("--database-url={}", database.url()),
        format!("--jwks-url=http://127.0.0.1:{}/", free_port()),
    ];
    let flags = flags.into_iter().chain(provider.flags());
    let mut process = Service::spawn(binary("scoring"), flags, [("", ""); 0]);
    process.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
    (process, format!("http://127.0.0.1:{port}/graphql"))
}

async fn ask(url: &str, query: &str) -> Value {
    let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).no_proxy().build().unwrap();
    let request = client.post(url).bearer_auth(mint(Role::Manager, 2, Clock::System.now()));
    request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap()
}

async fn leads(db: &DatabaseConnection, count: i32) {
    for id in 1..=count {
        lead(db, id).await;
    }
}

#[tokio::test]
async fn summaries_go_on_in_another_process_after_a_kill() {
    for database in TestDatabase::both() {
        let folder = tempfile::tempdir().unwrap();
        let first =
            Provider::start(|asked| if asked.number < 4 { answer("First.") } else { Reply::silence() }).await;
        let (mut killed, url) = process(&database, &folder, &first).await;
        let db = connect(&database).await;
        leads(&db, 8).await;
        let asked = ask(&url, "mutation { regenerateSummaries(filter: { staleOnly: false }) { id } }").await;
        testkit::eventually("it hangs", Duration::from_secs(20), async || first.count() == 8).await;
        killed.kill();
        assert_eq!(number(&db, "SELECT count(*) FROM lead_summary").await, 4);
        let second = Provider::always(answer("Second.")).await;
        let (mut other, url) = process(&database, &folder, &second).await;
        let query = format!(
            "{{ summaryJob(id: {}) {{ status done failed total }} }}",
            asked["data"]["regenerateSummaries"]["id"]
        );
        let done = json!({ "status": "SUCCEEDED", "done": 8, "failed": 0, "total": 8 });
        let is_done = async || ask(&url, &query).await["data"]["summaryJob"] == done;
        testkit::eventually("the other one goes on", Duration::from_mins(1), is_done).await;
        assert_eq!(second.count(), 4, "nobody is written about twice");
        assert_eq!(number(&db, "SELECT count(*) FROM lead_summary WHERE summary = 'First.'").await, 4);
        db.close().await.unwrap();
        other.terminate().await;
    }
}
