//! Keys under which clients may repeat an operation safely.
//!
//! The key's row is taken in the operation's own transaction: two requests at once with the same
//! key wait for each other, and a failed operation leaves its key free.

use crate::{
    caller::Actor,
    error::{Error, Result},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use row::{Column, Entity};
use sea_orm::{
    ActiveValue::Set, DatabaseTransaction, TryInsertResult, entity::prelude::*, sea_query::OnConflict,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// How long an answer is kept.
pub const KEPT: TimeDelta = TimeDelta::hours(24);
/// Characters of a key, at most.
const MAX_LENGTH: usize = 128;

pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_key")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub actor: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub operation: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        pub input_hash: String,
        pub answer: Option<String>,
        pub created_at: DateTimeUtc,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A key in use.
#[derive(Clone, Debug)]
pub struct Claim {
    actor: String,
    operation: String,
    key: String,
    input_hash: String,
}

impl Claim {
    /// The claim of `actor` on `key` for one operation with one input.
    pub fn new(actor: &Actor, operation: &str, key: &str, input: &impl Serialize) -> Result<Self> {
        if key.is_empty() || key.chars().nth(MAX_LENGTH).is_some() || key.chars().any(char::is_control) {
            return Err(Error::invalid(
                "idempotencyKey",
                format!("is not 1 to {MAX_LENGTH} plain characters"),
            ));
        }
        let input = serde_json::to_vec(input).map_err(Error::internal)?;
        let input_hash = BASE64_STANDARD.encode(Sha256::digest(&input));
        Ok(Self { actor: actor.to_string(), operation: operation.into(), key: key.into(), input_hash })
    }

    fn id(&self) -> (String, String, String) {
        (self.actor.clone(), self.operation.clone(), self.key.clone())
    }
}

/// Takes the key, or finds the answer that is kept under it.
pub(crate) async fn claim(
    tx: &DatabaseTransaction,
    claim: &Claim,
    now: DateTime<Utc>,
) -> Result<Option<String>> {
    let (actor, operation, key) = claim.id();
    let expired =
        Entity::delete_many().filter(Column::Actor.eq(&actor)).filter(Column::Operation.eq(&operation));
    expired.filter(Column::Key.eq(&key)).filter(Column::CreatedAt.lt(now - KEPT)).exec(tx).await?;
    let row = row::ActiveModel {
        actor: Set(actor),
        operation: Set(operation),
        key: Set(key),
        input_hash: Set(claim.input_hash.clone()),
        answer: Set(None),
        created_at: Set(now),
    };
    let conflict =
        OnConflict::columns([Column::Actor, Column::Operation, Column::Key]).do_nothing().to_owned();
    let inserted = Entity::insert(row).on_conflict(conflict).try_insert().exec_without_returning(tx).await?;
    if matches!(inserted, TryInsertResult::Inserted(n) if n > 0) {
        return Ok(None);
    }
    let kept = Entity::find_by_id(claim.id()).one(tx).await?;
    let answer = kept.map(|kept| answer(kept, claim)).transpose()?.flatten();
    answer.map(Some).ok_or_else(|| Error::internal("an idempotency key without an answer was committed"))
}

/// The answer that is kept under the key, without taking it.
pub(crate) async fn kept(
    db: &DatabaseConnection,
    claim: &Claim,
    now: DateTime<Utc>,
) -> Result<Option<String>> {
    let kept = Entity::find_by_id(claim.id()).one(db).await?;
    kept.filter(|kept| kept.created_at >= now - KEPT).map_or(Ok(None), |kept| answer(kept, claim))
}

fn answer(kept: row::Model, claim: &Claim) -> Result<Option<String>> {
    if kept.input_hash != claim.input_hash {
        return Err(Error::conflict("This idempotency key was used with another input"));
    }
    Ok(kept.answer)
}

/// Keeps the answer under the key.
pub(crate) async fn keep(tx: &DatabaseTransaction, claim: &Claim, answer: String) -> Result<()> {
    let (actor, operation, key) = claim.id();
    let row = row::ActiveModel {
        actor: Set(actor),
        operation: Set(operation),
        key: Set(key),
        answer: Set(Some(answer)),
        ..Default::default()
    };
    Entity::update(row).exec(tx).await?;
    Ok(())
}

/// Removes the answers that need not be kept any longer.
pub(crate) async fn clean(db: &DatabaseConnection, now: DateTime<Utc>) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::CreatedAt.lt(now - KEPT)).exec(db).await?.rows_affected)
}
