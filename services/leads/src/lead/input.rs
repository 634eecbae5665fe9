//! What clients send about a lead, checked.

use super::{LeadStatus, Model};
use crate::money::Cents;
use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::NotSet, IntoActiveModel};
use serde::Serialize;
use subgraph::{
    Error, Id, Patch, Result, RowId,
    validate::{Validator, fold},
};

/// A new lead.
#[derive(Clone, Debug, InputObject, Serialize)]
pub(crate) struct CreateLeadInput {
    /// First name, 1 to 100 characters.
    pub(crate) first_name: String,
    /// Last name, 1 to 100 characters.
    pub(crate) last_name: String,
    /// Unique among all leads, whatever its case.
    pub(crate) email: String,
    /// A telephone number of 7 to 15 digits.
    pub(crate) phone: Option<String>,
    /// 0 to 99,999,999.99, at most two decimals.
    pub(crate) budget: Option<f64>,
    /// Up to 200 characters.
    pub(crate) location: Option<String>,
    /// NEW when absent.
    pub(crate) status: Option<LeadStatus>,
    /// The user it belongs to.
    pub(crate) owner_id: Option<Id>,
}

impl CreateLeadInput {
    /// The lead this makes at `now`. Its id is the database's to give.
    pub(crate) fn into_lead(self, now: DateTime<Utc>) -> Result<Model> {
        let Self { first_name, last_name, email, phone, budget, location, status, owner_id } = self;
        let mut v = Validator::default();
        let lead = Model {
            id: Id(0),
            first_name: v.line("firstName", &first_name, 100),
            last_name: v.line("lastName", &last_name, 100),
            email: v.email("email", &email),
            phone: phone.and_then(|p| v.phone("phone", &p)),
            budget: budget.map(|b| Cents::check(&mut v, "budget", b)),
            location: location.and_then(|l| v.optional_line("location", &l, 200)),
            status: status.unwrap_or(LeadStatus::New),
            owner_id: owner_id.map(|id| id.0),
            version: 1,
            created_at: now,
            updated_at: now,
            first_name_key: String::new(),
            last_name_key: String::new(),
            email_key: String::new(),
            location_key: None,
        };
        v.finish()?;
        Ok(lead.with_keys())
    }
}

/// Absent means unchanged, null clears (a required field refuses null).
#[derive(Clone, Debug, InputObject)]
pub(crate) struct UpdateLeadInput {
    /// Which lead.
    pub(super) id: RowId,
    /// First name, 1 to 100 characters.
    first_name: MaybeUndefined<String>,
    /// Last name, 1 to 100 characters.
    last_name: MaybeUndefined<String>,
    /// Unique among all leads, whatever its case.
    email: MaybeUndefined<String>,
    /// A telephone number of 7 to 15 digits.
    phone: MaybeUndefined<String>,
    /// 0 to 99,999,999.99, at most two decimals.
    budget: MaybeUndefined<f64>,
    /// Up to 200 characters.
    location: MaybeUndefined<String>,
    /// Where the lead stands in the pipeline.
    status: MaybeUndefined<LeadStatus>,
    /// Refused with CONFLICT when the lead has another version by now.
    expected_version: Option<i32>,
}

impl UpdateLeadInput {
    /// The lead as it is after this update; the same when nothing changes.
    pub(super) fn apply(self, lead: &Model) -> Result<Model> {
        let Self { id, first_name, last_name, email, phone, budget, location, status, expected_version } =
            self;
        if expected_version.is_some_and(|expected| expected != lead.version) {
            let (id, version) = (id.0, lead.version);
            return Err(Error::conflict(format!("Lead {id} has version {version} by now; load it again")));
        }
        let (mut v, mut new) = (Validator::default(), lead.clone());
        if let Some(name) = first_name.required("firstName")? {
            new.first_name = v.line("firstName", &name, 100);
        }
        if let Some(name) = last_name.required("lastName")? {
            new.last_name = v.line("lastName", &name, 100);
        }
        if let Some(email) = email.required("email")? {
            new.email = v.email("email", &email);
        }
        if let Some(phone) = phone.clearable() {
            new.phone = phone.and_then(|p| v.phone("phone", &p));
        }
        if let Some(budget) = budget.clearable() {
            new.budget = budget.map(|b| Cents::check(&mut v, "budget", b));
        }
        if let Some(location) = location.clearable() {
            new.location = location.and_then(|l| v.optional_line("location", &l, 200));
        }
        if let Some(status) = status.required("status")? {
            new.status = status;
        }
        v.finish()?;
        Ok(new.with_keys())
    }
}

/// A location as it is compared: trimmed and folded.
pub(super) fn fold_line(text: &str) -> String {
    fold(text.trim())
}

/// A row to insert, whose id the database gives.
pub(crate) fn to_insert(lead: Model) -> super::ActiveModel {
    super::ActiveModel { id: NotSet, ..lead.into_active_model().reset_all() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> CreateLeadInput {
        CreateLeadInput {
            first_name: " Ada ".into(),
            last_name: "Lovelace".into(),
            email: " Ada@Example.com ".into(),
            phone: None,
            budget: Some(12.5),
            location: Some(" London ".into()),
            status: None,
            owner_id: None,
        }
    }

    fn lead() -> Model {
        input().into_lead(DateTime::UNIX_EPOCH).unwrap()
    }

    fn unchanged() -> UpdateLeadInput {
        UpdateLeadInput {
            id: RowId(1),
            first_name: MaybeUndefined::Undefined,
            last_name: MaybeUndefined::Undefined,
            email: MaybeUndefined::Undefined,
            phone: MaybeUndefined::Undefined,
            budget: MaybeUndefined::Undefined,
            location: MaybeUndefined::Undefined,
            status: MaybeUndefined::Undefined,
            expected_version: None,
        }
    }

    #[test]
    fn text_is_trimmed_and_keys_are_folded() {
        let lead = lead();
        assert_eq!(
            (&*lead.first_name, &*lead.email, &*lead.email_key),
            ("Ada", "Ada@Example.com", "ada@example.com")
        );
        assert_eq!((lead.budget, lead.location_key.as_deref()), (Some(Cents(1250)), Some("london")));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let bad =
            CreateLeadInput { first_name: String::new(), email: "x".into(), budget: Some(-1.0), ..input() };
        let Err(Error::Invalid(faults)) = bad.into_lead(DateTime::UNIX_EPOCH) else { panic!("accepted") };
        assert_eq!(faults.iter().map(|f| &*f.field).collect::<Vec<_>>(), ["firstName", "email", "budget"]);
    }

    #[test]
    fn absent_leaves_null_clears_and_required_refuses_null() {
        assert_eq!(unchanged().apply(&lead()).unwrap(), lead());
        let cleared = UpdateLeadInput { budget: MaybeUndefined::Null, ..unchanged() }.apply(&lead()).unwrap();
        assert_eq!(cleared.budget, None);
        let refused = UpdateLeadInput { status: MaybeUndefined::Null, ..unchanged() }.apply(&lead());
        assert_eq!(refused.unwrap_err().code(), "BAD_USER_INPUT");
    }

    #[test]
    fn another_version_is_a_conflict() {
        let stale = UpdateLeadInput { expected_version: Some(7), ..unchanged() };
        assert_eq!(stale.apply(&lead()).unwrap_err().code(), "CONFLICT");
    }
}
