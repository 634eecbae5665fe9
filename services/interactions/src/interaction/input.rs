//! What clients send about an interaction, checked.

use super::{ActiveModel, InteractionType, Model};
use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ActiveValue::{NotSet, Set};
use serde::Serialize;
use subgraph::{Patch, Result, RowId, validate::Validator};

/// How far ahead of ours the clock may be that dates an interaction.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// Characters of notes, at most.
const MAX_NOTES: usize = 10_000;

/// A new interaction.
#[derive(Clone, Debug, InputObject, Serialize)]
pub(crate) struct CreateInteractionInput {
    /// How people talked.
    r#type: InteractionType,
    /// When it happened: from 1970 to now.
    date: DateTime<Utc>,
    /// What was said, up to 10,000 characters. Empty is the same as null.
    notes: Option<String>,
    /// The id of the lead it was with.
    pub(super) lead_id: RowId,
}

impl CreateInteractionInput {
    /// The row this makes at `now`. Its id is the database's to give.
    pub(super) fn into_row(self, now: DateTime<Utc>) -> Result<ActiveModel> {
        let Self { r#type, date, notes, lead_id } = self;
        let mut v = Validator::default();
        let row = ActiveModel {
            id: NotSet,
            kind: Set(r#type),
            date: Set(v.instant("date", date, now + SKEW)),
            notes: Set(notes.and_then(|notes| v.text("notes", &notes, MAX_NOTES))),
            lead_id: Set(lead_id.0),
            created_at: Set(now),
            version: Set(1),
        };
        v.finish()?;
        Ok(row)
    }
}

/// Absent means unchanged, null clears notes. The lead cannot change.
#[derive(Clone, Debug, InputObject)]
pub(crate) struct UpdateInteractionInput {
    /// Which interaction.
    pub(super) id: RowId,
    /// How people talked.
    r#type: MaybeUndefined<InteractionType>,
    /// When it happened: from 1970 to now.
    date: MaybeUndefined<DateTime<Utc>>,
    /// What was said, up to 10,000 characters. Empty is the same as null.
    notes: MaybeUndefined<String>,
}

impl UpdateInteractionInput {
    /// The interaction as it is after this update at `now`; the same when nothing changes.
    pub(super) fn apply(self, old: &Model, now: DateTime<Utc>) -> Result<Model> {
        let Self { id: _, r#type, date, notes } = self;
        let (mut v, mut new) = (Validator::default(), old.clone());
        if let Some(kind) = r#type.required("type")? {
            new.kind = kind;
        }
        if let Some(date) = date.required("date")? {
            new.date = v.instant("date", date, now + SKEW);
        }
        if let Some(notes) = notes.clearable() {
            new.notes = notes.and_then(|notes| v.text("notes", &notes, MAX_NOTES));
        }
        v.finish()?;
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use subgraph::{Error, Id};

    const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(1_768_478_400_000_000_000);

    fn input() -> CreateInteractionInput {
        CreateInteractionInput { r#type: InteractionType::Call, date: NOW, notes: None, lead_id: RowId(1) }
    }

    fn row() -> Model {
        let (id, kind, date) = (Id(1), InteractionType::Call, NOW - TimeDelta::days(1));
        Model { id, kind, date, notes: Some("said".into()), lead_id: 1, created_at: NOW, version: 1 }
    }

    fn unchanged() -> UpdateInteractionInput {
        let (r#type, date, notes) =
            (MaybeUndefined::Undefined, MaybeUndefined::Undefined, MaybeUndefined::Undefined);
        UpdateInteractionInput { id: RowId(1), r#type, date, notes }
    }

    #[test]
    fn it_has_happened_give_or_take_five_minutes() {
        let dated = |date| CreateInteractionInput { date, ..input() }.into_row(NOW);
        for good in [NOW, NOW + SKEW, DateTime::UNIX_EPOCH] {
            assert!(dated(good).is_ok(), "{good}");
        }
        let microsecond = TimeDelta::microseconds(1);
        for bad in [NOW + SKEW + microsecond, DateTime::UNIX_EPOCH - microsecond, DateTime::<Utc>::MAX_UTC] {
            assert!(dated(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let bad =
            CreateInteractionInput { date: DateTime::<Utc>::MIN_UTC, notes: Some("\u{7}".into()), ..input() };
        let Err(Error::Invalid(faults)) = bad.into_row(NOW) else { panic!("accepted") };
        assert_eq!(faults.iter().map(|f| &*f.field).collect::<Vec<_>>(), ["date", "notes"]);
    }

    #[test]
    fn absent_leaves_null_clears_and_required_refuses_null() {
        assert_eq!(unchanged().apply(&row(), NOW).unwrap(), row());
        for empty in [MaybeUndefined::Null, MaybeUndefined::Value(" ".into())] {
            let cleared = UpdateInteractionInput { notes: empty, ..unchanged() }.apply(&row(), NOW).unwrap();
            assert_eq!(cleared.notes, None);
        }
        let no_type = UpdateInteractionInput { r#type: MaybeUndefined::Null, ..unchanged() };
        let no_date = UpdateInteractionInput { date: MaybeUndefined::Null, ..unchanged() };
        for refused in [no_type, no_date] {
            assert_eq!(refused.apply(&row(), NOW).unwrap_err().code(), "BAD_USER_INPUT");
        }
    }
}
