//! What was suggested for a lead before and still counts: what nobody has decided on, what was accepted and is not
//! done yet, and what was dismissed.

use super::{draft::Draft, kind::Kind};
use crate::task::{Column, Entity, Model, TaskSource};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveEnum, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use subgraph::{Result, validate::fold};

/// The suggestions for one lead that still count.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing(Vec<Model>);

impl Standing {
    /// Those of one lead. One statement, so that nothing changes its state in between.
    pub async fn of(db: &impl ConnectionTrait, lead: i32) -> Result<Self> {
        let counts =
            Condition::any().add(Column::Completed.eq(false)).add(Column::Source.eq(TaskSource::Dismissed));
        let rows =
            Entity::find().filter(Column::LeadId.eq(lead)).filter(Column::SuggestionKind.is_not_null());
        Ok(Self(rows.filter(counts).order_by_asc(Column::Id).all(db).await?))
    }

    /// Whether this may be suggested: nothing of its kind was dismissed or is being done, and nothing was dismissed
    /// that says the same.
    pub fn allows(&self, draft: &Draft) -> bool {
        let title = spoken(&draft.title);
        self.is_open_to(draft.kind) && !self.dismissed().any(|task| spoken(&task.title) == title)
    }

    /// Whether something of this kind may be suggested.
    pub fn is_open_to(&self, kind: Kind) -> bool {
        let decided = self.0.iter().filter(|task| task.source != TaskSource::AiSuggested);
        !decided.into_iter().any(|task| is(task, kind))
    }

    /// What was suggested of this kind, if nobody has decided on it.
    pub fn undecided(&self, kind: Kind) -> Option<&Model> {
        self.0.iter().find(|task| task.source == TaskSource::AiSuggested && is(task, kind))
    }

    /// What was suggested at `since` or later, if nobody has decided on it.
    pub fn waiting(&self, since: DateTime<Utc>) -> Vec<Model> {
        let undecided = self.0.iter().filter(|task| task.source == TaskSource::AiSuggested);
        undecided.filter(|task| task.created_at >= since).cloned().collect()
    }

    /// What was dismissed.
    pub fn dismissed(&self) -> impl Iterator<Item = &Model> {
        self.0.iter().filter(|task| task.source == TaskSource::Dismissed)
    }
}

fn is(task: &Model, kind: Kind) -> bool {
    task.suggestion_kind.as_deref() == Some(&kind.to_value())
}

/// A title as it is compared: without case and spaces.
fn spoken(title: &str) -> String {
    fold(title).split_whitespace().collect()
}

#[cfg(test)]
impl From<Vec<Model>> for Standing {
    fn from(tasks: Vec<Model>) -> Self {
        Self(tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::super::draft::tests::draft;
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn with(source: TaskSource) -> Standing {
        Standing(vec![Model { source, ..draft(Kind::Propose).into_task(1, NOW) }])
    }

    #[test]
    fn a_decided_kind_is_not_suggested_again() {
        for (source, open) in
            [(TaskSource::Dismissed, false), (TaskSource::Manual, false), (TaskSource::AiSuggested, true)]
        {
            let standing = with(source);
            assert_eq!(standing.is_open_to(Kind::Propose), open, "{source:?}");
            assert_eq!(standing.undecided(Kind::Propose).is_some(), open, "{source:?}");
            assert!(standing.is_open_to(Kind::NextStep) && standing.undecided(Kind::NextStep).is_none());
        }
    }

    #[test]
    fn a_dismissed_title_is_not_suggested_again_whatever_its_kind_case_and_spaces() {
        let again = Draft { title: " CALL  john doe".into(), ..draft(Kind::NextStep) };
        let other = Draft { title: "Call Jane Doe".into(), ..draft(Kind::NextStep) };
        assert!(!with(TaskSource::Dismissed).allows(&again));
        assert!(with(TaskSource::Dismissed).allows(&other));
        assert!(with(TaskSource::AiSuggested).allows(&again));
    }

    #[test]
    fn only_what_is_as_new_as_asked_for_waits() {
        assert_eq!(with(TaskSource::AiSuggested).waiting(NOW).len(), 1);
        assert!(with(TaskSource::AiSuggested).waiting(NOW + chrono::TimeDelta::seconds(1)).is_empty());
        assert!(with(TaskSource::Dismissed).waiting(NOW).is_empty());
    }
}
