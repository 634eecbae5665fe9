//! Random leads and interactions, the same ones in each run.

use chrono::{DateTime, Utc};
use leadview::interactions;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

pub const DAY: i64 = 86_400_000_000;
const STATUS: [&str; 6] = ["NEW", "CONTACTED", "QUALIFIED", "WON", "LOST", "SLEEPING"];
/// Where points of a budget begin and end, in cents.
const BUDGETS: [i64; 8] = [0, 1, 999_999, 1_000_000, 1_000_001, 5_000_000, 5_000_001, 9_999_999_999];
/// One that this version does not know is among them.
const KINDS: [&str; 4] = ["MEETING", "CALL", "EMAIL", "VISIT"];

/// A source of chance.
pub struct Chance(StdRng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Less than `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit)
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// From 1970 to `now`, in most cases of the last weeks.
    pub fn time(&mut self, now: DateTime<Utc>) -> i64 {
        let now = now.timestamp_micros();
        let oldest = if self.one_in(4) { now } else { 60 * DAY };
        now - i64::try_from(self.0.next_u64() % u64::try_from(oldest).unwrap()).unwrap()
    }

    pub fn kind(&mut self) -> &'static str {
        self.of(&KINDS)
    }

    /// A lead as it stands in the view.
    pub fn lead(&mut self, id: i32, at: DateTime<Utc>) -> leadview::Model {
        let status = (!self.one_in(20)).then(|| self.of(&STATUS).into());
        leadview::Model {
            id,
            version: 1,
            first_name: Some("Jo".into()),
            last_name: Some("Doe".into()),
            status,
            budget_cents: (!self.one_in(4)).then(|| self.of(&BUDGETS)),
            has_phone: self.one_in(2),
            location: self.one_in(2).then(|| "Austin, TX".into()),
            owner_id: self.one_in(2).then_some(1),
            created_at: Some(at),
            updated_at: Some(at),
            removed_at: None,
        }
    }

    /// An interaction as it stands in the view.
    pub fn interaction(&mut self, id: i32, lead: i32, now: DateTime<Utc>) -> interactions::Model {
        let (kind, at) = (self.kind().into(), self.time(now));
        interactions::Model { id, version: 1, lead_id: Some(lead), kind, at, notes: None }
    }
}
