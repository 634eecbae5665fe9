//! Somebody who asks for the top leads, one question after the other.

use crate::product::{Product, token};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// Between two questions.
const STEP: Duration = Duration::from_millis(20);
const TOP: &str = "{ topLeads(limit: 20) { id activityScore score { current } } }";

/// A client with a connection.
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    pub fn of(product: &Product) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(2)).build()?;
        Ok(Self { http, url: product.url(), token: token() })
    }

    /// The `data` of an answer.
    pub async fn ask(&self, query: &str) -> Result<Value> {
        let request = self.http.post(&self.url).bearer_auth(&self.token).json(&json!({ "query": query }));
        let mut answer: Value = request.send().await?.json().await?;
        ensure!(answer["errors"].is_null(), "{query}: {answer}");
        Ok(answer["data"].take())
    }

    /// Asks for the top leads; how long that takes, in milliseconds.
    pub async fn top(&self) -> Result<f64> {
        let begin = Instant::now();
        let answer = self.ask(TOP).await?;
        let took = begin.elapsed().as_secs_f64() * 1e3;
        ensure!(
            answer["topLeads"].as_array().is_some_and(|leads| !leads.is_empty()),
            "there are no top leads"
        );
        Ok(took)
    }

    /// Asks at a steady rate until dropped. A question counts from when it was sent, or was due where the answer before it
    /// came too late.
    pub async fn keep_asking(&self, took: &mut Vec<f64>) -> Result<std::convert::Infallible> {
        let mut due = interval(STEP);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            let (last, due) = (Instant::now(), due.tick().await.into_std());
            let begin = if last > due { due } else { Instant::now() };
            self.ask(TOP).await?;
            took.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }

    /// What keeps asking says of a while in which nothing else happens.
    pub async fn undisturbed(&self, time: Duration) -> Result<Vec<f64>> {
        let mut took = Vec::new();
        tokio::select! {
            Err(error) = self.keep_asking(&mut took) => return Err(error),
            () = tokio::time::sleep(time) => {}
        }
        Ok(took)
    }
}
