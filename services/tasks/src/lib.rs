//! The `tasks` subgraph owns what is to be done next with each lead: tasks that people made, tasks
//! that were suggested, and what became of the suggestions. It does not own the leads: they are ids
//! here, and whether one exists its view of them says, else the leads service. Of the interactions with
//! them and of their scores it has views too, to suggest what fits.

mod cascade;
mod lead;
mod recommendation;
mod score_view;
mod task;

use async_graphql::{EmptySubscription, MergedObject};
use events::contract::{LeadRemoved, ScoreUpdated};
use subgraph::{Policy, Role, Subgraph};

/// What can be asked.
#[derive(Default, MergedObject)]
pub struct Query(task::TaskQuery, recommendation::RecommendationQuery, lead::LeadQuery);

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(task::TaskMutation, recommendation::RecommendationMutation);

/// The subgraph, not yet started.
pub fn subgraph() -> Subgraph {
    let policy = Policy::default()
        .read(Role::SalesRep, &["task", "tasks", "tasksByLeadId"])
        .read(Role::SalesRep, &["taskRecommendationStats", "taskRecommendationJob"])
        .allow(Role::SalesRep, &["createTask", "updateTask", "completeTask", "updateTaskSource"])
        .allow(Role::SalesRep, &["generateTaskRecommendations", "requestTaskRecommendations"])
        .allow(Role::Manager, &["removeTask"]);
    let subgraph = Subgraph::new::<Query, Mutation, EmptySubscription, migrations::tasks::Migrator>(
        "tasks", 4004, policy,
    )
    .peer("accounts", 4001)
    .peer("leads", 4002)
    .peer("scoring", 4005)
    .table::<task::Entity>("task")
    .table::<score_view::Entity>("score_view")
    .job::<recommendation::Recommend>();
    leadview::interactions::follow(leadview::follow(llm::offered(subgraph)))
        .on::<ScoreUpdated, score_view::ScoreView>()
        .on::<LeadRemoved, score_view::ScoreView>()
        .view::<ScoreUpdated, score_view::ScoreView>()
        .on::<LeadRemoved, cascade::Cascade>()
}
