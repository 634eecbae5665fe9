//! The notifications service: what happened, told to everybody who is signed in.
//!
//! It owns the notifications, whether each was read, and the order in which they are delivered. It
//! does not own what they speak of: a lead is an id here, and the text was written when it happened.
//! Notifications are a broadcast: every user sees every one, and read by one is read by all.

use async_graphql::{MergedObject, MergedSubscription};
use events::contract::{
    InteractionCreated, InteractionUpdated, LeadCreated, LeadRemoved, NotificationCreated,
    NotificationDeleted, NotificationUpdated, NotificationsUpdated, ScoreUpdated, ScoresRecalculated,
    TaskCompleted,
};
use happened::Telling;
use subgraph::{Policy, Role, Subgraph};

mod happened;
mod live;
mod notification;
mod socket_io;

/// What can be asked.
#[derive(Debug, Default, MergedObject)]
pub struct Query(notification::NotificationQuery);

/// What can be changed.
#[derive(Debug, Default, MergedObject)]
pub struct Mutation(notification::NotificationMutation);

/// What can be followed.
#[derive(Default, MergedSubscription)]
pub struct Subscription(live::LiveSubscription);

/// The subgraph.
pub fn subgraph() -> Subgraph {
    let policy = Policy::default()
        .read(Role::SalesRep, &["getNotifications", "getUnreadCount"])
        .allow(Role::SalesRep, &["markAsRead", "markAllAsRead"])
        .allow(Role::SalesRep, &["notificationCreated", "notificationUpdated"])
        .allow(Role::SalesRep, &["notificationDeleted", "notificationsBulkUpdated"])
        .allow(Role::Manager, &["deleteNotification"]);
    let subgraph = Subgraph::new::<Query, Mutation, Subscription, migrations::notifications::Migrator>(
        "notifications",
        4006,
        policy,
    )
    .peer("accounts", 4001)
    .peer("leads", 4002);
    follow_others(leadview::follow(subgraph))
        .table::<notification::Entity>("notification")
        .live::<NotificationCreated>()
        .live::<NotificationUpdated>()
        .live::<NotificationDeleted>()
        .live::<NotificationsUpdated>()
        .beside("/socket.io", socket_io::mount)
}

/// What notifications are made of.
fn follow_others(subgraph: Subgraph) -> Subgraph {
    subgraph
        .on::<LeadCreated, Telling>()
        .on::<LeadRemoved, Telling>()
        .on::<TaskCompleted, Telling>()
        .on::<InteractionCreated, Telling>()
        .on::<InteractionUpdated, Telling>()
        .on::<ScoreUpdated, Telling>()
        .on::<ScoresRecalculated, Telling>()
}
