//! The relay: hands a service's outbox to the bus, in order, and notes what the bus has.
//!
//! Several relays of one service may run at once. Each publishes what it finds, in order, so that the first
//! delivery of each event is in order, too; the rest are repetitions, which the bus and every inbox drop.

use crate::{bus::Bus, cursor, outbox};
use chrono::{DateTime, Utc};
use sea_orm::DatabaseConnection;
use std::{sync::Arc, time::SystemTime};

/// Events handed over at once.
const BATCH: u64 = 200;
/// How far a service is with publishing again what another log had, as the position of its cursor.
const BEGUN: i64 = -1;
const ALL_UNPUBLISHED: i64 = 0;

/// Publishes one service's events.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Where they go.
    pub bus: Arc<dyn Bus>,
    /// For reading the outbox.
    pub read: DatabaseConnection,
    /// For marking what was published.
    pub write: DatabaseConnection,
}

impl Relay {
    /// Publishes all there is to this log and says how much that was. `handed_over` is told of what the bus has by
    /// now, and since when it was being given that.
    ///
    /// # Errors
    /// When the bus or the database does not answer, or the bus is another log by now. What was not marked is
    /// published again next time.
    pub async fn publish(
        &self,
        log: &str,
        now: impl Fn() -> DateTime<Utc>,
        handed_over: impl Fn(&[outbox::Model], SystemTime),
    ) -> anyhow::Result<usize> {
        let mut published = 0;
        loop {
            let rows = outbox::unpublished(&self.read, now(), BATCH).await?;
            if rows.is_empty() {
                return Ok(published);
            }
            // New events must not come before the old ones that another log lost
            anyhow::ensure!(self.bus.identity().await? == log, "the bus is another one by now");
            let since = SystemTime::now();
            self.bus.append(&rows).await?;
            handed_over(&rows, since);
            outbox::mark_published(&self.write, log, &rows, now()).await?;
            published += rows.len();
        }
    }

    /// Makes every kept event unpublished when the bus is not the log it was. Says which log it is, and how many
    /// events that makes. Ask at the start, every now and then, and after every error of the bus.
    ///
    /// # Errors
    /// When the bus or the database does not answer.
    pub async fn meet_bus(&self, now: DateTime<Utc>) -> anyhow::Result<(String, u64)> {
        let log = self.bus.identity().await?;
        let known = cursor::get(&self.read, cursor::PUBLISHED_TO).await?.filter(|known| known.log == log);
        if known.is_some_and(|known| known.position == ALL_UNPUBLISHED) {
            return Ok((log, 0));
        }
        // First, so that nothing counts as published any more because the old log has it; and known as begun, so that
        // who is killed now does it again
        cursor::advance(&self.write, cursor::PUBLISHED_TO, &log, BEGUN).await?;
        let again = outbox::publish_again(&self.write, now).await?;
        cursor::advance(&self.write, cursor::PUBLISHED_TO, &log, ALL_UNPUBLISHED).await?;
        Ok((log, again))
    }
}
