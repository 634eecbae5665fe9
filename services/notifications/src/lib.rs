//! The notifications service: what happened, told to everybody who is signed in.
//!
//! It owns the notifications, whether each was read, and the order in which they are delivered. It
//! does not own what they speak of: a lead is an id here, and the text was written when it happened.
//! Notifications are a broadcast: every user sees every one, and read by one is read by all.

use async_graphql::{MergedObject, MergedSubscription};
use subgraph::{Policy, Role, Subgraph};

mod live;
mod notification;

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
    Subgraph::new::<Query, Mutation, Subscription, migrations::notifications::Migrator>(
        "notifications",
        4006,
        policy,
    )
    .table::<notification::Entity>("notification")
}
