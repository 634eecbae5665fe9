//! Whether a lead is there to add something to, and holding it while that is done.

use crate::row::{Column, Entity, Model};
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, EntityTrait, IntoActiveModel, QuerySelect,
    sea_query::{LockType, OnConflict},
};
use serde::Deserialize;
use serde_json::Value;
use subgraph::{Change, Error, Id, Result, Service};

/// What the view needs of a lead.
const SELECTION: &str =
    "{ version firstName lastName status phone budget location owner { id } createdAt updatedAt }";

/// A lead that was there when somebody looked.
#[derive(Clone, Debug)]
pub struct Known(Model);

/// Looks for a lead: in the view, else in the leads service. Never inside a transaction, which would wait for the
/// answer.
///
/// # Errors
/// `NOT_FOUND` when there is none, `UNAVAILABLE` when the view does not know and the leads service does not answer.
pub async fn known(service: &Service, id: i32) -> Result<Known> {
    match Entity::find_by_id(id).one(service.db.read()).await? {
        Some(row) => alive(row).map(Known),
        None => ask(service, id).await.map(Known),
    }
}

impl Known {
    /// Makes sure, until the transaction ends, that the lead is not removed, and says what the view has of it.
    ///
    /// # Errors
    /// `NOT_FOUND` when it was removed since somebody looked.
    pub async fn hold(&self, change: &Change) -> Result<Model> {
        self.lock(change, LockType::Share).await
    }

    /// As [`Known::hold`], and makes whoever wants to hold the lead wait until the transaction ends: for what may
    /// happen once, however many begin it at the same moment.
    ///
    /// # Errors
    /// As [`Known::hold`].
    pub async fn hold_alone(&self, change: &Change) -> Result<Model> {
        self.lock(change, LockType::Update).await
    }

    /// What the view or the leads service had of the lead when somebody looked.
    pub fn lead(&self) -> &Model {
        &self.0
    }

    async fn lock(&self, change: &Change, lock: LockType) -> Result<Model> {
        let row = match locked(change, self.0.id, lock).await? {
            Some(row) => row,
            None => add(change, &self.0, lock).await?,
        };
        alive(row)
    }
}

/// A row that no removal can change until the transaction ends.
async fn locked(change: &Change, id: i32, lock: LockType) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).lock(lock).one(change.tx()).await?)
}

/// Adds what the leads service answered, unless an event was faster.
async fn add(change: &Change, answered: &Model, lock: LockType) -> Result<Model> {
    let row = Entity::insert(answered.clone().into_active_model().reset_all());
    let unless_there = OnConflict::column(Column::Id).do_nothing().to_owned();
    row.on_conflict(unless_there).try_insert().exec_without_returning(change.tx()).await?;
    let row = locked(change, answered.id, lock).await?;
    row.ok_or_else(|| Error::Unavailable("The lead is not known yet; try again".into()))
}

fn alive(row: Model) -> Result<Model> {
    if row.is_removed() { Err(Error::not_found("Lead", row.id)) } else { Ok(row) }
}

/// What the leads service has.
async fn ask(service: &Service, id: i32) -> Result<Model> {
    let answer = service.entities("leads", "Lead", &[id], SELECTION).await?.pop().unwrap_or_default();
    if answer.is_null() {
        return Err(Error::not_found("Lead", id));
    }
    Answer::read(answer).map(|lead| lead.into_row(id))
}

/// A lead in the graph.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    version: i32,
    first_name: String,
    last_name: String,
    status: String,
    phone: Option<String>,
    budget: Option<f64>,
    location: Option<String>,
    owner: Option<Owner>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The user a lead belongs to.
#[derive(Deserialize)]
struct Owner {
    id: String,
}

impl Answer {
    fn read(answer: Value) -> Result<Self> {
        serde_json::from_value(answer).map_err(Error::internal)
    }

    fn into_row(self, id: i32) -> Model {
        Model {
            id,
            version: self.version,
            first_name: Some(self.first_name),
            last_name: Some(self.last_name),
            status: Some(self.status),
            budget_cents: self.budget.map(cents),
            has_phone: self.phone.is_some(),
            location: self.location,
            owner_id: self.owner.and_then(|owner| Id::parse(&owner.id)).map(|id| id.0),
            created_at: Some(self.created_at),
            updated_at: Some(self.updated_at),
            removed_at: None,
        }
    }
}

/// An amount of money in the graph has at most two decimals.
#[expect(clippy::cast_possible_truncation, reason = "leads keeps whole cents below 10^10")]
fn cents(amount: f64) -> i64 {
    (amount * 100.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::contract::Lead;
    use serde_json::json;

    #[test]
    fn an_answer_makes_the_row_that_an_event_makes() {
        let mut answer = json!({
            "version": 1, "firstName": "John", "lastName": "Doe", "status": "NEW", "phone": "+1 555 0100",
            "budget": 12500.50, "location": "Austin, TX", "owner": { "id": "1" },
            "createdAt": "2026-01-15T12:00:00Z", "updatedAt": "2026-01-15T12:00:00Z",
        });
        assert_eq!(Answer::read(answer.clone()).unwrap().into_row(42), (&Lead::example()).into());
        for optional in ["phone", "budget", "location", "owner"] {
            answer[optional] = Value::Null;
        }
        let bare =
            Lead { phone: None, budget_cents: None, location: None, owner_id: None, ..Lead::example() };
        assert_eq!(Answer::read(answer.clone()).unwrap().into_row(42), (&bare).into());
        answer["version"] = Value::Null;
        assert_eq!(Answer::read(answer).err().map(|error| error.code()), Some("INTERNAL"));
    }

    #[test]
    fn amounts_are_exact_to_the_cent() {
        assert_eq!([0.0, 0.29, 12.35, 99_999_999.99].map(cents), [0, 29, 1235, 9_999_999_999]);
    }
}
