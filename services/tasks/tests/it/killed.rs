//! A process that is killed while it recommends in the background.

use crate::{model::answer, stage::Stage};
use serde_json::{Value, json};
use std::time::Duration;
use subgraph::{Clock, Role};
use testkit::{
    Service, TestDatabase, binary, free_port, mint,
    provider::{Provider, Reply},
};

/// Longer than the lease of a job lasts.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_job_outlives_its_process() {
    let mut stage = Stage::set(TestDatabase::sqlite(), &[]).await;
    stage.lead(1, "John").await;
    stage.stop().await;
    let hanging = Provider::always(Reply::silence()).await;
    let (mut first, url) = start(&stage, &hanging).await;
    let asked = ask(&url, "mutation { requestTaskRecommendations(leadId: 1) { id } }").await;
    let id = &asked["data"]["requestTaskRecommendations"]["id"];
    testkit::eventually("the model is asked", PATIENCE, async || hanging.count() == 1).await;
    first.kill();
    let answering = Provider::always(Reply::answer(&answer(&["PROPOSE"]))).await;
    let (_second, url) = start(&stage, &answering).await;
    let look = format!("{{ taskRecommendationJob(id: {id}) {{ status tasks {{ title }} }} }}");
    let done = json!({ "status": "SUCCEEDED", "tasks": [{ "title": "Please PROPOSE" }] });
    testkit::eventually("it is done", PATIENCE, async || {
        ask(&url, &look).await["data"]["taskRecommendationJob"] == done
    })
    .await;
}

/// A process of its own on the stage's database, which asks this provider; and where it answers.
async fn start(stage: &Stage, provider: &Provider) -> (Service, String) {
    let port = free_port();
    let flags = stage.flags(port).into_iter().chain(provider.flags());
    let mut process = Service::spawn(binary("tasks"), flags, [("", ""); 0]);
    process.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
    (process, format!("http://127.0.0.1:{port}/graphql"))
}

/// Asks as a sales rep does. The clock of a process is the machine's.
async fn ask(url: &str, query: &str) -> Value {
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
    let request = client.post(url).bearer_auth(mint(Role::SalesRep, 3, Clock::System.now()));
    request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap()
}
