//! A service that follows leads, as the events and the leads service tell of them.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod follower;
mod hold;
mod parked;

#[test]
fn scenarios() {
    testkit::scenarios(&follower::subgraph(), env!("CARGO_MANIFEST_DIR"));
}
