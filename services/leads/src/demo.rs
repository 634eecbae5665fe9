//! Demo data: fifteen leads from a CSV, the same each time.

use crate::lead::{CreateLeadInput, LeadStatus, to_insert};
use async_graphql::{InputType, Value};
use events::contract::LeadCreated;
use sea_orm::ActiveModelTrait;
use serde::Deserialize;
use subgraph::{Caller, Change, Error, Result, Service};

const LEADS: &str = include_str!("../demo/leads.csv");

/// One line of the CSV.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    first_name: String,
    last_name: String,
    email: String,
    phone: Option<String>,
    budget: Option<f64>,
    location: Option<String>,
    status: String,
}

impl Row {
    fn into_input(self) -> Result<CreateLeadInput> {
        let Self { first_name, last_name, email, phone, budget, location, status } = self;
        let status = LeadStatus::parse(Some(Value::from(status.to_uppercase())));
        let status = Some(status.map_err(|_| Error::invalid("status", "is not a status"))?);
        Ok(CreateLeadInput { first_name, last_name, email, phone, budget, location, status, owner_id: None })
    }
}

fn rows() -> Result<Vec<CreateLeadInput>> {
    let mut reader = csv::Reader::from_reader(LEADS.as_bytes());
    reader.deserialize().map(|row: Result<Row, _>| row.map_err(Error::internal)?.into_input()).collect()
}

/// Loads the demo data into an empty database.
pub(crate) async fn load(service: Service) -> Result<()> {
    let mut change = Change::begin(&service, &Caller::system()).await?;
    let rows = rows()?;
    change.begin_batch(rows.len());
    for input in rows {
        let lead = to_insert(input.into_lead(change.at())?).insert(change.tx()).await?;
        change.record_event("lead.created", lead.id, &lead, &LeadCreated { lead: (&lead).into() })?;
    }
    change.finish(()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csv_holds_fifteen_valid_leads_and_nobody_that_people_try_first() {
        let rows = rows().unwrap();
        assert_eq!(rows.len(), 15);
        for row in rows {
            assert_ne!((&*row.first_name, &*row.last_name), ("John", "Doe"));
            assert_ne!(row.email, "john@example.com");
            row.into_lead(chrono::DateTime::UNIX_EPOCH).unwrap();
        }
    }
}
