//! The `leads` subgraph owns leads: who they are, what they are worth, where they stand in the
//! pipeline and whose they are. What happened with them belongs to `interactions`, what to do next
//! to `tasks`, their score and summary to `scoring`.

mod demo;
mod lead;
mod money;
mod owner;

use async_graphql::EmptySubscription;
use subgraph::{Policy, Role, Subgraph};

/// The subgraph, not yet started.
pub fn subgraph() -> Subgraph {
    let policy = Policy::default()
        .read(Role::SalesRep, &["leads", "leadsConnection", "lead"])
        .allow(Role::SalesRep, &["createLead", "updateLead", "assignLead"])
        .allow(Role::Manager, &["removeLead", "createLeads"]);
    Subgraph::new::<lead::LeadQuery, lead::LeadMutation, EmptySubscription, migrations::leads::Migrator>(
        "leads", 4002, policy,
    )
    .table::<lead::Entity>("lead")
    .snapshot(lead::snapshot)
    .peer("accounts", 4001)
    .demo(demo::load)
}
