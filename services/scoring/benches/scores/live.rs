//! What one more interaction costs: told over the bus to the service in this process, until its change is committed.

use crate::product::{connect, execute, flags, folder, postgres};
use anyhow::{Context, Result, ensure};
use events::{
    Bus, Envelope, Event, LocalBus,
    contract::{Interaction, InteractionCreated},
    inbox, outbox,
};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use subgraph::{Clock, Config, Random};
use testkit::report::{Report, as_f64, beside, median, title};
use tokio::time::sleep;

/// Interactions that the two leads have before.
const BEFORE: [i32; 2] = [10, 100_000];
/// Interactions that are told together, each of which is a transaction.
const TOGETHER: usize = 20;
const TURNS: usize = 25;
/// Time with many, as a share of that with few.
const MAX_RATIO: f64 = 1.2;
const DEADLINE: Duration = Duration::from_mins(1);

/// The bus, and where it can be seen what was dealt with.
struct Stage {
    bus: Arc<LocalBus>,
    sql: DatabaseConnection,
    told: usize,
}

impl Stage {
    /// Tells of so many interactions with a lead; the milliseconds of each.
    async fn turn(&mut self, lead: i32) -> Result<f64> {
        let events: Vec<_> = (0..TOGETHER).map(|n| event(lead, self.told + n)).collect::<Result<_>>()?;
        let begin = Instant::now();
        self.bus.append(&events).await?;
        self.told += TOGETHER;
        let all = u64::try_from(self.told)?;
        while inbox::Entity::find().count(&self.sql).await? < all {
            ensure!(begin.elapsed() < DEADLINE, "events are not dealt with");
            sleep(Duration::from_millis(1)).await;
        }
        Ok(begin.elapsed().as_secs_f64() * 1e3 / as_f64(TOGETHER))
    }
}

fn event(lead_id: i32, number: usize) -> Result<outbox::Model> {
    let now = Clock::System.now();
    let id = 1_000_000 + i32::try_from(number)?;
    let interaction = Interaction { id, lead_id, date: now, ..Interaction::example() };
    let id = Random::System.uuid(now);
    let envelope = Envelope::new(&InteractionCreated { interaction }, id, now, "user:1".into(), None)?;
    let (kind, envelope) = (InteractionCreated::TYPE.into(), serde_json::to_string(&envelope)?);
    Ok(outbox::Model {
        position: 0,
        id,
        kind,
        envelope,
        created_at: now,
        published_at: None,
        keep_until: None,
    })
}

/// The two leads with what happened before, scored.
async fn fill(sql: &DatabaseConnection) -> Result<()> {
    let lead = "INSERT INTO lead_view (id, version, first_name, last_name, status, has_phone) \
                VALUES (1, 1, 'Jo', 'Few', 'NEW', false), (2, 1, 'Jo', 'Many', 'NEW', false)";
    execute(sql, lead).await?;
    for (lead, count) in [1, 2].into_iter().zip(BEFORE) {
        let happened = format!(
            "INSERT INTO interaction_view (id, version, lead_id, kind, at) SELECT {lead} * 200000 + n, 1, {lead}, 'CALL', \
             1768478400000000 - n * 1000000::bigint FROM generate_series(1, {count}) AS n"
        );
        execute(sql, &happened).await?;
        let score = format!(
            "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, decayed_sum, as_of, drift, rank, \
             touched, model_version) VALUES ({lead}, 100, '2026-01-15 12:00:00+00:00', {count} * 9.0, 1768478400000000, \
             1e-12, 1470 + {lead}, {count}, '1')"
        );
        execute(sql, &score).await?;
    }
    execute(sql, "VACUUM (ANALYZE) interaction_view").await
}

/// Measures both leads, in turns.
pub async fn measure(report: &mut Report) -> Result<()> {
    let (server, folder) = (postgres().await?, folder()?);
    let service = scoring::subgraph();
    let config = Config { nats_url: None, ..service.config_from(flags(&folder, 0, &server.url()))? };
    let running = service.start_with(config, Clock::System, Random::System).await?;
    let bus = LocalBus::open(&folder.path().join("events.sqlite")).await?;
    let mut stage = Stage { bus, sql: connect(&server.url()).await?, told: 0 };
    fill(&stage.sql).await?;
    stage.turn(1).await.context("the first")?;
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        few.push(stage.turn(1).await?);
        many.push(stage.turn(2).await?);
    }
    title(&format!("one more interaction, medians of {TURNS} turns of {TOGETHER}"));
    beside(&format!("for a lead with {}", BEFORE[0]), median(&few), "ms");
    beside(&format!("for a lead with {}", BEFORE[1]), median(&many), "ms");
    report.at_most("ratio", median(&many) / median(&few), MAX_RATIO, "");
    running.stop().await
}
