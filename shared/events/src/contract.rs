//! Every event there is, by the service that publishes it. A field is added as an `Option` with
//! `#[serde(default)]`, so that consumers and the events of last week still understand each other.

mod accounts;
mod interactions;
mod leads;
mod notifications;
mod scoring;
mod tasks;

pub use accounts::{SessionRevoked, User, UserCreated, UserUpdated};
pub use interactions::{Interaction, InteractionCreated, InteractionRemoved, InteractionUpdated};
pub use leads::{Lead, LeadCreated, LeadRemoved, LeadUpdated};
pub use notifications::{
    BulkAction, Notification, NotificationCreated, NotificationDeleted, NotificationUpdated,
    NotificationsUpdated,
};
pub use scoring::{ScoreUpdated, ScoresRecalculated};
pub use tasks::{Task, TaskCompleted, TaskCreated, TaskRemoved, TaskUpdated};

use crate::envelope::Event;
use chrono::{DateTime, Utc};

/// Calls `each` with every type of event there is, in the order of the documentation.
pub trait EachEvent {
    /// Called once for each type.
    fn event<E: Event>(&mut self);
}

/// Every type of event there is.
pub fn each(of: &mut impl EachEvent) {
    of.event::<LeadCreated>();
    of.event::<LeadUpdated>();
    of.event::<LeadRemoved>();
    of.event::<InteractionCreated>();
    of.event::<InteractionUpdated>();
    of.event::<InteractionRemoved>();
    of.event::<TaskCreated>();
    of.event::<TaskUpdated>();
    of.event::<TaskCompleted>();
    of.event::<TaskRemoved>();
    of.event::<ScoreUpdated>();
    of.event::<ScoresRecalculated>();
    of.event::<UserCreated>();
    of.event::<UserUpdated>();
    of.event::<SessionRevoked>();
    of.event::<NotificationCreated>();
    of.event::<NotificationUpdated>();
    of.event::<NotificationDeleted>();
    of.event::<NotificationsUpdated>();
}

/// The day of the examples: 2026-01-15T12:00:00Z.
const fn example_time() -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(1_768_478_400_000_000_000)
}

/// One event type: its name, its producer, its subject, its version, its example.
macro_rules! event {
    ($type:ident, $name:literal by $producer:literal, |$this:pat_param| $subject:expr, |$version_of:pat_param| $version:expr, $example:expr) => {
        impl crate::envelope::Event for $type {
            const TYPE: &'static str = $name;
            const PRODUCER: &'static str = $producer;

            fn subject(&self) -> String {
                let about: fn(&Self) -> String = |$this| $subject;
                about(self)
            }

            fn version(&self) -> Option<i32> {
                let of: fn(&Self) -> Option<i32> = |$version_of| $version;
                of(self)
            }

            fn example() -> Self {
                $example
            }
        }
    };
}
use event;
