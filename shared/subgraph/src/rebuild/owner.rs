//! The rows of an owner's snapshot, as they arrive.

use crate::{service::Service, snapshot, snapshot::End};
use anyhow::{Context, anyhow, bail, ensure};
use events::Event;
use reqwest::{Client, Response, StatusCode, redirect::Policy};
use std::{marker::PhantomData, time::Duration};

/// How long it may take to reach the owner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the owner may be silent.
const SILENCE: Duration = Duration::from_mins(1);

/// A snapshot under way.
pub(super) struct Rows<E> {
    answer: Response,
    /// What came and was not taken yet: lines, the last one perhaps not whole.
    buffer: Vec<u8>,
    taken: u64,
    ended: bool,
    of: PhantomData<fn() -> E>,
}

impl<E: Event> Rows<E> {
    /// Asks the owner for what it has.
    pub async fn open(service: &Service) -> anyhow::Result<Self> {
        let owner = E::PRODUCER;
        let graphql = service.config.peers.get(owner);
        let graphql = graphql.with_context(|| format!("{} does not know where {owner} is", service.name))?;
        let base = graphql.strip_suffix("/graphql").unwrap_or(graphql);
        let request = client()?.get(format!("{base}{}{}", snapshot::PATH, E::TYPE));
        let answer = request.header("authorization", service.authorization()?).send().await;
        let answer = answer.map_err(|error| {
            tracing::debug!(error = format!("{error:?}"), "no snapshot");
            anyhow!(
                "{owner} does not answer at {base}: start it first, or say where it is in {}_URL",
                owner.to_uppercase()
            )
        })?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => bail!("{owner} at {base} has another service key (SERVICE_KEY)"),
            status => {
                bail!("{owner} at {base} has no snapshot of {} ({status}): is it the same version?", E::TYPE)
            }
        }
        Ok(Self { answer, buffer: Vec::new(), taken: 0, ended: false, of: PhantomData })
    }

    /// The next rows, up to so many; none when there are no more.
    ///
    /// # Errors
    /// When the snapshot breaks off before its end, or a row is not one.
    pub async fn next(&mut self, limit: usize) -> anyhow::Result<Vec<E>> {
        let mut rows = Vec::new();
        while rows.len() < limit && !self.ended {
            let line = self.line().await.with_context(|| self.broken())?;
            if let Ok(End { count, .. }) = serde_json::from_slice(&line) {
                ensure!(count == self.taken, "{}: {} of {count} rows came", self.broken(), self.taken);
                self.ended = true;
            } else {
                rows.push(serde_json::from_slice(&line).with_context(|| self.broken())?);
                self.taken += 1;
            }
        }
        Ok(rows)
    }

    fn broken(&self) -> String {
        format!("the snapshot of {} broke off after {} rows; try again", E::PRODUCER, self.taken)
    }

    async fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(found) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                return Ok(self.buffer.drain(..=searched + found).collect());
            }
            searched = self.buffer.len();
            let chunk = self.answer.chunk().await?.context("it has no end")?;
            self.buffer.extend_from_slice(&chunk);
        }
    }
}

/// Without a limit on the whole: a million rows take their time.
fn client() -> reqwest::Result<Client> {
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(SILENCE);
    client.redirect(Policy::none()).no_proxy().build()
}
