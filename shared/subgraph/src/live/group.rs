//! Who gets the same: subscribers of one operation form a group, for which an event is made into an answer once.

use super::{
    client::{Client, Pushed},
    hub::Hub,
    operation::LiveOperation,
};
use crate::telemetry::Delivery;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Parts of a group with a lock each, so that delivery to many holds up nobody for long.
const SHARDS: usize = 16;
/// Members of a shard from which on others get a turn before the next shard.
const MANY: usize = 32;
/// Members of a group whose frames are told in the trace of an event: there may be thousands.
const TOLD: usize = 10;

/// A subscriber: which operation of which client.
pub(crate) struct Member {
    /// Whose socket.
    pub client: Arc<Client>,
    /// The operation's id in messages.
    pub id: Arc<str>,
    /// The last sequence that it has already; the least number when it is new.
    pub after: i64,
}

#[derive(Default)]
struct Shard {
    /// The last sequence delivered to these members.
    last: Option<i64>,
    /// By the number of the operation.
    members: HashMap<u64, Member>,
}

/// Subscribers of one operation.
pub(crate) struct Group {
    /// What they asked.
    pub operation: LiveOperation,
    hub: Arc<Hub>,
    shards: [Mutex<Shard>; SHARDS],
}

/// Membership: whoever drops it leaves. Never drop it under the lock of a shard or of a client.
pub(crate) struct Seat {
    group: Arc<Group>,
    number: u64,
}

/// An event as it is told the members of a group.
pub(crate) struct Rendered {
    /// Its place in the list that clients resume from, where there is one.
    pub sequence: Option<i64>,
    /// The answer as JSON.
    pub payload: Arc<str>,
    /// Its trace, where that is recorded.
    pub trace: Option<Delivery>,
}

/// What came of an attempt to become a member.
pub(crate) enum Seated {
    /// It gets everything after its place from now on.
    Yes,
    /// The group is further than it: there is more to replay first.
    Behind,
    /// The operation ended meanwhile.
    Gone,
}

impl Group {
    /// An empty group, which has been delivered everything up to `last`.
    pub fn new(operation: LiveOperation, hub: Arc<Hub>, last: Option<i64>) -> Self {
        let shard = || Mutex::new(Shard { last, members: HashMap::new() });
        Self { operation, hub, shards: std::array::from_fn(|_| shard()) }
    }

    fn shard(&self, number: u64) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(number).unwrap_or_default() % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last sequence that a member of this number would have been delivered.
    pub fn last(&self, number: u64) -> Option<i64> {
        self.shard(number).last
    }

    /// Makes an operation a member, unless there is a gap between what it has and what comes next.
    pub fn seat(self: &Arc<Self>, number: u64, member: Member) -> Seated {
        let mut shard = self.shard(number);
        if member.after != i64::MIN && shard.last > Some(member.after) {
            return Seated::Behind;
        }
        let seat = Seat { group: self.clone(), number };
        self.hub.metrics.subscriptions.inc();
        match member.client.settle(number, seat) {
            Ok(()) => {
                shard.members.insert(number, member);
                Seated::Yes
            }
            Err(seat) => {
                drop(shard);
                drop(seat);
                Seated::Gone
            }
        }
    }

    /// Gives every member what was made of the events up to `last`, and says how many members there are.
    pub async fn deliver(&self, last: Option<i64>, events: &[Rendered]) -> usize {
        let (mut all, mut untold) = (0, TOLD);
        for shard in &self.shards {
            let members = self.deliver_to(shard, last, events, &mut untold);
            all += members;
            if members >= MANY {
                tokio::task::yield_now().await;
            }
        }
        all
    }

    fn deliver_to(
        &self,
        shard: &Mutex<Shard>,
        last: Option<i64>,
        events: &[Rendered],
        untold: &mut usize,
    ) -> usize {
        let mut missed = Vec::new();
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.last = shard.last.max(last);
        shard.members.retain(|number, Member { client, id, after }| {
            match client.push_events(*number, id, *after, events, *untold > 0) {
                Pushed::Yes => {
                    *untold = untold.saturating_sub(1);
                    return true;
                }
                Pushed::Missed(operation) => missed.push(operation),
                Pushed::Gone => {}
            }
            false
        });
        let members = shard.members.len();
        drop(shard);
        self.hub.metrics.missed.inc_by(missed.len() as u64);
        // Only now: leaving takes the lock
        drop(missed);
        members
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.hub.forget(&self.operation.key);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.group.hub.metrics.subscriptions.dec();
        let left = self.group.shard(self.number).members.remove(&self.number);
        // Outside the lock: it may be the last of the client
        drop(left);
    }
}
