//! What happens to interactions.

use super::{event, example_time};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An interaction, as it is after what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interaction {
    /// The interaction's id.
    pub id: i32,
    /// Grows by one with each change.
    pub version: i32,
    /// `CALL`, `EMAIL` or `MEETING`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it took place.
    pub date: DateTime<Utc>,
    /// What was said.
    pub notes: Option<String>,
    /// The lead it was with.
    pub lead_id: i32,
    /// What the lead was called, where that was known.
    pub lead_name: Option<String>,
    /// When it was noted.
    pub created_at: DateTime<Utc>,
}

impl Interaction {
    /// One as it could be.
    pub fn example() -> Self {
        Self {
            id: 7,
            version: 1,
            kind: "CALL".into(),
            date: example_time(),
            notes: Some("Wants a demo".into()),
            lead_id: 42,
            lead_name: Some("John Doe".into()),
            created_at: example_time(),
        }
    }
}

/// An interaction was noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InteractionCreated {
    /// The new interaction.
    pub interaction: Interaction,
}

/// An interaction was corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InteractionUpdated {
    /// The interaction after the correction.
    pub interaction: Interaction,
    /// The fields that changed, by their names in `interaction`.
    pub changed: Vec<String>,
}

/// An interaction was removed by itself; those of a lead that is removed go with it unmentioned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InteractionRemoved {
    /// The id it had.
    pub id: i32,
    /// The version after its last one.
    pub version: i32,
    /// The lead it was with.
    pub lead_id: i32,
}

event!(InteractionCreated, "interaction.created" by "interactions",
    |it| format!("interaction/{}", it.interaction.id), |it| Some(it.interaction.version),
    Self { interaction: Interaction::example() });
event!(InteractionUpdated, "interaction.updated" by "interactions",
|it| format!("interaction/{}", it.interaction.id), |it| Some(it.interaction.version),
Self {
    interaction: Interaction { version: 2, notes: Some("Wants a demo in May".into()), ..Interaction::example() },
    changed: vec!["notes".into()],
});
event!(InteractionRemoved, "interaction.removed" by "interactions",
    |it| format!("interaction/{}", it.id), |it| Some(it.version),
    Self { id: 7, version: 3, lead_id: 42 });
