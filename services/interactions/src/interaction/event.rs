//! What other services are told about interactions.

use super::Model;
use events::contract::{Interaction, InteractionCreated, InteractionRemoved, InteractionUpdated};
use sea_orm::ActiveEnum;
use subgraph::changed;

/// That an interaction was noted.
pub(crate) fn created(row: &Model, lead_name: Option<String>) -> InteractionCreated {
    InteractionCreated { interaction: told(row, lead_name) }
}

/// That an interaction was corrected.
pub(super) fn updated(old: &Model, new: &Model, lead_name: Option<String>) -> InteractionUpdated {
    InteractionUpdated { interaction: told(new, lead_name), changed: differences(old, new) }
}

/// That an interaction was removed.
pub(super) fn removed(row: &Model) -> InteractionRemoved {
    InteractionRemoved { id: row.id.0, version: row.version + 1, lead_id: row.lead_id }
}

pub(super) fn told(row: &Model, lead_name: Option<String>) -> Interaction {
    Interaction {
        id: row.id.0,
        version: row.version,
        kind: row.kind.to_value(),
        date: row.date,
        notes: row.notes.clone(),
        lead_id: row.lead_id,
        lead_name,
        created_at: row.created_at,
    }
}

/// The fields a correction changed; it can change no others.
fn differences(old: &Model, new: &Model) -> Vec<String> {
    changed([
        ("type", old.kind != new.kind),
        ("date", old.date != new.date),
        ("notes", old.notes != new.notes),
    ])
}
