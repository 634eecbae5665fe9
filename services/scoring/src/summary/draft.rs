//! Writing one summary, and storing it with the score as of then.

use super::{Column, Entity, Model, facts::Facts, patience::Patience, provider, rules};
use crate::{
    happened,
    history::Cause,
    model::{Profile, ScoreModel},
    score,
};
use leadview::Known;
use sea_orm::{
    ActiveModelTrait, EntityTrait, ExprTrait, IntoActiveModel,
    sea_query::{Expr, OnConflict},
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
    /// The model that wrote it; nothing when the built-in rules did.
    model: Option<String>,
}

impl Draft {
    /// Writes about the lead with this id, with patience when nobody waits for it. Never in a transaction: a provider
    /// may take its time.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such lead. A provider that fails is no error: the built-in rules write.
    pub async fn write(service: &Service, lead: i32, patience: Option<&Patience>) -> Result<Self> {
        let lead = leadview::known(service, lead).await?;
        let facts = Facts::of(service, lead.lead().clone()).await?;
        let (summary, model) = match by_model(service, &facts, patience).await {
            Some((summary, model)) => (summary, Some(model)),
            None => (rules::summary(&facts), None),
        };
        Ok(Self { lead, touched: facts.touched, summary, model })
    }

    /// Stores it, unless the one that is there is to be kept, and the score as of now.
    ///
    /// # Errors
    /// `NOT_FOUND` when the lead was removed since; then nothing is stored.
    pub async fn save(&self, change: &mut Change) -> Result<()> {
        let lead = self.lead.hold(change).await?;
        let (row, was_there) = score::Model::hold(change, lead.id).await?;
        let written = self.put(change, lead.id).await?;
        let (service, model) = (change.service(), change.service().state::<ScoreModel>());
        let sum = row.sum_by(service, change.tx()).await?;
        let new = row.clone().calculated(model, sum, &Profile::from(&lead), change.at());
        let details = json!({ "writtenBy": self.written_by(), "activityScore": new.activity_score });
        happened::save(change, was_there.then_some(row), new, &Cause::summary()).await?;
        change.record(if written { "summary.written" } else { "summary.dropped" }, lead.id, &details)
    }

    fn written_by(&self) -> &str {
        self.model.as_deref().unwrap_or(BUILT_IN)
    }

    /// Puts it in the place of one from older facts, or from the same ones; but rules never replace what a model wrote
    /// from the same ones: a provider that fails for a moment would take it away for good. Says whether it did.
    async fn put(&self, change: &Change, lead: i32) -> Result<bool> {
        let row = Model {
            lead_id: lead,
            summary: self.summary.clone(),
            touched: self.touched,
            written_by: self.written_by().to_owned(),
            written_at: change.at(),
        };
        let known = |column| Expr::col((Entity, column));
        let mut replaced = known(Column::Touched).lte(self.touched);
        if self.model.is_none() {
            let by_rules = known(Column::WrittenBy).eq(BUILT_IN);
            replaced = replaced.and(by_rules.or(known(Column::Touched).lt(self.touched)));
        }
        let mut instead = OnConflict::column(Column::LeadId);
        instead
            .update_columns([Column::Summary, Column::Touched, Column::WrittenBy, Column::WrittenAt])
            .action_and_where(replaced);
        let row = Entity::insert(row.into_active_model().reset_all()).on_conflict(instead);
        Ok(row.exec_without_returning(change.tx()).await? > 0)
    }
}

/// What the model wrote, and its name; nothing when there is none or it fails.
async fn by_model(service: &Service, facts: &Facts, patience: Option<&Patience>) -> Option<(String, String)> {
    let client = llm::client(service)?;
    let reply = match patience {
        Some(patience) => patience.ask(|| provider::ask(client, facts)).await,
        None => provider::ask(client, facts).await,
    };
    match reply {
        Ok(reply) => Some((reply.answer.summary.clone(), reply.model.clone())),
        Err(cause) => {
            let lead = facts.lead.id;
            // The client has warned of it, once for all who ask while it goes on
            tracing::info!(lead, %cause, "the built-in rules write a summary instead of the model");
            None
        }
    }
}
