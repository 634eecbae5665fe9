//! Lists of tasks: which ones, in which order.

use super::{Column, Entity, Model, TaskPriority, TaskSource};
use async_graphql::{Enum, InputObject};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, EntityTrait, Iterable, QueryFilter, Select,
    sea_query::{Expr, SimpleExpr},
};
use subgraph::{Key, RowId, Sort, to_micros};

/// All given conditions must hold.
#[derive(Clone, Debug, Default, InputObject)]
pub(crate) struct TaskFilter {
    /// One of these sources. An empty list lets nothing through.
    source: Option<Vec<TaskSource>>,
    /// Done, or not done.
    completed: Option<bool>,
    /// Due earlier than this. Tasks without a due date are not.
    due_before: Option<DateTime<Utc>>,
    /// One of these priorities; a task without any has none of them. An empty list lets nothing
    /// through.
    priority: Option<Vec<TaskPriority>>,
    /// About this lead.
    lead_id: Option<RowId>,
}

impl TaskFilter {
    /// The tasks about one lead.
    pub(super) fn of_lead(lead: RowId) -> Self {
        Self { lead_id: Some(lead), ..Self::default() }
    }

    /// The tasks that this filter lets through.
    pub(super) fn select(self) -> Select<Entity> {
        let Self { source, completed, due_before, priority, lead_id } = self;
        let condition = Condition::all()
            .add_option(source.map(|given| Column::Source.is_in(distinct(&given))))
            .add_option(completed.map(|completed| Column::Completed.eq(completed)))
            .add_option(due_before.map(|at| Column::DueDate.lt(storable(at))))
            .add_option(priority.map(|given| Column::Priority.is_in(distinct(&given))))
            .add_option(lead_id.map(|lead| Column::LeadId.eq(lead.0)));
        Entity::find().filter(condition)
    }
}

/// Each value once, however often a client gave it: a statement has room for so many only.
fn distinct<E: Iterable + PartialEq>(given: &[E]) -> Vec<E> {
    E::iter().filter(|value| given.contains(value)).collect()
}

/// The nearest time that both databases can compare with a due date, which lies between the two
/// bounds. SQLite compares times as text, where years of five digits have no place.
fn storable(at: DateTime<Utc>) -> DateTime<Utc> {
    let end = DateTime::UNIX_EPOCH + TimeDelta::days(366 * 300);
    to_micros(at.clamp(DateTime::UNIX_EPOCH, end))
}

/// The condition of a lead's list of tasks, as SQL. Nothing of it is text from a client.
pub(crate) fn condition(source: Option<&[TaskSource]>, completed: Option<bool>) -> String {
    let source = source.map(|given| match distinct(given).as_slice() {
        [] => "1 = 0".to_owned(),
        some => {
            let names: Vec<_> = some.iter().map(|source| format!("'{}'", source.to_value())).collect();
            format!("source IN ({})", names.join(", "))
        }
    });
    let completed =
        completed.map(|completed| if completed { "completed" } else { "NOT completed" }.to_owned());
    let all: Vec<_> = [source, completed].into_iter().flatten().collect();
    all.join(" AND ")
}

/// What tasks can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum TaskOrderField {
    /// When made.
    CreatedAt,
    /// When due.
    DueDate,
    /// How much it matters: LOW, MEDIUM, HIGH.
    Priority,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    /// Smallest or earliest first.
    Asc,
    /// Largest or latest first.
    Desc,
}

/// Tasks without the value come last in either direction; the id breaks ties.
#[derive(Clone, Copy, Debug, InputObject)]
pub(crate) struct TaskOrder {
    /// What to sort by.
    field: TaskOrderField,
    /// Which end first.
    #[graphql(default_with = "OrderDirection::Asc")]
    direction: OrderDirection,
}

const NEWEST: TaskOrder = TaskOrder { field: TaskOrderField::CreatedAt, direction: OrderDirection::Desc };

/// The order of priorities; the expression of the index `task_priority_rank`, to the letter.
const PRIORITY_RANK: &str = "CASE priority WHEN 'LOW' THEN 0 WHEN 'MEDIUM' THEN 1 WHEN 'HIGH' THEN 2 END";

/// Finds the key and the id of a task.
type Place = fn(&Model) -> (Key, i32);

impl TaskOrder {
    /// How to read a list in this order.
    pub(super) fn sort(order: Option<Self>) -> Sort<Entity> {
        let Self { field, direction } = order.unwrap_or(NEWEST);
        let (key, place): (SimpleExpr, Place) = match field {
            TaskOrderField::CreatedAt => (column(Column::CreatedAt), |t| (Key::Time(t.created_at), t.id.0)),
            TaskOrderField::DueDate => {
                (column(Column::DueDate), |t| (or_null(t.due_date, Key::Time), t.id.0))
            }
            TaskOrderField::Priority => {
                (Expr::cust(PRIORITY_RANK), |t| (or_null(t.priority, |p| Key::Int(p as i64)), t.id.0))
            }
        };
        let example = match field {
            TaskOrderField::Priority => Key::Int(0),
            TaskOrderField::CreatedAt | TaskOrderField::DueDate => Key::Time(DateTime::UNIX_EPOCH),
        };
        let nullable = field != TaskOrderField::CreatedAt;
        let descending = direction == OrderDirection::Desc;
        let name = format!("tasks:{field:?}:{descending}");
        Sort { name, key, id: Column::Id, place, example, nullable, descending }
    }
}

fn or_null<T>(value: Option<T>, key: fn(T) -> Key) -> Key {
    value.map_or(Key::Null, key)
}

fn column(column: Column) -> SimpleExpr {
    Expr::col((Entity, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leads_list_has_the_conditions_it_was_given() {
        use TaskSource::{AiSuggested, Manual};
        assert_eq!(condition(None, None), "");
        assert_eq!(condition(Some(&[]), None), "1 = 0");
        let given = [Manual, AiSuggested, Manual];
        assert_eq!(
            condition(Some(&given), Some(false)),
            "source IN ('MANUAL', 'AI_SUGGESTED') AND NOT completed"
        );
    }

    #[test]
    fn times_beyond_all_due_dates_stay_beyond_them() {
        assert_eq!(storable(DateTime::<Utc>::MIN_UTC), DateTime::UNIX_EPOCH);
        let end = storable(DateTime::<Utc>::MAX_UTC).to_rfc3339();
        assert!(end.as_str() > "2200-01-01T00:00:00+00:00" && end.len() == 25, "{end}");
    }

    #[test]
    fn the_index_of_priorities_has_the_same_expression() {
        let sql = include_str!("../../../../migrations/sql/tasks/0011_task_priority_order.up.sql");
        assert!(sql.contains(PRIORITY_RANK));
    }
}
