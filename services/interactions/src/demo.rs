//! Demo data: two to five interactions with each demo lead, the same each time.

use crate::interaction::{ActiveModel, Entity, InteractionType, event};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    EntityTrait, Iterable,
};
use subgraph::{Caller, Change, Random, Result, Service};

/// The demo leads have the ids 1 to 15.
const LEADS: i32 = 15;
/// Tests rely on what this seed gives.
const SEED: u64 = 4003;
/// How far back the interactions go.
const DAYS: u32 = 30;

const NOTES: [&str; 10] = [
    "Initial contact call. Lead expressed interest in our services.",
    "Follow-up email sent with product information.",
    "Meeting scheduled to discuss requirements in detail.",
    "Called to check in on their decision process.",
    "Sent pricing proposal via email.",
    "Demo meeting completed. Lead asked several questions.",
    "Follow-up call to address concerns.",
    "Email sent with additional case studies.",
    "Meeting to discuss implementation timeline.",
    "Called to confirm next steps.",
];

/// Loads the demo data into an empty database.
pub(crate) async fn load(service: Service) -> Result<()> {
    let mut change = Change::begin(&service, &Caller::system()).await?;
    let rows = interactions(&Random::seeded(SEED), change.at());
    let mut rows = Entity::insert_many(rows).exec_with_returning(change.tx()).await?;
    rows.sort_by_key(|row| row.id);
    change.begin_batch(rows.len());
    for row in &rows {
        // Nobody has told of the leads yet
        change.record_event("interaction.created", row.id, row, &event::created(row, None))?;
    }
    change.finish(()).await
}

fn interactions(random: &Random, now: DateTime<Utc>) -> Vec<ActiveModel> {
    (1..=LEADS)
        .flat_map(|lead| (0..2 + below(random, 4)).map(move |_| interaction(random, lead, now)))
        .collect()
}

fn interaction(random: &Random, lead: i32, now: DateTime<Utc>) -> ActiveModel {
    let age = TimeDelta::seconds(below(random, DAYS * 86_400).into());
    ActiveModel {
        id: NotSet,
        kind: Set(pick(random, &InteractionType::iter().collect::<Vec<_>>())),
        date: Set(now - age),
        notes: Set(Some(pick(random, &NOTES).to_owned())),
        lead_id: Set(lead),
        created_at: Set(now),
        version: Set(1),
    }
}

/// A number from 0 to just below `limit`; the bias is far below what a demo shows.
fn below(random: &Random, limit: u32) -> u32 {
    u32::from_le_bytes(random.bytes()) % limit
}

fn pick<T: Copy>(random: &Random, from: &[T]) -> T {
    from[usize::from(random.bytes::<1>()[0]) % from.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lead_gets_two_to_five_within_thirty_days_and_always_the_same() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        let rows = interactions(&Random::seeded(SEED), now);
        assert_eq!(rows, interactions(&Random::seeded(SEED), now));
        for lead in 1..=LEADS {
            let own: Vec<_> = rows.iter().filter(|row| row.lead_id == Set(lead)).collect();
            assert!((2..=5).contains(&own.len()), "lead {lead} has {}", own.len());
        }
        let ages = rows.iter().map(|row| now - *row.date.as_ref());
        assert!(ages.into_iter().all(|age| (0..DAYS.into()).contains(&age.num_days())));
    }
}
