//! One interaction, as far as another service knows it.

use chrono::{DateTime, Utc};
use events::contract::Interaction;
use sea_orm::entity::prelude::*;

/// The kinds of interactions there are.
pub const KINDS: [&str; 3] = ["MEETING", "CALL", "EMAIL"];

/// How much is kept of what was said, in characters: it is for people and models to read, not the record.
const NOTES: usize = 500;

/// One interaction, or the tombstone of one: then it belongs to no lead.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "interaction_view")]
pub struct Model {
    /// The interaction's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The version that this is; grows with each change of the interaction.
    pub version: i32,
    /// The lead it was with; null for one that was removed.
    pub lead_id: Option<i32>,
    /// `CALL`, `EMAIL` or `MEETING`.
    pub kind: String,
    /// When it took place, in microseconds since 1970.
    pub at: i64,
    /// The beginning of what was said.
    pub notes: Option<String>,
}

/// No relations: the lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// When it took place.
    pub fn time(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.at).unwrap_or_default()
    }

    /// Whether it is there, and no tombstone.
    pub(super) fn counts(&self) -> bool {
        self.lead_id.is_some()
    }

    /// What stays of an interaction that was removed.
    pub(super) fn tombstone(id: i32, version: i32) -> Self {
        Self { id, version, lead_id: None, kind: String::new(), at: 0, notes: None }
    }
}

impl From<&Interaction> for Model {
    fn from(told: &Interaction) -> Self {
        Self {
            id: told.id,
            version: told.version,
            lead_id: Some(told.lead_id),
            kind: told.kind.clone(),
            at: told.date.timestamp_micros(),
            notes: told.notes.as_ref().map(|notes| notes.chars().take(NOTES).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_notes_are_kept_in_part_and_times_to_the_microsecond() {
        let told = Interaction { notes: Some("ß".repeat(600)), ..Interaction::example() };
        let row = Model::from(&told);
        assert_eq!(row.notes, Some("ß".repeat(500)));
        assert_eq!(row.time(), told.date);
    }
}
