//! What was suggested for a lead before and still counts: what nobody has decided on, what was accepted and is not
//! done yet, and what was dismissed.

use super::{draft::Draft, kind::Kind};
use crate::task::{Column, Entity, Model, TaskSource};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};
use subgraph::{Change, Result, validate::fold};

/// Suggestions that nobody decided on for longer are thought about anew.
const FRESH: TimeDelta = TimeDelta::days(1);

/// What suggestions are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Basis {
    /// Stands for what is known of the lead.
    pub facts: String,
    /// When that was looked up.
    pub at: DateTime<Utc>,
}

/// The suggestions for one lead that still count.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing(Vec<Model>);

impl Standing {
    /// Those of one lead. One statement, so that nothing changes its state in between.
    pub async fn of(db: &impl ConnectionTrait, lead: i32) -> Result<Self> {
        Ok(Self(counting(lead).all(db).await?))
    }

    /// The same, held until the transaction ends: nobody decides on them or changes them meanwhile.
    pub async fn held(change: &Change, lead: i32) -> Result<Self> {
        Ok(Self(counting(lead).lock_exclusive().all(change.tx()).await?))
    }

    /// Whether this may be suggested: nothing is in the way of its kind, and nothing was dismissed that says the same.
    pub fn allows(&self, draft: &Draft) -> bool {
        let title = spoken(&draft.title);
        self.is_open_to(draft.kind) && !self.dismissed().any(|task| spoken(&task.title) == title)
    }

    /// Whether something of this kind may be suggested: nothing of it is being done or was dismissed. To follow up on
    /// one task is another thing than to follow up on the next: there only the titles tell what was dismissed.
    pub fn is_open_to(&self, kind: Kind) -> bool {
        let is_in_the_way = |task: &Model| match task.source {
            TaskSource::AiSuggested => false,
            TaskSource::Dismissed => kind != Kind::FollowUp,
            TaskSource::Manual => true,
        };
        !self.0.iter().any(|task| is(task, kind) && is_in_the_way(task))
    }

    /// What was suggested of this kind, if nobody has decided on it.
    pub fn undecided(&self, kind: Kind) -> Option<&Model> {
        self.0.iter().find(|task| task.source == TaskSource::AiSuggested && is(task, kind))
    }

    /// What was suggested lately from the same facts, or by others since somebody looked them up, if nobody has decided
    /// on it; with it, what people changed.
    pub fn waiting(&self, basis: &Basis) -> Vec<Model> {
        let undecided = self.0.iter().filter(|task| task.source == TaskSource::AiSuggested);
        let lately = undecided.filter(|task| task.updated_at >= basis.at - FRESH);
        let is_new = |from: &String| *from == basis.facts;
        let (suggested, changed): (Vec<_>, Vec<_>) = lately
            .filter(|task| task.updated_at > basis.at || task.suggested_from.as_ref().is_none_or(is_new))
            .cloned()
            .partition(|task| task.suggested_from.is_some());
        if suggested.is_empty() { suggested } else { [suggested, changed].concat() }
    }

    /// What was dismissed, the oldest first.
    pub fn dismissed(&self) -> impl DoubleEndedIterator<Item = &Model> {
        self.0.iter().filter(|task| task.source == TaskSource::Dismissed)
    }
}

fn counting(lead: i32) -> Select<Entity> {
    let counts =
        Condition::any().add(Column::Completed.eq(false)).add(Column::Source.eq(TaskSource::Dismissed));
    let rows = Entity::find().filter(Column::LeadId.eq(lead)).filter(Column::SuggestionKind.is_not_null());
    rows.filter(counts).order_by_asc(Column::Id)
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
    fn one_may_follow_up_on_another_task_than_the_one_that_was_dismissed() {
        let follow_up = |title: &str| Draft { title: title.into(), ..draft(Kind::FollowUp) };
        let with = |source| Standing(vec![Model { source, ..follow_up("Follow up: A").into_task(1, NOW) }]);
        assert!(with(TaskSource::Dismissed).allows(&follow_up("Follow up: B")));
        assert!(!with(TaskSource::Dismissed).allows(&follow_up("Follow up: A")));
        assert!(!with(TaskSource::Manual).allows(&follow_up("Follow up: B")), "one is being done");
    }

    fn suggested(from: Option<&str>, at: DateTime<Utc>) -> Model {
        let from = from.map(str::to_owned);
        Model { suggested_from: from, updated_at: at, ..draft(Kind::Propose).into_task(1, NOW) }
    }

    fn how_many_wait(tasks: &[Model]) -> usize {
        let basis = Basis { facts: "1 7.1".into(), at: NOW };
        Standing(tasks.to_vec()).waiting(&basis).len()
    }

    #[test]
    fn what_was_suggested_from_the_same_facts_within_a_day_waits() {
        let second = TimeDelta::seconds(1);
        for (from, at, waits) in [
            ("1 7.1", NOW - FRESH, 1),
            ("1 7.1", NOW - FRESH - second, 0),
            ("1", NOW - second, 0),
            ("1", NOW, 0),
            // By somebody who knew more
            ("2 8.1", NOW + second, 1),
        ] {
            assert_eq!(how_many_wait(&[suggested(Some(from), at)]), waits, "{from} {at}");
        }
        let dismissed = Model { source: TaskSource::Dismissed, ..suggested(Some("1 7.1"), NOW) };
        assert_eq!(how_many_wait(&[dismissed]), 0);
    }

    #[test]
    fn what_a_person_changed_waits_only_with_what_was_suggested() {
        let (changed, made) = (suggested(None, NOW), suggested(Some("1 7.1"), NOW));
        assert_eq!(how_many_wait(std::slice::from_ref(&changed)), 0);
        assert_eq!(how_many_wait(&[changed, made]), 2);
    }
}
