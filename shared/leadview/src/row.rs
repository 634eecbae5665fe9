//! One lead, as far as another service knows it.

use events::contract::Lead;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One lead, or the tombstone of one: then nothing is left but the id, the version and the time.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "lead_view")]
pub struct Model {
    /// The lead's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The version that this is; grows with each change of the lead.
    pub version: i32,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Where it stands in the pipeline: `NEW`, `CONTACTED`, `QUALIFIED`, `WON` or `LOST`.
    pub status: Option<String>,
    /// The budget, in cents.
    pub budget_cents: Option<i64>,
    /// Whether there is a telephone number.
    pub has_phone: bool,
    /// Where the lead is.
    pub location: Option<String>,
    /// The user it belongs to.
    pub owner_id: Option<i32>,
    /// When it was created.
    pub created_at: Option<DateTimeUtc>,
    /// When it was last changed.
    pub updated_at: Option<DateTimeUtc>,
    /// When it was removed; null while it is there.
    pub removed_at: Option<DateTimeUtc>,
}

/// No relations: whatever belongs to a lead has its id.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// What the lead is called; nothing for a tombstone.
    pub fn name(&self) -> Option<String> {
        Some(format!("{} {}", self.first_name.as_ref()?, self.last_name.as_ref()?))
    }

    /// Whether the lead is gone.
    pub fn is_removed(&self) -> bool {
        self.removed_at.is_some()
    }

    /// Whether it was won or lost: nothing more is to be done.
    pub fn is_closed(&self) -> bool {
        is_closed(self.status.as_deref())
    }

    /// What stays of a lead that was removed at `at`.
    pub(crate) fn tombstone(id: i32, version: i32, at: DateTimeUtc) -> Self {
        Self {
            id,
            version,
            first_name: None,
            last_name: None,
            status: None,
            budget_cents: None,
            has_phone: false,
            location: None,
            owner_id: None,
            created_at: None,
            updated_at: None,
            removed_at: Some(at),
        }
    }
}

/// Whether a lead in this status was won or lost.
pub fn is_closed(status: Option<&str>) -> bool {
    matches!(status, Some("WON" | "LOST"))
}

impl From<&Lead> for Model {
    fn from(lead: &Lead) -> Self {
        Self {
            id: lead.id,
            version: lead.version,
            first_name: Some(lead.first_name.clone()),
            last_name: Some(lead.last_name.clone()),
            status: Some(lead.status.clone()),
            budget_cents: lead.budget_cents,
            has_phone: lead.phone.is_some(),
            location: lead.location.clone(),
            owner_id: lead.owner_id,
            created_at: Some(lead.created_at),
            updated_at: Some(lead.updated_at),
            removed_at: None,
        }
    }
}
