//! No two leads have the same e-mail, whatever its case.

use super::{Column, Entity, Model};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, SqlErr};
use std::collections::HashMap;
use subgraph::{Error, Id, Result, Service};

/// Rows or values of one statement; a row has 15 values, and SQLite takes 32,766 in a statement.
pub(super) const CHUNK: usize = 500;

/// What a failed write means: usually that somebody else took the e-mail a moment ago.
pub(super) async fn taken(service: &Service, email_key: &str, error: DbErr) -> Error {
    if !matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
        return error.into();
    }
    match having(service.db.read(), &[email_key]).await {
        Ok(existing) => conflict(existing.get(email_key).copied()),
        Err(error) => error,
    }
}

/// Refuses an e-mail that another lead has. The unique index refuses it too, but would use up an
/// id on Postgres.
pub(super) async fn must_be_free(tx: &DatabaseTransaction, lead: &Model) -> Result<()> {
    match having(tx, &[&lead.email_key]).await?.remove(&lead.email_key) {
        Some(id) if id != lead.id => Err(conflict(Some(id))),
        _ => Ok(()),
    }
}

/// The leads that have these e-mails.
pub(super) async fn having(db: &impl ConnectionTrait, email_keys: &[&str]) -> Result<HashMap<String, Id>> {
    let mut existing = HashMap::new();
    for chunk in email_keys.chunks(CHUNK) {
        let found = Entity::find().filter(Column::EmailKey.is_in(chunk.iter().copied())).all(db).await?;
        existing.extend(found.into_iter().map(|lead| (lead.email_key, lead.id)));
    }
    Ok(existing)
}

pub(super) fn conflict(existing: Option<Id>) -> Error {
    let message = match existing {
        Some(id) => format!("A lead with this e-mail exists: ID {id}"),
        None => "A lead with this e-mail exists".to_owned(),
    };
    Error::Conflict { message, existing_id: existing.map(|id| id.to_string()) }
}
