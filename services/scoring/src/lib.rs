//! The scoring service: how warm each lead is, and what can be said about it in a few words.
//!
//! It owns scores, their history and summaries, by lead id. It does not own the leads: it keeps a
//! view of them, forgets what it has about one that is removed, and answers for any id.

use async_graphql::{MergedObject, MergedSubscription};
use events::contract::LeadRemoved;
use subgraph::{Policy, Role, Subgraph};

mod cascade;
mod lead;
mod recalculation;
mod score;
mod summary;

/// What can be asked.
#[derive(Debug, Default, MergedObject)]
pub struct Query(lead::LeadQuery, summary::SummaryQuery);

/// What can be changed.
#[derive(Debug, Default, MergedObject)]
pub struct Mutation(summary::SummaryMutation, recalculation::RecalculationMutation);

/// What can be followed.
#[derive(Default, MergedSubscription)]
pub struct Subscription(recalculation::RecalculationSubscription);

/// The subgraph.
pub fn subgraph() -> Subgraph {
    let policy = Policy::default()
        .read(Role::SalesRep, &["topLeads", "summaryJob"])
        .allow(Role::SalesRep, &["generateSummary", "recalculationProgress"])
        .allow(Role::Manager, &["recalculateAllScores", "regenerateSummaries"]);
    let subgraph = Subgraph::new::<Query, Mutation, Subscription, migrations::scoring::Migrator>(
        "scoring", 4005, policy,
    )
    .peer("accounts", 4001)
    .peer("leads", 4002)
    .table::<lead::Entity>("lead_score");
    leadview::follow(subgraph).on::<LeadRemoved, cascade::Cascade>()
}
