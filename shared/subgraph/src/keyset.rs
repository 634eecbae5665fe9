//! Sorted reading of a table by index, at the same cost at any depth, on both databases.
//!
//! Rows without a value come last in either direction. No database sorts that way by index, so a
//! nullable key is read in two parts: the rows with a value by `(key, id)`, then those without by
//! `id`. The second statement runs only when the first does not fill the page.

use crate::{
    error::{Error, Result},
    load::{Child, Children, Newest},
    page::{Cursor, Key, Offset, Page, PageRequest},
    service::ContextExt,
    sql,
};
use async_graphql::Context;
use sea_orm::{
    EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    entity::prelude::*,
    sea_query::Order as Direction,
    sea_query::{ExprTrait, SimpleExpr},
};

/// How a list of `E` is sorted; the id breaks ties in the same direction.
pub struct Sort<E: EntityTrait> {
    /// The sort's name, as it stands in cursors.
    pub name: String,
    /// The column or expression; an index on it and the id makes pages cheap.
    pub key: SimpleExpr,
    /// The id column.
    pub id: E::Column,
    /// The key and the id of a row.
    pub place: fn(&E::Model) -> (Key, i32),
    /// A key of the right kind, to tell forged cursors.
    pub example: Key,
    /// Whether rows may have no value.
    pub nullable: bool,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// The part of a list that one statement can read by index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Valued,
    Empty,
}

impl<E> Sort<E>
where
    E: EntityTrait,
    E::Model: Send + Sync,
{
    fn parts(&self, backward: bool) -> Vec<Part> {
        match (self.nullable, backward) {
            (false, _) => vec![Part::Valued],
            (true, false) => vec![Part::Valued, Part::Empty],
            (true, true) => vec![Part::Empty, Part::Valued],
        }
    }

    fn id(&self) -> SimpleExpr {
        self.id.into_expr()
    }

    fn part_of(cursor: &Cursor) -> Part {
        if cursor.key == Key::Null { Part::Empty } else { Part::Valued }
    }

    /// `select` within one part, sorted.
    fn within(&self, select: &Select<E>, part: Part, reverse: bool) -> Select<E> {
        let direction = if self.descending == reverse { Direction::Asc } else { Direction::Desc };
        let select = select.clone();
        let select = match (self.nullable, part) {
            (false, _) => select,
            (true, Part::Valued) => select.filter(self.key.clone().is_not_null()),
            (true, Part::Empty) => select.filter(self.key.clone().is_null()),
        };
        let select =
            if part == Part::Valued { select.order_by(self.key.clone(), direction.clone()) } else { select };
        select.order_by(self.id(), direction)
    }

    /// The rows of `part` beyond `cursor`, in the list's order when `forward`, else against it.
    fn beyond(&self, cursor: &Cursor, forward: bool) -> SimpleExpr {
        let descending = self.descending == forward;
        let value = match &cursor.key {
            Key::Null => {
                let id = self.id();
                return if descending { id.lt(cursor.id) } else { id.gt(cursor.id) };
            }
            Key::Text(text) => SimpleExpr::val(text.clone()),
            Key::Int(int) => SimpleExpr::val(*int),
            Key::Time(at) => SimpleExpr::val(*at),
        };
        sql::beyond([self.key.clone(), self.id()], [value, SimpleExpr::val(cursor.id)], descending)
    }

    /// Narrows one part to what lies between the page's cursors; nothing when that is empty.
    fn between(&self, select: Select<E>, part: Part, page: &PageRequest) -> Option<Select<E>> {
        let mut select = select;
        for (cursor, forward) in [(&page.after, true), (&page.before, false)] {
            let Some(cursor) = cursor else { continue };
            match (Self::part_of(cursor), part, forward) {
                (at, part, _) if at == part => select = select.filter(self.beyond(cursor, forward)),
                // The whole part lies on the wrong side of the cursor
                (Part::Empty, Part::Valued, true) | (Part::Valued, Part::Empty, false) => return None,
                _ => {}
            }
        }
        Some(select)
    }

    fn check(&self, cursor: Option<&Cursor>, field: &str) -> Result<()> {
        let fits = |c: &Cursor| c.key.is_like(&self.example) || (self.nullable && c.key == Key::Null);
        if cursor.is_none_or(fits) { Ok(()) } else { Err(Error::invalid(field, "is not a cursor")) }
    }

    /// One page by cursor.
    pub async fn page(
        &self,
        db: &impl ConnectionTrait,
        select: Select<E>,
        page: &PageRequest,
    ) -> Result<Page<E::Model>> {
        self.check(page.after.as_ref(), "after")?;
        self.check(page.before.as_ref(), "before")?;
        // One row more than asked for tells whether there are more
        let wanted = page.limit + 1;
        let mut rows = Vec::new();
        for part in self.parts(page.backward) {
            let missing = wanted - rows.len() as u64;
            let Some(select) = self.between(self.within(&select, part, page.backward), part, page) else {
                continue;
            };
            if missing > 0 {
                rows.extend(select.limit(missing).all(db).await?);
            }
        }
        let more = rows.len() as u64 == wanted;
        if more {
            rows.pop();
        }
        if page.backward {
            rows.reverse();
        }
        let (has_previous, has_next) =
            if page.backward { (more, page.before.is_some()) } else { (page.after.is_some(), more) };
        let rows = rows.into_iter().map(|row| (self.cursor(&page.list, &row), row)).collect();
        Ok(Page { rows, has_previous, has_next })
    }

    /// One page by cursor of the list under a parent, which `select` and `list` both are. The first or last page, which
    /// an answer may show of many parents, is one statement for all of them.
    pub async fn page_under(
        &self,
        ctx: &Context<'_>,
        (parent, list): (i32, Newest),
        select: Select<E>,
        page: &PageRequest,
    ) -> Result<Page<E::Model>>
    where
        E::Model: Child,
    {
        if page.after.is_some() || page.before.is_some() {
            return self.page(ctx.db(), select, page).await;
        }
        // One row more than asked for tells whether there are more
        let list = Newest { oldest: page.backward, limit: page.limit + 1, offset: 0, ..list };
        let mut rows = ctx.load(Children::<E::Model>::of(parent, list)).await?.unwrap_or_default();
        let more = rows.len() as u64 > page.limit;
        if more {
            rows.pop();
        }
        if page.backward {
            rows.reverse();
        }
        let rows = rows.into_iter().map(|row| (self.cursor(&page.list, &row), row)).collect();
        Ok(Page { rows, has_previous: page.backward && more, has_next: !page.backward && more })
    }

    fn cursor(&self, list: &str, row: &E::Model) -> Cursor {
        let (key, id) = (self.place)(row);
        Cursor { list: list.to_owned(), key, id }
    }

    /// One page by offset, in the same order.
    pub async fn offset(
        &self,
        db: &impl ConnectionTrait,
        select: Select<E>,
        page: Offset,
    ) -> Result<Vec<E::Model>> {
        let Offset { limit, offset } = page;
        let valued = self.within(&select, Part::Valued, false);
        let mut rows = valued.clone().limit(limit).offset(offset).all(db).await?;
        let missing = limit - rows.len() as u64;
        if self.nullable && missing > 0 {
            // How many rows without a value come before the page: counted only up to the offset
            let skipped = match rows.len() {
                0 => {
                    let ids = valued.select_only().column(self.id).limit(offset).into_tuple::<i32>();
                    offset.saturating_sub(ids.all(db).await?.len() as u64)
                }
                _ => 0,
            };
            let empty = self.within(&select, Part::Empty, false);
            rows.extend(empty.limit(missing).offset(skipped).all(db).await?);
        }
        Ok(rows)
    }
}
