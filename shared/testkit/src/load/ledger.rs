//! What the services acknowledged, and whether it is so.

use std::collections::BTreeMap;

use sea_orm::{DbErr, FromQueryResult};
use uuid::Uuid;

use crate::stack::Databases;

/// How something must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    There(String),
    Gone,
    /// The last change got no answer.
    Unknown,
}

/// What workers were promised.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub(super) leads: BTreeMap<i32, State>,
    pub(super) interactions: BTreeMap<i32, State>,
    pub(super) tasks: BTreeMap<i32, State>,
    pub(super) notifications: BTreeMap<Uuid, State>,
    pub(super) surprises: Vec<String>,
    pub(super) acknowledged: u64,
}

#[derive(FromQueryResult)]
struct Row {
    id: i32,
    said: Option<String>,
}

#[derive(FromQueryResult)]
struct NotificationRow {
    id: Uuid,
    is_read: bool,
}

impl Ledger {
    /// How many changes were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What all were promised together.
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        self.leads.extend(other.leads);
        self.interactions.extend(other.interactions);
        self.tasks.extend(other.tasks);
        for (id, state) in other.notifications {
            self.notified(id, state);
        }
        self.surprises.extend(other.surprises);
        self.acknowledged += other.acknowledged;
        self
    }

    /// Notes what became of a notification, which belongs to everybody: deleted stays deleted.
    pub(super) fn notified(&mut self, id: Uuid, state: State) {
        let known = self.notifications.entry(id).or_insert_with(|| state.clone());
        if *known != State::Gone {
            *known = state;
        }
    }

    /// Compares all of it with the databases, once everything has settled.
    ///
    /// # Panics
    /// When something acknowledged is not so, something was done twice, or a service said what it should not.
    pub async fn verify(&self, databases: &Databases) {
        let mut broken = self.surprises.clone();
        for (service, sql, promised) in [
            ("leads", "SELECT id, location AS said FROM lead", &self.leads),
            ("interactions", "SELECT id, notes AS said FROM interaction", &self.interactions),
            (
                "tasks",
                "SELECT id, title || CASE WHEN completed THEN ' (done)' ELSE '' END AS said FROM task",
                &self.tasks,
            ),
        ] {
            let rows = databases.rows(service, sql).await.expect("the database answers");
            broken.extend(differences(service, &rows, promised));
            broken.extend(repetitions(service, &rows));
        }
        broken.extend(self.notifications(databases).await.expect("the database answers"));
        assert!(broken.is_empty(), "acknowledged, but not so:\n{}", broken.join("\n"));
    }

    async fn notifications(&self, databases: &Databases) -> Result<Vec<String>, DbErr> {
        let rows = databases.rows("notifications", "SELECT id, is_read FROM notification").await?;
        let stored: BTreeMap<_, _> =
            rows.into_iter().map(|NotificationRow { id, is_read }| (id, is_read)).collect();
        let wrong = self.notifications.iter().filter(|(id, state)| match (state, stored.get(id)) {
            (State::Gone, Some(_)) | (State::There(_), Some(false)) => true,
            // Read, then deleted by one who got no answer; or as it should be
            _ => false,
        });
        Ok(wrong.map(|(id, state)| format!("the notification {id} should be {state:?}")).collect())
    }
}

fn differences(service: &str, rows: &[Row], promised: &BTreeMap<i32, State>) -> Vec<String> {
    let stored: BTreeMap<_, _> = rows.iter().map(|row| (row.id, row.said.as_deref())).collect();
    let wrong = promised.iter().filter(|(id, state)| match (state, stored.get(id)) {
        (State::There(said), Some(Some(stored))) => said != stored,
        (State::There(_), _) | (State::Gone, Some(_)) => true,
        (State::Gone, None) | (State::Unknown, _) => false,
    });
    wrong.map(|(id, state)| format!("{service}: {id} should be {state:?}, is {:?}", stored.get(id))).collect()
}

/// Every text of a worker is unlike all others: the same one twice was created twice.
fn repetitions(service: &str, rows: &[Row]) -> Vec<String> {
    let mut count = BTreeMap::<&str, u32>::new();
    for said in rows.iter().filter_map(|row| row.said.as_deref()).filter(|it| it.starts_with("load ")) {
        *count.entry(said).or_default() += 1;
    }
    let twice = count.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|(said, count)| format!("{service}: {said:?} was created {count} times")).collect()
}
