//! What to suggest for a lead: thought out before anything is written, since a provider may take its time.

use super::{context::Context, draft::Draft, provider, rules, standing::Basis};
use leadview::Known;
use subgraph::{Result, Service};

/// What to suggest for a lead.
pub(super) struct Plan {
    /// The lead.
    pub lead: Known,
    /// The most urgent first; of a kind, the first one that may be suggested counts.
    pub drafts: Vec<Draft>,
    /// What they are made from.
    pub basis: Basis,
    /// Whether there is a provider, who never says the same twice: what was suggested from the same facts, and nobody
    /// has decided on, counts instead of the drafts.
    pub has_provider: bool,
}

impl Plan {
    /// What to suggest for the lead with this id now.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such lead. A provider that fails is no error: the built-in rules answer.
    pub async fn of(service: &Service, lead: i32) -> Result<Self> {
        let lead = leadview::known(service, lead).await?;
        let context = Context::of(service, lead.lead().clone()).await?;
        let (basis, client) = (context.basis(), llm::client(service));
        let answer = match client {
            Some(_) if !context.standing.waiting(&basis).is_empty() => Some(Vec::new()),
            Some(client) => provider::drafts(service, client, &context).await?,
            None => None,
        };
        let drafts = answer.unwrap_or_else(|| rules::drafts(&context));
        Ok(Self { lead, drafts, basis, has_provider: client.is_some() })
    }
}
