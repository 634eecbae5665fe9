//! The scoring service: how warm each lead is, and what can be said about it in a few words.
//!
//! It owns scores, their history and summaries, by lead id. It does not own the leads: it keeps a
//! view of them, forgets what it has about one that is removed, and answers for any id.

use async_graphql::{MergedObject, MergedSubscription};
use events::contract::{
    InteractionCreated, InteractionRemoved, InteractionUpdated, LeadCreated, LeadRemoved, LeadUpdated,
};
use happened::Scoring;
use leadview::interactions;
use model::ScoreModel;
pub use recalculation::{Recalculation, recalculate};
use subgraph::{Policy, Role, Subgraph};

mod happened;
mod history;
mod lead;
mod lead_score;
pub mod model;
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
    .peer("interactions", 4003)
    .arg(model::ARG)
    .state(ScoreModel::configured)
    .table::<score::Entity>("lead_score")
    .snapshot(score::snapshot)
    .table::<history::Entity>("score_change")
    .table::<summary::Entity>("lead_summary")
    .table::<interactions::Entity>("interaction_view")
    .job::<Recalculation>()
    .job::<summary::Summarise>()
    .on_start(recalculation::when_the_model_changed);
    leadview::follow(llm::offered(subgraph))
        .on::<LeadCreated, Scoring>()
        .on::<LeadUpdated, Scoring>()
        .on::<LeadRemoved, Scoring>()
        .on::<InteractionCreated, Scoring>()
        .on::<InteractionUpdated, Scoring>()
        .on::<InteractionRemoved, Scoring>()
        .view::<InteractionUpdated, Scoring>()
}
