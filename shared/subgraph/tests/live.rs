//! Live delivery over real sockets: the protocol, what is delivered, and what slow clients are told.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tokens count from now"
)]

#[path = "live/admission.rs"]
mod admission;
#[path = "live/client.rs"]
mod client;
#[path = "live/delivery.rs"]
mod delivery;
#[path = "live/own.rs"]
mod own;
#[path = "live/protocol.rs"]
mod protocol;
#[path = "live/slow.rs"]
mod slow;
#[path = "live/stage.rs"]
mod stage;
