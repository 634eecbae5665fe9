//! What the services tell each other, and how it gets there with nothing lost.
//!
//! - [`contract`]: one type for each event, versioned; `docs/events.md` is generated from them.
//! - [`Envelope`]: a CloudEvent 1.0 in JSON, as it stands in the outbox and on the bus.
//! - [`outbox`]: written in the transaction of the change; [`Relay`] hands its rows to the bus, in order.
//! - [`Bus`]: a log that several can write to and everybody reads from a position on. [`LocalBus`] is a file
//!   beside the databases, [`NatsBus`] a JetStream stream. Neither is ever the source of truth: a log that was
//!   lost is published again from the outboxes.
//! - [`inbox`]: which events a service has applied, written in the transaction of their effect, and those it
//!   could not apply.

mod bus;
pub mod contract;
pub mod cursor;
mod envelope;
pub mod inbox;
pub mod outbox;
mod relay;
pub mod sqlite;

pub use bus::{Bus, Entry, Reader, local::LocalBus, nats::NatsBus, open};
pub use envelope::{Envelope, Event, trace_of};
pub use relay::Relay;
