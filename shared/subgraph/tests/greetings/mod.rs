//! The smallest service there is: it says hello to everybody.

use async_graphql::{EmptyMutation, EmptySubscription, Object};
use migrations::Chassis;
use subgraph::{Policy, Subgraph};

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// Says hello.
    async fn hello(&self) -> &str {
        "hello"
    }
}

/// The service, before it is started.
pub fn greetings() -> Subgraph {
    let policy = Policy::default().public(&["hello"]);
    Subgraph::new::<Query, EmptyMutation, EmptySubscription, Chassis>("greetings", 0, policy)
}
