//! What happens to leads.

use super::{event, example_time};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A lead, as it is after what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lead {
    /// The lead's id.
    pub id: i32,
    /// Grows by one with each change.
    pub version: i32,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address.
    pub email: String,
    /// Telephone number as it was given.
    pub phone: Option<String>,
    /// The budget, in cents.
    pub budget_cents: Option<i64>,
    /// Where the lead is.
    pub location: Option<String>,
    /// Where it stands in the pipeline: `NEW`, `CONTACTED`, `QUALIFIED`, `WON` or `LOST`.
    pub status: String,
    /// The user it belongs to.
    pub owner_id: Option<i32>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Lead {
    /// One as it could be.
    pub fn example() -> Self {
        Self {
            id: 42,
            version: 1,
            first_name: "John".into(),
            last_name: "Doe".into(),
            email: "john@example.com".into(),
            phone: Some("+1 555 0100".into()),
            budget_cents: Some(1_250_050),
            location: Some("Austin, TX".into()),
            status: "NEW".into(),
            owner_id: Some(1),
            created_at: example_time(),
            updated_at: example_time(),
        }
    }
}

/// A lead was created. Those of one `createLeads` are a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeadCreated {
    /// The new lead.
    pub lead: Lead,
}

/// A lead was changed or assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeadUpdated {
    /// The lead after the change.
    pub lead: Lead,
    /// The fields that changed, by their names in `lead`.
    pub changed: Vec<String>,
}

/// A lead was removed, and with it everything that belongs to it in every service. What belonged to it is not
/// told one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeadRemoved {
    /// The id it had. It is not given again.
    pub id: i32,
    /// The version after its last one.
    pub version: i32,
}

event!(LeadCreated, "lead.created" by "leads", |it| format!("lead/{}", it.lead.id), |it| Some(it.lead.version),
    Self { lead: Lead::example() });
event!(LeadUpdated, "lead.updated" by "leads", |it| format!("lead/{}", it.lead.id), |it| Some(it.lead.version),
    Self { lead: Lead { version: 2, status: "CONTACTED".into(), ..Lead::example() }, changed: vec!["status".into()] });
event!(LeadRemoved, "lead.removed" by "leads", |it| format!("lead/{}", it.id), |it| Some(it.version),
    Self { id: 42, version: 3 });
