//! The `interactions` subgraph owns what happened with leads: each call, e-mail and meeting, when
//! it was and what was said. It does not own the leads: they are ids here, and whether one exists
//! its view of them says, else the leads service. What an interaction is worth belongs to `scoring`.

mod cascade;
mod demo;
mod interaction;
mod lead;

use async_graphql::{EmptySubscription, MergedObject};
use events::contract::LeadRemoved;
use subgraph::{Policy, Role, Subgraph};

/// What can be asked.
#[derive(Default, MergedObject)]
pub struct Query(interaction::InteractionQuery, lead::LeadQuery);

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(interaction::InteractionMutation);

/// The subgraph, not yet started.
pub fn subgraph() -> Subgraph {
    let policy = Policy::default()
        .read(Role::SalesRep, &["interaction", "interactions", "interactionsByLead"])
        .allow(Role::SalesRep, &["createInteraction", "updateInteraction"])
        .allow(Role::Manager, &["removeInteraction"]);
    let subgraph = Subgraph::new::<Query, Mutation, EmptySubscription, migrations::interactions::Migrator>(
        "interactions",
        4003,
        policy,
    )
    .peer("accounts", 4001)
    .peer("leads", 4002)
    .table::<interaction::Entity>("interaction")
    .snapshot(interaction::snapshot)
    .demo(demo::load);
    leadview::follow(subgraph).on::<LeadRemoved, cascade::Cascade>()
}
