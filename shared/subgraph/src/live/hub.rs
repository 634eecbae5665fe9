//! The hub: every event of the types that are live, from the outbox to all groups that follow it.

use super::{
    Item,
    follow::Rendering,
    group::{Group, Rendered},
    operation::{Key, LiveOperation},
};
use crate::{
    cause::{of_database, unquoted},
    graphql::Endpoint,
    metrics::LiveMetrics,
    telemetry::{Delivery, KeyValue, context_of},
};
use events::{Envelope, outbox};
use futures_util::{StreamExt, stream};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::timeout;

/// How often it looks without being woken: for what another replica wrote.
const POLL: Duration = Duration::from_secs(1);
/// Events read at once.
const PAGE: u64 = 200;
/// Events that are told together: each client is woken once for all of them, and the first waits for the last.
const BATCH: usize = 16;
/// Groups for which one event is made into an answer at the same time.
const AT_ONCE: usize = 16;

#[derive(Default)]
struct Groups {
    by_key: HashMap<Key, Weak<Group>>,
    /// The last sequence by type, from which on new groups are delivered.
    last: HashMap<&'static str, i64>,
}

/// The groups of one service.
pub(crate) struct Hub {
    /// Its counters.
    pub metrics: LiveMetrics,
    groups: Mutex<Groups>,
}

impl Hub {
    /// A hub without subscribers.
    pub fn new(metrics: LiveMetrics) -> Self {
        Self { metrics, groups: Mutex::default() }
    }

    /// Nothing else may be locked under this lock, and no group dropped.
    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group of an operation, made when it is the first of its kind.
    pub fn group(self: &Arc<Self>, operation: LiveOperation) -> Arc<Group> {
        let mut groups = self.groups();
        if let Some(group) = groups.by_key.get(&operation.key).and_then(Weak::upgrade) {
            return group;
        }
        let last = groups.last.get(operation.key.kind).copied();
        let key = operation.key.clone();
        let group = Arc::new(Group::new(operation, self.clone(), last));
        groups.by_key.insert(key, Arc::downgrade(&group));
        group
    }

    /// Removes a group that nobody is in any more, unless there is a new one in its place.
    pub fn forget(&self, key: &Key) {
        let mut groups = self.groups();
        if groups.by_key.get(key).is_some_and(|group| group.strong_count() == 0) {
            groups.by_key.remove(key);
        }
    }

    /// Who follows any of these items. Whoever comes later gets those after them.
    fn followers(&self, items: &[Arc<Item>]) -> Vec<Arc<Group>> {
        let mut groups = self.groups();
        for item in items {
            if let Some(sequence) = item.sequence {
                groups.last.insert(item.kind, sequence);
            }
        }
        let of_kind = groups.by_key.iter().filter(|(key, _)| items.iter().any(|item| item.kind == key.kind));
        of_kind.filter_map(|(_, group)| group.upgrade()).collect()
    }
}

/// Where the outbox ends now, for what is live.
pub(crate) async fn end(endpoint: &Endpoint) -> Result<i64, DbErr> {
    let service = &endpoint.service;
    let rows = outbox::Entity::find().filter(outbox::Column::Kind.is_in(service.live_kinds.iter().copied()));
    let last = rows.order_by_desc(outbox::Column::Position).limit(1).one(service.db.read()).await?;
    Ok(last.map_or(0, |row| row.position))
}

/// Delivers what comes into the outbox after a position, for ever. Rows of these types become visible in the
/// order of their positions, so none is passed over.
pub(crate) async fn run(endpoint: Endpoint, mut position: i64) {
    let service = &endpoint.service;
    let mut woken = service.wake.subscribe();
    let mut failing = false;
    loop {
        woken.borrow_and_update();
        match outbox::after(service.db.read(), position, &service.live_kinds, PAGE).await {
            Ok(rows) => {
                failing = false;
                for rows in rows.chunks(BATCH) {
                    happen(&endpoint, rows).await;
                }
                position = rows.last().map_or(position, |row| row.position);
                if !rows.is_empty() {
                    continue;
                }
            }
            Err(error) if !failing => {
                failing = true;
                let error = of_database(&error);
                tracing::warn!(subgraph = service.name, error, "live delivery waits for the database");
            }
            Err(_) => {}
        }
        // Either way it looks again
        let _ = timeout(POLL, woken.changed()).await;
    }
}

/// Tells everybody who follows them of some events.
async fn happen(endpoint: &Endpoint, rows: &[outbox::Model]) {
    let live = &endpoint.service.live;
    let items: Vec<_> = rows.iter().filter_map(|row| item(endpoint, row)).map(Arc::new).collect();
    for item in &items {
        // Nobody may be listening
        let _ = live.items.send(item.clone());
    }
    let (groups, items) = (live.hub.followers(&items), &items);
    let tell = async |group: Arc<Group>| {
        let items = items.iter().filter(|item| item.kind == group.operation.key.kind);
        let (mut last, mut events, mut spans) = (None, Vec::new(), Vec::new());
        for item in items {
            let sequence = item.sequence;
            last = last.max(sequence);
            let span = endpoint.service.tracer.delivering(&item.trace, &item.envelope);
            let payload = span.run(endpoint.render(&group.operation, Rendering::Live(item.clone()))).await;
            let trace = Delivery::of(&span);
            events.extend(payload.map(|payload| Rendered { sequence, payload, trace }));
            spans.push(span);
        }
        let subscribers = i64::try_from(group.deliver(last, &events).await).unwrap_or(i64::MAX);
        for span in spans {
            span.describe(|| vec![KeyValue::new("leadgraph.subscribers", subscribers)]);
        }
    };
    stream::iter(groups).for_each_concurrent(AT_ONCE, tell).await;
}

fn item(endpoint: &Endpoint, row: &outbox::Model) -> Option<Item> {
    let (service, position) = (&endpoint.service, row.position);
    let kind = service.live_kinds.iter().find(|kind| **kind == row.kind)?;
    match serde_json::from_str::<Envelope>(&row.envelope) {
        Ok(envelope) => {
            let sequence = envelope.sequence.as_deref().and_then(|sequence| sequence.parse().ok());
            Some(Item { kind, position, sequence, trace: context_of(&envelope), envelope })
        }
        Err(error) => {
            let error = unquoted(error);
            tracing::error!(
                subgraph = service.name,
                position,
                error,
                "the outbox has a row that is no event"
            );
            None
        }
    }
}
