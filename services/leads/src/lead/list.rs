//! Lists of leads: which ones, in which order.

use super::{Column, Entity, LeadStatus, Model, input::fold_line};
use crate::money::Cents;
use async_graphql::{Context, Enum, InputObject, Object};
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, Iterable, PaginatorTrait, QueryFilter, Select,
    sea_query::{Expr, ExprTrait, LikeExpr, SimpleExpr},
};
use subgraph::{
    ContextExt, Id, Key, Result, Sort, to_int,
    validate::{Validator, after_prefix, fold},
};

/// All given conditions must hold.
#[derive(Clone, Debug, Default, InputObject)]
pub(crate) struct LeadFilter {
    /// One of these statuses.
    status: Option<Vec<LeadStatus>>,
    /// This location, without case.
    location: Option<String>,
    /// A budget of at least this much.
    budget_min: Option<f64>,
    /// A budget of at most this much.
    budget_max: Option<f64>,
    /// Part of a first name, last name, full name or e-mail, without case. One or two characters
    /// match the beginning of a name or e-mail.
    search: Option<String>,
    /// Belongs to this user.
    owner_id: Option<Id>,
    /// Created then or later.
    created_from: Option<DateTime<Utc>>,
    /// Created then or earlier.
    created_to: Option<DateTime<Utc>>,
}

impl LeadFilter {
    /// The leads that a filter lets through.
    pub(super) fn select(filter: Option<Self>, backend: DbBackend) -> Result<Select<Entity>> {
        let condition = filter.unwrap_or_default().condition(backend)?;
        Ok(Entity::find().filter(condition))
    }

    fn condition(self, backend: DbBackend) -> Result<Condition> {
        let Self { status, location, budget_min, budget_max, search, owner_id, created_from, created_to } =
            self;
        let mut v = Validator::default();
        let location = location.and_then(|l| v.optional_line("location", &l, 200));
        let search = search.and_then(|s| v.optional_line("search", &s, 200));
        let budget_min = budget_min.map(|b| Cents::check(&mut v, "budgetMin", b));
        let budget_max = budget_max.map(|b| Cents::check(&mut v, "budgetMax", b));
        let (created_from, created_to) = (
            created_from.map(|at| v.filter_instant("createdFrom", at)),
            created_to.map(|at| v.filter_instant("createdTo", at)),
        );
        v.finish()?;
        Ok(Condition::all()
            .add_option(
                status.map(|s| Column::Status.is_in(LeadStatus::iter().filter(|each| s.contains(each)))),
            )
            .add_option(location.map(|l| Column::LocationKey.eq(fold_line(&l))))
            .add_option(budget_min.map(|b| Column::Budget.gte(b)))
            .add_option(budget_max.map(|b| Column::Budget.lte(b)))
            .add_option(search.map(|s| matching(&fold(&s), backend)))
            .add_option(owner_id.map(|o| Column::OwnerId.eq(o.0)))
            .add_option(created_from.map(|at| Column::CreatedAt.gte(at)))
            .add_option(created_to.map(|at| Column::CreatedAt.lte(at))))
    }
}

/// Trigrams need three characters; shorter terms are served by the indexes on the beginnings.
fn matching(term: &str, backend: DbBackend) -> SimpleExpr {
    if term.chars().count() < 3 {
        let begins = |column: Column| column.gte(term).and(column.lt(after_prefix(term)));
        return begins(Column::FirstNameKey).or(begins(Column::LastNameKey)).or(begins(Column::EmailKey));
    }
    if backend == DbBackend::Postgres {
        return Expr::col("search_key").like(LikeExpr::new(format!("%{}%", escape_like(term))).escape('\\'));
    }
    // A quoted phrase of trigrams is a substring; a quote in it is doubled
    let phrase = format!("\"{}\"", term.replace('"', "\"\""));
    Expr::cust_with_values("id IN (SELECT rowid FROM lead_search WHERE lead_search MATCH ?)", [phrase])
}

/// `%` and `_` mean themselves in a search.
fn escape_like(term: &str) -> String {
    term.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// What leads can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum LeadOrderField {
    /// When created.
    CreatedAt,
    /// When last changed.
    UpdatedAt,
    /// First name, without case.
    FirstName,
    /// Last name, without case.
    LastName,
    /// E-mail, without case.
    Email,
    /// Budget.
    Budget,
    /// Status, as the pipeline goes.
    Status,
    /// Location, without case.
    Location,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    /// Smallest or earliest first.
    Asc,
    /// Largest or latest first.
    Desc,
}

/// Rows without the value come last in either direction; the id breaks ties.
#[derive(Clone, Copy, Debug, InputObject)]
pub(crate) struct LeadOrder {
    /// What to sort by.
    field: LeadOrderField,
    /// Which end first.
    #[graphql(default_with = "OrderDirection::Asc")]
    direction: OrderDirection,
}

const NEWEST: LeadOrder = LeadOrder { field: LeadOrderField::CreatedAt, direction: OrderDirection::Desc };

/// The pipeline's order; the expression of the index `lead_status_rank`, to the letter.
const STATUS_RANK: &str = "CASE status WHEN 'NEW' THEN 0 WHEN 'CONTACTED' THEN 1 WHEN 'QUALIFIED' THEN 2 \
                           WHEN 'WON' THEN 3 ELSE 4 END";

/// What differs between the orders of [`Sort`]: the key, one like it, and a row's place.
type SortParts = (SimpleExpr, Key, fn(&Model) -> (Key, i32));

impl LeadOrder {
    /// How to read the list in this order.
    pub(super) fn sort(order: Option<Self>) -> Sort<Entity> {
        let Self { field, direction } = order.unwrap_or(NEWEST);
        let (key, example, place): SortParts = match field {
            LeadOrderField::CreatedAt => {
                (column(Column::CreatedAt), time(), |l| (Key::Time(l.created_at), l.id.0))
            }
            LeadOrderField::UpdatedAt => {
                (column(Column::UpdatedAt), time(), |l| (Key::Time(l.updated_at), l.id.0))
            }
            LeadOrderField::FirstName => {
                (column(Column::FirstNameKey), text(), |l| (Key::Text(l.first_name_key.clone()), l.id.0))
            }
            LeadOrderField::LastName => {
                (column(Column::LastNameKey), text(), |l| (Key::Text(l.last_name_key.clone()), l.id.0))
            }
            LeadOrderField::Email => {
                (column(Column::EmailKey), text(), |l| (Key::Text(l.email_key.clone()), l.id.0))
            }
            LeadOrderField::Budget => (column(Column::Budget), Key::Int(0), |l| {
                (l.budget.map_or(Key::Null, |b| Key::Int(b.0)), l.id.0)
            }),
            LeadOrderField::Status => {
                (Expr::cust(STATUS_RANK), Key::Int(0), |l| (Key::Int(l.status as i64), l.id.0))
            }
            LeadOrderField::Location => (column(Column::LocationKey), text(), |l| {
                (l.location_key.clone().map_or(Key::Null, Key::Text), l.id.0)
            }),
        };
        let nullable = matches!(field, LeadOrderField::Budget | LeadOrderField::Location);
        let descending = direction == OrderDirection::Desc;
        let name = format!("leads:{field:?}:{descending}");
        Sort { name, key, id: Column::Id, place, example, nullable, descending }
    }
}

fn time() -> Key {
    Key::Time(DateTime::UNIX_EPOCH)
}

fn text() -> Key {
    Key::Text(String::new())
}

fn column(column: Column) -> SimpleExpr {
    Expr::col((Entity, column))
}

/// What a page of leads says beside its rows.
pub(crate) struct LeadTotal(pub(super) Select<Entity>);

#[Object]
impl LeadTotal {
    /// How many leads there are in all pages. Counted only when selected.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = self.0.clone().count(ctx.db()).await?;
        Ok(to_int(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_mean_themselves() {
        assert_eq!(escape_like(r"50%_\"), r"50\%\_\\");
    }

    #[test]
    fn each_order_has_a_list_name_of_its_own() {
        let name = |field, direction| LeadOrder::sort(Some(LeadOrder { field, direction })).name;
        let asc = name(LeadOrderField::Email, OrderDirection::Asc);
        assert_ne!(asc, name(LeadOrderField::Email, OrderDirection::Desc));
        assert_ne!(asc, name(LeadOrderField::Budget, OrderDirection::Asc));
    }
}
