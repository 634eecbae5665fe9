//! What the databases say, read once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use events::inbox::{self, parked};
use events::{Envelope, outbox};
use sea_orm::{DbErr, EntityTrait, FromQueryResult, QueryOrder};
use subgraph::{Clock, audit};
use uuid::Uuid;

use crate::stack::Databases;
use crate::supergraph::SERVICES;

/// The services that keep a view of the leads.
pub(super) const VIEWERS: [&str; 4] = ["interactions", "tasks", "scoring", "notifications"];
/// The tables whose rows belong to a lead, by their service, with the id and the lead.
const BELONGINGS: [(&str, &str, &str, &str); 9] = [
    ("interactions", "interaction", "id", "lead_id"),
    ("tasks", "task", "id", "lead_id"),
    ("tasks", "interaction_view", "id", "lead_id"),
    ("tasks", "score_view", "lead_id", "lead_id"),
    ("scoring", "interaction_view", "id", "lead_id"),
    ("scoring", "lead_score", "lead_id", "lead_id"),
    ("scoring", "lead_summary", "lead_id", "lead_id"),
    ("scoring", "score_change", "lead_id", "lead_id"),
    ("notifications", "notification", "sequence", "related_lead_id"),
];

/// Everything that the invariants are about.
pub(super) struct Facts {
    pub now: DateTime<Utc>,
    pub services: BTreeMap<&'static str, Told>,
    pub leads: BTreeMap<i32, Lead>,
    pub views: BTreeMap<&'static str, BTreeMap<i32, Lead>>,
    /// Of the owner, and of those who keep a view of them.
    pub interactions: BTreeMap<&'static str, BTreeMap<i32, Interaction>>,
    pub scores: BTreeMap<i32, Score>,
    pub removed: BTreeSet<i32>,
    pub belongings: Vec<Belonging>,
    pub notifications: BTreeMap<Uuid, Notification>,
    pub notification_counter: i64,
    pub revoked: BTreeMap<&'static str, BTreeMap<String, DateTime<Utc>>>,
}

/// What one service did and heard of.
pub(super) struct Told {
    pub audit: BTreeMap<Uuid, audit::Model>,
    pub outbox: Vec<Row>,
    pub inbox: BTreeMap<Uuid, inbox::Model>,
    pub parked: Vec<parked::Model>,
}

/// One row of an outbox.
pub(super) struct Row {
    pub row: outbox::Model,
    pub envelope: Envelope,
}

/// A lead, as its owner has it, or as another service sees it.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub(super) struct Lead {
    pub id: i32,
    pub version: i32,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub status: Option<String>,
    pub budget_cents: Option<i64>,
    pub has_phone: Option<bool>,
    pub location: Option<String>,
    pub owner_id: Option<i32>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub removed_at: Option<DateTime<Utc>>,
}

/// An interaction, as its owner has it, or as another service sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interaction {
    pub version: i32,
    pub lead_id: i32,
    pub kind: String,
    /// In microseconds since 1970.
    pub at: i64,
}

#[derive(FromQueryResult)]
struct OwnedInteraction {
    id: i32,
    version: i32,
    lead_id: i32,
    kind: String,
    date: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct SeenInteraction {
    id: i32,
    version: i32,
    lead_id: i32,
    kind: String,
    at: i64,
}

/// The sum that a lead's score is made of.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Score {
    pub lead_id: i32,
    pub decayed_sum: f64,
    /// In microseconds since 1970.
    pub as_of: i64,
    pub fit: i32,
    pub closed: bool,
}

impl Lead {
    /// Whether something of it says whom it was about.
    pub fn is_personal(&self) -> bool {
        let Self { first_name, last_name, location, .. } = self;
        [first_name, last_name, location].into_iter().any(Option::is_some)
            || self.has_phone == Some(true)
            || self.budget_cents.is_some()
            || self.owner_id.is_some()
    }
}

/// Something that belongs to a lead.
pub(super) struct Belonging {
    pub table: &'static str,
    pub id: i32,
    pub lead_id: i32,
}

#[derive(FromQueryResult)]
struct Pair {
    id: i32,
    lead_id: i32,
}

#[derive(Debug, FromQueryResult)]
pub(super) struct Notification {
    pub id: Uuid,
    pub kind: String,
    pub title: String,
    pub message: String,
    pub related_lead_id: Option<i32>,
    pub sequence: i32,
}

#[derive(FromQueryResult)]
struct Session {
    session: String,
    expires_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Counter {
    value: i64,
}

const LEADS: &str = "SELECT id, version, first_name, last_name, status, budget AS budget_cents, \
    phone IS NOT NULL AS has_phone, location, owner_id, created_at, updated_at, \
    CAST(NULL AS {time}) AS removed_at FROM lead";
const VIEW: &str = "SELECT id, version, first_name, last_name, status, budget_cents, has_phone, location, \
    owner_id, created_at, updated_at, removed_at FROM lead_view";
const NOTIFICATIONS: &str =
    "SELECT id, type AS kind, title, message, related_lead_id, sequence FROM notification";

const OWNED_INTERACTIONS: &str = "SELECT id, version, lead_id, type AS kind, date FROM interaction";
const SEEN_INTERACTIONS: &str =
    "SELECT id, version, lead_id, kind, at FROM interaction_view WHERE lead_id IS NOT NULL";
const SCORES: &str = "SELECT lead_id, decayed_sum, as_of, fit, closed FROM lead_score";

impl Facts {
    pub async fn load(databases: &Databases) -> Result<Self, DbErr> {
        let (mut services, mut views, mut revoked) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for service in SERVICES {
            services.insert(service, Told::load(databases, service).await?);
            let rows: Vec<Session> =
                databases.rows(service, "SELECT session, expires_at FROM revoked_session").await?;
            revoked.insert(service, rows.into_iter().map(|it| (it.session, it.expires_at)).collect());
        }
        for service in VIEWERS {
            views.insert(service, by_id(databases.rows(service, VIEW).await?));
        }
        let mut interactions = BTreeMap::from([("interactions", owned_interactions(databases).await?)]);
        for service in ["tasks", "scoring"] {
            interactions.insert(service, seen_interactions(databases, service).await?);
        }
        let scores: Vec<Score> = databases.rows("scoring", SCORES).await?;
        let time = if databases.backend() == sea_orm::DbBackend::Sqlite { "text" } else { "timestamptz" };
        let leads = by_id(databases.rows("leads", &LEADS.replace("{time}", time)).await?);
        let removed = removed(&services["leads"]);
        let notifications: Vec<Notification> = databases.rows("notifications", NOTIFICATIONS).await?;
        let counter = "SELECT value FROM counter WHERE name = 'notification.sequence'";
        let counter: Vec<Counter> = databases.rows("notifications", counter).await?;
        Ok(Self {
            now: Clock::System.now(),
            services,
            leads,
            views,
            interactions,
            scores: scores.into_iter().map(|score| (score.lead_id, score)).collect(),
            removed,
            belongings: belongings(databases).await?,
            notifications: notifications.into_iter().map(|it| (it.id, it)).collect(),
            notification_counter: counter.first().map_or(0, |it| it.value),
            revoked,
        })
    }

    /// The events of all services.
    pub fn events(&self) -> impl Iterator<Item = &Row> {
        self.services.values().flat_map(|told| &told.outbox)
    }
}

impl Told {
    async fn load(databases: &Databases, service: &'static str) -> Result<Self, DbErr> {
        let db = databases.of(service);
        let outbox = outbox::Entity::find().order_by_asc(outbox::Column::Position).all(db).await?;
        let outbox = outbox.into_iter().map(|row| {
            let envelope = serde_json::from_str(&row.envelope)
                .map_err(|error| DbErr::Custom(format!("{service}: the event {}: {error}", row.id)))?;
            Ok::<_, DbErr>(Row { row, envelope })
        });
        let audit = audit::Entity::find().all(db).await?;
        let inbox = inbox::Entity::find().all(db).await?;
        Ok(Self {
            audit: audit.into_iter().map(|it| (it.id, it)).collect(),
            outbox: outbox.collect::<Result<_, _>>()?,
            inbox: inbox.into_iter().map(|it| (it.event_id, it)).collect(),
            parked: parked::list(db).await?,
        })
    }
}

async fn owned_interactions(databases: &Databases) -> Result<BTreeMap<i32, Interaction>, DbErr> {
    let rows: Vec<OwnedInteraction> = databases.rows("interactions", OWNED_INTERACTIONS).await?;
    let row = |OwnedInteraction { id, version, lead_id, kind, date }| {
        (id, Interaction { version, lead_id, kind, at: date.timestamp_micros() })
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn seen_interactions(
    databases: &Databases,
    service: &str,
) -> Result<BTreeMap<i32, Interaction>, DbErr> {
    let rows: Vec<SeenInteraction> = databases.rows(service, SEEN_INTERACTIONS).await?;
    let row =
        |SeenInteraction { id, version, lead_id, kind, at }| (id, Interaction { version, lead_id, kind, at });
    Ok(rows.into_iter().map(row).collect())
}

fn by_id(leads: Vec<Lead>) -> BTreeMap<i32, Lead> {
    leads.into_iter().map(|lead| (lead.id, lead)).collect()
}

/// The leads that are gone, as the audit log knows them.
fn removed(leads: &Told) -> BTreeSet<i32> {
    let removals = leads.audit.values().filter(|it| it.action == "lead.removed");
    removals.filter_map(|it| it.entity_id.parse().ok()).collect()
}

async fn belongings(databases: &Databases) -> Result<Vec<Belonging>, DbErr> {
    let mut all = Vec::new();
    for (service, table, id, lead) in BELONGINGS {
        let sql = format!("SELECT {id} AS id, {lead} AS lead_id FROM {table} WHERE {lead} IS NOT NULL");
        let rows: Vec<Pair> = databases.rows(service, &sql).await?;
        all.extend(rows.into_iter().map(|Pair { id, lead_id }| Belonging { table, id, lead_id }));
    }
    Ok(all)
}
