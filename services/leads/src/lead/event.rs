//! What the other services are told of a lead.

use super::Model;
use events::contract::{self, LeadUpdated};
use sea_orm::ActiveEnum;
use subgraph::{Result, diff};

/// These change with everything else, and are not told as changes.
const ALWAYS: [&str; 2] = ["version", "updatedAt"];

impl From<&Model> for contract::Lead {
    fn from(lead: &Model) -> Self {
        let Model {
            id,
            first_name,
            first_name_key: _,
            last_name,
            last_name_key: _,
            email,
            email_key: _,
            phone,
            budget,
            location,
            location_key: _,
            status,
            owner_id,
            version,
            created_at,
            updated_at,
        } = lead;
        Self {
            id: id.0,
            version: *version,
            first_name: first_name.clone(),
            last_name: last_name.clone(),
            email: email.clone(),
            phone: phone.clone(),
            budget_cents: budget.map(|cents| cents.0),
            location: location.clone(),
            status: status.to_value(),
            owner_id: *owner_id,
            created_at: *created_at,
            updated_at: *updated_at,
        }
    }
}

/// The change from one version of a lead to the next.
pub(super) fn updated(before: &Model, after: &Model) -> Result<LeadUpdated> {
    let lead = contract::Lead::from(after);
    let difference = diff(&contract::Lead::from(before), &lead)?;
    let fields = difference.as_object().into_iter().flatten().map(|(field, _)| field.clone());
    let mut changed: Vec<String> = fields.filter(|field| !ALWAYS.contains(&&**field)).collect();
    // In one order, however serde_json was built
    changed.sort();
    Ok(LeadUpdated { lead, changed })
}
