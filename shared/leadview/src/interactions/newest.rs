//! The newest interactions with leads, however many there are.

use super::row::{KINDS, Model};
use async_graphql::dataloader::Loader;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use std::{cmp::Reverse, collections::HashMap};
use subgraph::{Error, Result, Service, sql};

/// The newest interactions of each kind with one lead, so many of each; those of many leads are one statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewestOfEachKind {
    /// The lead.
    pub lead: i32,
    /// How many of each kind.
    pub limit: u8,
}

impl Loader<NewestOfEachKind> for Service {
    type Value = Vec<Model>;
    type Error = Error;

    async fn load(&self, keys: &[NewestOfEachKind]) -> Result<HashMap<NewestOfEachKind, Vec<Model>>> {
        let mut leads: HashMap<u8, Vec<i32>> = HashMap::new();
        for key in keys {
            leads.entry(key.limit).or_default().push(key.lead);
        }
        let mut found: HashMap<_, Vec<_>> = keys.iter().map(|key| (key.clone(), Vec::new())).collect();
        for (limit, leads) in leads {
            for row in of_each_kind(self.db.read(), &leads, limit).await? {
                let Some(lead) = row.lead_id else { continue };
                found.entry(NewestOfEachKind { lead, limit }).or_default().push(row);
            }
        }
        Ok(found)
    }
}

/// The newest interactions with a lead, newest first.
pub async fn latest(db: &impl ConnectionTrait, lead: i32, limit: u8) -> Result<Vec<Model>> {
    let mut rows = of_each_kind(db, &[lead], limit).await?;
    rows.sort_by_key(|row| Reverse((row.at, row.id)));
    rows.truncate(limit.into());
    Ok(rows)
}

/// One look into the index for each lead and kind: a lead with many e-mails and no meeting costs no more.
async fn of_each_kind(db: &impl ConnectionTrait, leads: &[i32], limit: u8) -> Result<Vec<Model>> {
    let kinds = KINDS.map(|kind| format!("SELECT '{kind}' AS kind")).join(" UNION ALL ");
    let newest = format!("ORDER BY at DESC, id DESC LIMIT {limit}");
    let (text, leads) = match db.get_database_backend() {
        DbBackend::Postgres => (
            format!(
                "SELECT c.* FROM unnest($1::int4[]) AS k(id) CROSS JOIN ({kinds}) t CROSS JOIN LATERAL \
                 (SELECT * FROM interaction_view WHERE lead_id = k.id AND kind = t.kind {newest}) c"
            ),
            Value::from(leads.to_vec()),
        ),
        _ => (
            format!(
                "SELECT c.* FROM json_each(?) k CROSS JOIN ({kinds}) t JOIN interaction_view c ON c.id IN \
                 (SELECT id FROM interaction_view WHERE lead_id = k.value AND kind = t.kind {newest})"
            ),
            Value::from(sql::json(leads)),
        ),
    };
    let statement = Statement::from_sql_and_values(db.get_database_backend(), text, [leads]);
    Ok(Model::find_by_statement(statement).all(db).await?)
}
