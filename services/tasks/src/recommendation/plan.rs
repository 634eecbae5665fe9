//! What to suggest for a lead: thought out before anything is written, since a provider may take its time.

use super::{context::Context, draft::Draft, provider, rules};
use chrono::{DateTime, Utc};
use leadview::Known;
use subgraph::{Result, Service};

/// What to suggest for a lead.
pub(super) struct Plan {
    /// The lead.
    pub lead: Known,
    /// The most urgent first.
    pub drafts: Vec<Draft>,
    /// When a provider was asked, who never says the same twice: what was suggested since, and nobody has decided on,
    /// counts instead of the drafts.
    pub fresh: Option<DateTime<Utc>>,
}

impl Plan {
    /// What to suggest for the lead with this id now.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such lead. A provider that fails is no error: the built-in rules answer.
    pub async fn of(service: &Service, lead: i32) -> Result<Self> {
        let lead = leadview::known(service, lead).await?;
        let context = Context::of(service, lead.lead().clone()).await?;
        let Some(client) = llm::client(service) else {
            return Ok(Self { lead, drafts: rules::drafts(&context), fresh: None });
        };
        let fresh = context.fresh();
        if !context.standing.waiting(fresh).is_empty() {
            return Ok(Self { lead, drafts: Vec::new(), fresh: Some(fresh) });
        }
        let answer = provider::drafts(service, client, &context).await?;
        let drafts = answer.unwrap_or_else(|| rules::drafts(&context));
        Ok(Self { lead, drafts, fresh: Some(fresh) })
    }
}
