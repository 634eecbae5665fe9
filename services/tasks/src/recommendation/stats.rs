//! What became of the suggestions, by kind. The index `task_suggestion_kind` has all that is needed.

use async_graphql::SimpleObject;
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use subgraph::to_int;

/// What became of the suggestions of one kind.
#[derive(Clone, Debug, PartialEq, SimpleObject)]
pub(crate) struct TaskRecommendationStats {
    /// The kind of recommendation.
    kind: String,
    /// How many were suggested.
    suggested: i32,
    /// How many of them were accepted.
    accepted: i32,
    /// How many of them were dismissed.
    dismissed: i32,
    /// How many of them were completed.
    completed: i32,
    /// The share of accepted ones among those somebody decided on, 0 to 1; null when there is none.
    acceptance_rate: Option<f64>,
}

/// The index has this condition, to the letter.
const SQL: &str = "SELECT suggestion_kind AS kind, count(*) AS suggested, \
    count(CASE WHEN source = 'MANUAL' THEN 1 END) AS accepted, \
    count(CASE WHEN source = 'DISMISSED' THEN 1 END) AS dismissed, \
    count(CASE WHEN completed THEN 1 END) AS completed \
    FROM task WHERE suggestion_kind IS NOT NULL GROUP BY suggestion_kind ORDER BY suggestion_kind";

/// As the database counts.
#[derive(FromQueryResult)]
struct Row {
    kind: String,
    suggested: i64,
    accepted: i64,
    dismissed: i64,
    completed: i64,
}

/// One row for each kind that was ever suggested, by kind.
pub(super) async fn all(db: &DatabaseConnection) -> Result<Vec<TaskRecommendationStats>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), SQL);
    Ok(Row::find_by_statement(statement).all(db).await?.into_iter().map(Into::into).collect())
}

impl From<Row> for TaskRecommendationStats {
    fn from(row: Row) -> Self {
        Self {
            suggested: to_int(row.suggested),
            accepted: to_int(row.accepted),
            dismissed: to_int(row.dismissed),
            completed: to_int(row.completed),
            acceptance_rate: share(to_int(row.accepted), to_int(row.dismissed)),
            kind: row.kind,
        }
    }
}

/// The share of the accepted ones.
fn share(accepted: i32, dismissed: i32) -> Option<f64> {
    let decided = f64::from(accepted) + f64::from(dismissed);
    (decided > 0.0).then(|| f64::from(accepted) / decided)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_accepts_a_share_of_nothing() {
        assert_eq!(
            [(0, 0), (1, 0), (0, 2), (1, 3)].map(|(a, d)| share(a, d)),
            [None, Some(1.0), Some(0.0), Some(0.25)]
        );
    }
}
