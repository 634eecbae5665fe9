//! Writing one summary, and storing it with the score as of then.

use super::{
    Column, Entity, Model,
    facts::{self, Facts},
    provider, rules,
};
use crate::{
    happened,
    history::Cause,
    model::{Profile, ScoreModel},
    score,
};
use leadview::Known;
use sea_orm::{
    ActiveModelTrait, EntityTrait, ExprTrait, IntoActiveModel,
    sea_query::{Alias, Expr, OnConflict},
};
use serde_json::json;
use subgraph::{Change, Result, Service};

/// Who writes when no model does.
const BUILT_IN: &str = "built-in rules";

/// A summary that is written and not yet stored.
pub(super) struct Draft {
    lead: Known,
    /// How often the lead's interactions had changed when it was looked at.
    touched: i32,
    summary: String,
    written_by: String,
}

impl Draft {
    /// Writes about the lead with this id. Never in a transaction: a provider may take its time.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such lead. A provider that fails is no error: the built-in rules write.
    pub async fn write(service: &Service, lead: i32) -> Result<Self> {
        let lead = leadview::known(service, lead).await?;
        let facts = Facts::of(service, lead.lead().clone()).await?;
        let (summary, written_by) = match by_model(service, &facts).await {
            Some(written) => written,
            None => (rules::summary(&facts), BUILT_IN.to_owned()),
        };
        Ok(Self { lead, touched: facts.touched, summary, written_by })
    }

    /// Stores it, unless one that knows more was faster, and the score as of now.
    ///
    /// # Errors
    /// `NOT_FOUND` when the lead was removed since; then nothing is stored.
    pub async fn save(&self, change: &mut Change) -> Result<()> {
        let lead = self.lead.hold(change).await?;
        let (row, was_there) = score::Model::hold(change, lead.id).await?;
        let written = self.put(change, lead.id).await?;
        let (service, model) = (change.service(), change.service().state::<ScoreModel>());
        let sum = facts::sum(service, change.tx(), &row).await?;
        let new = row.clone().calculated(model, sum, &Profile::from(&lead), change.at());
        let details = json!({ "writtenBy": self.written_by, "activityScore": new.activity_score });
        happened::save(change, was_there.then_some(row), new, &Cause::summary()).await?;
        change.record(if written { "summary.written" } else { "summary.outdated" }, lead.id, &details)
    }

    /// Puts it in the place of one from the same facts or older ones. Says whether there was none from newer ones.
    async fn put(&self, change: &Change, lead: i32) -> Result<bool> {
        let (summary, written_by) = (self.summary.clone(), self.written_by.clone());
        let row =
            Model { lead_id: lead, summary, touched: self.touched, written_by, written_at: change.at() };
        let known = Expr::col((Entity, Column::Touched));
        let mut instead = OnConflict::column(Column::LeadId);
        instead
            .update_columns([Column::Summary, Column::Touched, Column::WrittenBy, Column::WrittenAt])
            .action_and_where(known.lte(Expr::col((Alias::new("excluded"), Column::Touched))));
        let row = Entity::insert(row.into_active_model().reset_all()).on_conflict(instead);
        Ok(row.exec_without_returning(change.tx()).await? > 0)
    }
}

/// What the model wrote, and its name; nothing when there is none or it fails.
async fn by_model(service: &Service, facts: &Facts) -> Option<(String, String)> {
    match provider::ask(llm::client(service)?, facts).await {
        Ok(reply) => Some((reply.answer.summary.clone(), reply.model.clone())),
        Err(reason) => {
            let lead = facts.lead.id;
            tracing::warn!(lead, %reason, "the built-in rules write a summary instead of the provider");
            None
        }
    }
}
