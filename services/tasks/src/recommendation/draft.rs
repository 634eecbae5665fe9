//! A task as it could be suggested, before anybody has seen it.

use super::kind::Kind;
use crate::task::{MAX_DESCRIPTION, MAX_TITLE, Model, TaskPriority, TaskSource};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ActiveEnum;
use subgraph::{Id, Result, validate::Validator};

/// Characters of a reason, at most.
const MAX_REASONING: usize = 2_000;
/// Days until a suggested task is due, at most.
const MAX_DAYS: u16 = 365;

/// A task that could be suggested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub kind: Kind,
    pub title: String,
    pub description: Option<String>,
    /// Why it makes sense, and who says so.
    pub reasoning: String,
    pub priority: TaskPriority,
    pub due_in_days: u16,
}

impl Draft {
    /// The same, as strictly checked as what people send.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` that names the fields.
    pub fn checked(self) -> Result<Self> {
        let mut v = Validator::default();
        let title = v.line("title", &self.title, MAX_TITLE);
        let description = self.description.and_then(|text| v.text("description", &text, MAX_DESCRIPTION));
        let reasoning = v.text("reasoning", &self.reasoning, MAX_REASONING);
        if reasoning.is_none() {
            v.fault("reasoning", "is empty");
        }
        let due_in_days = v.within("dueInDays", self.due_in_days, 0..=MAX_DAYS);
        v.finish()?;
        Ok(Self { title, description, reasoning: reasoning.unwrap_or_default(), due_in_days, ..self })
    }

    /// The task this makes at `now`. Its id is the database's to give.
    pub fn into_task(self, lead: i32, now: DateTime<Utc>) -> Model {
        let due = due(now, self.due_in_days);
        Model {
            id: Id(0),
            title: self.title,
            description: self.description,
            due_date: Some(due),
            completed: false,
            completed_at: None,
            source: TaskSource::AiSuggested,
            suggestion_kind: Some(self.kind.to_value()),
            suggested_from: None,
            ai_reasoning: Some(self.reasoning),
            priority: Some(self.priority),
            lead_id: lead,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }
}

/// So many days from `now`; none means by the end of this day, or it would be overdue at once.
fn due(now: DateTime<Utc>, days: u16) -> DateTime<Utc> {
    let end_of_day = now.date_naive().and_hms_opt(23, 59, 59).map_or(now, |end| end.and_utc());
    if days == 0 { end_of_day } else { now + TimeDelta::days(days.into()) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn draft(kind: Kind) -> Draft {
        Draft {
            kind,
            title: "Call John Doe".into(),
            description: None,
            reasoning: "Somebody says so.".into(),
            priority: TaskPriority::Medium,
            due_in_days: 2,
        }
    }

    #[test]
    fn what_people_may_not_send_is_refused_here_too() {
        assert!(draft(Kind::Introduce).checked().is_ok());
        let good = || draft(Kind::Introduce);
        let bad = [
            Draft { title: " ".into(), ..good() },
            Draft { title: "é".repeat(256), ..good() },
            Draft { title: "one\ntwo".into(), ..good() },
            Draft { title: "a\0b".into(), ..good() },
            Draft { description: Some("é".repeat(10_001)), ..good() },
            Draft { description: Some("a\u{7}b".into()), ..good() },
            Draft { reasoning: "\n".into(), ..good() },
            Draft { reasoning: "é".repeat(2_001), ..good() },
            Draft { due_in_days: 366, ..good() },
        ];
        for draft in bad {
            assert_eq!(
                draft.clone().checked().map_err(|error| error.code()),
                Err("BAD_USER_INPUT"),
                "{draft:?}"
            );
        }
    }

    #[test]
    fn what_is_due_today_is_not_overdue_at_once() {
        let now = DateTime::from_timestamp(1_768_478_400, 0).unwrap();
        let task = Draft { due_in_days: 0, ..draft(Kind::FollowUp) }.into_task(1, now);
        assert_eq!(task.due_date.unwrap().to_rfc3339(), "2026-01-15T23:59:59+00:00");
        let task = draft(Kind::FollowUp).into_task(1, now);
        assert_eq!(task.due_date.unwrap().to_rfc3339(), "2026-01-17T12:00:00+00:00");
        assert_eq!(
            (task.source, task.suggestion_kind.as_deref()),
            (TaskSource::AiSuggested, Some("FOLLOW_UP"))
        );
    }
}
