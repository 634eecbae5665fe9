//! A small service whose events are live, running on a port of its own.

use crate::client::Client;
use async_graphql::{Context, Object, SimpleObject, Subscription};
use chrono::{TimeDelta, Utc};
use events::{Envelope, Event, outbox};
use futures_util::{Stream, StreamExt, future, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};
use subgraph::{
    Clock, ContextExt, Error, LiveContext, LiveLimits, Policy, Random, Result, Role, Running, Service,
    Subgraph, counter,
};
use tempfile::TempDir;
use testkit::{TestDatabase, TestKeys};

/// How often something said was made into an answer, in this process.
pub static RENDERED: AtomicUsize = AtomicUsize::new(0);

/// How many count at the moment.
pub static COUNTING: AtomicUsize = AtomicUsize::new(0);

/// Somebody counts, until this is dropped.
struct Counting;

impl Counting {
    fn begin() -> Self {
        COUNTING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        COUNTING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Something was said aloud: clients resume.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, SimpleObject)]
#[graphql(complex)]
pub struct Said {
    /// Which, from 1 on.
    pub sequence: i32,
    /// What.
    pub text: String,
}

#[async_graphql::ComplexObject]
impl Said {
    /// What, loudly.
    async fn loud(&self) -> String {
        RENDERED.fetch_add(1, Ordering::Relaxed);
        self.text.to_uppercase()
    }
}

impl Event for Said {
    const TYPE: &'static str = "it.said";
    const PRODUCER: &'static str = "talk";

    fn subject(&self) -> String {
        "talk".into()
    }

    fn version(&self) -> Option<i32> {
        None
    }

    fn sequence(&self) -> Option<i32> {
        Some(self.sequence)
    }

    fn example() -> Self {
        Self { sequence: 1, text: "hello".into() }
    }
}

/// Something was whispered: nobody resumes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, SimpleObject)]
pub struct Whispered {
    /// What.
    pub text: String,
}

impl Event for Whispered {
    const TYPE: &'static str = "it.whispered";
    const PRODUCER: &'static str = "talk";

    fn subject(&self) -> String {
        "talk".into()
    }

    fn version(&self) -> Option<i32> {
        None
    }

    fn example() -> Self {
        Self { text: "psst".into() }
    }
}

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// Says hello.
    async fn hello(&self, ctx: &Context<'_>) -> String {
        format!("hello {}", ctx.caller().actor)
    }
}

#[derive(Default)]
struct Mutation;

#[Object]
impl Mutation {
    /// Says something, so many times.
    async fn say(&self, ctx: &Context<'_>, text: String, #[graphql(default = 1)] times: i32) -> Result<i32> {
        let mut change = ctx.change().await?;
        for _ in 0..times {
            let sequence = counter::next(change.tx(), "said").await?;
            let said =
                Said { sequence: i32::try_from(sequence).map_err(Error::internal)?, text: text.clone() };
            change.record_event("it.said", sequence, &(), &said)?;
        }
        change.finish(times).await
    }

    /// Whispers something.
    async fn whisper(&self, ctx: &Context<'_>, text: String) -> Result<bool> {
        let mut change = ctx.change().await?;
        change.record_event("it.whispered", 1, &(), &Whispered { text })?;
        change.finish(true).await
    }
}

#[derive(Default)]
struct Root;

#[Subscription(name = "Subscription")]
impl Root {
    /// What is said.
    async fn said(&self, ctx: &Context<'_>, after_sequence: Option<i32>) -> Result<impl Stream<Item = Said>> {
        if after_sequence.is_some_and(|after| after < 0) {
            return Err(Error::invalid("afterSequence", "is negative"));
        }
        ctx.follow_from::<Said, _>(after_sequence, replay)
    }

    /// What is whispered with this word in it.
    async fn whispered(
        &self,
        ctx: &Context<'_>,
        about: Option<String>,
    ) -> Result<impl Stream<Item = Whispered>> {
        let about = about.unwrap_or_default();
        let whispered = ctx.follow::<Whispered>()?;
        Ok(whispered.filter(move |whispered| future::ready(whispered.text.contains(&about))))
    }

    /// The numbers up to one, for each who asks.
    async fn counted(&self, ctx: &Context<'_>, to: i32) -> Result<impl Stream<Item = i32>> {
        if to < 0 {
            return Err(Error::invalid("to", "is negative"));
        }
        ctx.own_stream(move || {
            let counting = Counting::begin();
            stream::iter(1..=to).inspect(move |_| {
                // The stream counts for as long as it is there
                let _ = &counting;
            })
        })
    }

    /// What is whispered among managers.
    async fn secret(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Whispered>> {
        ctx.follow::<Whispered>()
    }
}

/// What was said is kept in the outbox.
async fn replay(service: Service, after: i32, limit: u64) -> Result<Vec<(i32, Said)>> {
    let said = outbox::after(service.db.read(), 0, &[Said::TYPE], 100_000).await?;
    let said = said
        .iter()
        .map(|row| serde_json::from_str::<Envelope>(&row.envelope).unwrap().event::<Said>().unwrap());
    let said: Vec<_> = said.map(|said| (said.sequence, said)).collect();
    if said.last().map_or(0, |(last, _)| *last) < after {
        return Err(Error::not_found("What was said", after));
    }
    let missed = said.into_iter().filter(|(sequence, _)| *sequence > after);
    Ok(missed.take(usize::try_from(limit).unwrap()).collect())
}

struct Migrator;

impl sea_orm_migration::MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn sea_orm_migration::MigrationTrait>> {
        // The tables that every service has, and none of its own
        migrations::leads::Migrator::migrations().into_iter().take_while(|m| m.name() < "0010").collect()
    }
}

pub fn subgraph(limits: LiveLimits) -> Subgraph {
    let policy = Policy::default()
        .read(Role::SalesRep, &["hello"])
        .allow(Role::SalesRep, &["say", "whisper", "said", "whispered", "counted"])
        .allow(Role::Manager, &["secret"]);
    Subgraph::new::<Query, Mutation, Root, Migrator>("talk", 0, policy)
        .live::<Said>()
        .live::<Whispered>()
        .live_limits(limits)
}

/// A running service.
pub struct Stage {
    pub running: Running,
    pub folder: TempDir,
}

impl Stage {
    /// On a database of its own.
    pub async fn new() -> Self {
        Self::with(LiveLimits::default()).await
    }

    pub async fn with(limits: LiveLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("talk.sqlite").display());
        Self::at(&url, folder, limits, &[]).await
    }

    /// One replica on a database that it may share.
    pub async fn replica(database: &TestDatabase) -> Self {
        Self::at(database.url(), tempfile::tempdir().unwrap(), LiveLimits::default(), &[]).await
    }

    pub async fn at(url: &str, folder: TempDir, limits: LiveLimits, more: &[&str]) -> Self {
        let subgraph = subgraph(limits);
        TestKeys::shared().install(folder.path(), "talk");
        let flags = [format!("--data-dir={}", folder.path().display()), format!("--database-url={url}")];
        let flags =
            flags.into_iter().chain(["--port=0".to_owned()]).chain(more.iter().map(ToString::to_string));
        let config = subgraph.config_from(flags).unwrap();
        let running = subgraph.start_with(config, Clock::System, Random::System).await.unwrap();
        Self { running, folder }
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr)
    }

    /// A client that was let in.
    pub async fn client(&self) -> Client {
        Client::connect(self.running.addr).await.welcomed(&token()).await
    }

    /// Runs an operation over HTTP.
    pub async fn post(&self, query: &str, variables: Value) -> Value {
        let request = subgraph::http_client().unwrap().post(self.http("/graphql")).bearer_auth(token());
        let body = json!({"query": query, "variables": variables});
        request.json(&body).send().await.unwrap().json().await.unwrap()
    }

    pub async fn say(&self, text: &str, times: usize) {
        let query = "mutation($text: String!, $times: Int!) { say(text: $text, times: $times) }";
        let said = self.post(query, json!({"text": text, "times": times})).await;
        assert_eq!(said, json!({"data": {"say": times}}));
    }

    pub async fn whisper(&self, text: &str) {
        let whispered =
            self.post("mutation($text: String!) { whisper(text: $text) }", json!({"text": text})).await;
        assert_eq!(whispered, json!({"data": {"whisper": true}}));
    }

    /// The value of a counter.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = reqwest::get(self.http("/metrics")).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("leadgraph_{name}{{"))).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    /// Waits until a counter has a value.
    pub async fn metric_is(&self, name: &str, value: u64) {
        for _ in 0..200 {
            if self.metric(name).await == value {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(self.metric(name).await, value, "{name}");
    }

    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }
}

/// A token of a sales representative.
pub fn token() -> String {
    testkit::mint(Role::SalesRep, 7, Utc::now())
}

/// One that ends in a moment.
pub fn short_token(lives: TimeDelta) -> String {
    testkit::mint(Role::SalesRep, 7, Utc::now() - TimeDelta::days(365) + lives)
}
