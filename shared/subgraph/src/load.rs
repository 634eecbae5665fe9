//! Loading many things at once. A look-up is a key type and one `Loader` impl on [`Service`];
//! one loader serves the whole process, so batches form across requests too.

use crate::{
    error::{Error, Result},
    service::Service,
    sql,
};
use async_graphql::dataloader::Loader;
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, Iterable, ModelTrait, PrimaryKeyToColumn, QueryFilter,
    Statement, Value,
};
use std::{collections::HashMap, hash::Hash, marker::PhantomData};

/// The row of `E` with this integer id.
pub struct ById<E> {
    id: i32,
    entity: PhantomData<fn() -> E>,
}

impl<E> ById<E> {
    /// The key of one row.
    pub fn new(id: i32) -> Self {
        Self { id, entity: PhantomData }
    }
}

impl<E> Clone for ById<E> {
    fn clone(&self) -> Self {
        Self::new(self.id)
    }
}
impl<E> PartialEq for ById<E> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl<E> Eq for ById<E> {}
impl<E> Hash for ById<E> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<E> Loader<ById<E>> for Service
where
    E: EntityTrait,
    E::Model: Clone + Send + Sync + ModelTrait<Entity = E>,
    E::Column: ColumnTrait,
{
    type Value = E::Model;
    type Error = Error;

    async fn load(&self, keys: &[ById<E>]) -> Result<HashMap<ById<E>, E::Model>> {
        let Some(key) = E::PrimaryKey::iter().next().map(PrimaryKeyToColumn::into_column) else {
            return Ok(HashMap::new());
        };
        let ids: Vec<i32> = keys.iter().map(|key| key.id).collect();
        let rows = E::find().filter(sql::any(self.db.backend(), key, &ids)).all(self.db.read()).await?;
        Ok(rows.into_iter().filter_map(|row| Some((ById::new(as_int(&row.get(key))?), row))).collect())
    }
}

fn as_int(value: &Value) -> Option<i32> {
    match value {
        Value::Int(id) => *id,
        _ => None,
    }
}

/// The newest rows of a table under each of several parents, in one statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Newest {
    /// The table of the children.
    pub table: &'static str,
    /// Its column that names the parent.
    pub parent: &'static str,
    /// Its column that says how new a row is; the id breaks ties.
    pub by: &'static str,
    /// More conditions on the children, as SQL that both databases understand; text that comes
    /// from clients must never get in here. Empty for none.
    pub only: String,
    /// The oldest instead, oldest first.
    pub oldest: bool,
    /// How many rows under each parent.
    pub limit: u64,
    /// How many to leave out first.
    pub offset: u64,
}

impl Newest {
    async fn of<M: Child>(&self, service: &Service, parents: &[i32]) -> Result<HashMap<i32, Vec<M>>> {
        let statement = self.statement(service, parents);
        let mut found: HashMap<i32, Vec<M>> = parents.iter().map(|p| (*p, Vec::new())).collect();
        for row in M::find_by_statement(statement).all(service.db.read()).await? {
            found.entry(row.parent()).or_default().push(row);
        }
        Ok(found)
    }

    /// LATERAL on Postgres, a correlated `IN` on SQLite: both read only the rows they return, and
    /// are twice as fast as a window function.
    fn statement(&self, service: &Service, parents: &[i32]) -> Statement {
        let Self { table, parent, by, only, oldest, limit, offset } = self;
        let direction = if *oldest { "ASC" } else { "DESC" };
        let only = if only.is_empty() { String::new() } else { format!(" AND {only}") };
        let order = format!("ORDER BY {by} {direction}, id {direction} LIMIT {limit} OFFSET {offset}");
        let backend = service.db.backend();
        let (text, keys) = match backend {
            sea_orm::DbBackend::Postgres => (
                format!(
                    "SELECT c.* FROM unnest($1::int4[]) AS k(id) CROSS JOIN LATERAL (SELECT * FROM {table} \
                     WHERE {parent} = k.id{only} {order}) c ORDER BY c.{parent}, c.{by} {direction}, c.id {direction}"
                ),
                Value::from(parents.to_vec()),
            ),
            _ => (
                format!(
                    "SELECT c.* FROM json_each(?) k JOIN {table} c ON c.id IN (SELECT id FROM {table} \
                     WHERE {parent} = k.value{only} {order}) ORDER BY c.{parent}, c.{by} {direction}, c.id {direction}"
                ),
                Value::from(sql::json(parents)),
            ),
        };
        Statement::from_sql_and_values(backend, text, [keys])
    }
}

/// A row that belongs to a parent.
pub trait Child: FromQueryResult + Clone + Send + Sync + 'static {
    /// The parent's id.
    fn parent(&self) -> i32;
}

/// One list of children under one parent. All lists that are asked for at the same moment and
/// differ only in the parent are one statement.
pub struct Children<M> {
    parent: i32,
    list: Newest,
    child: PhantomData<fn() -> M>,
}

impl<M> Children<M> {
    /// The key of the list under `parent`.
    pub fn of(parent: i32, list: Newest) -> Self {
        Self { parent, list, child: PhantomData }
    }
}

impl<M> Clone for Children<M> {
    fn clone(&self) -> Self {
        Self::of(self.parent, self.list.clone())
    }
}
impl<M> PartialEq for Children<M> {
    fn eq(&self, other: &Self) -> bool {
        (self.parent, &self.list) == (other.parent, &other.list)
    }
}
impl<M> Eq for Children<M> {}
impl<M> Hash for Children<M> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.parent, &self.list).hash(state);
    }
}

impl<M: Child> Loader<Children<M>> for Service {
    type Value = Vec<M>;
    type Error = Error;

    async fn load(&self, keys: &[Children<M>]) -> Result<HashMap<Children<M>, Vec<M>>> {
        let mut lists: HashMap<&Newest, Vec<i32>> = HashMap::new();
        for key in keys {
            lists.entry(&key.list).or_default().push(key.parent);
        }
        let mut found = HashMap::new();
        for (list, parents) in lists {
            let children = list.of(self, &parents).await?;
            found.extend(
                children.into_iter().map(|(parent, rows)| (Children::of(parent, list.clone()), rows)),
            );
        }
        Ok(found)
    }
}
