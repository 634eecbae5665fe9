//! What happened in other services and is worth telling, in words for a person.
//!
//! - Bulk work is told once or not at all: leads that were added together make one notification; tasks, notes and
//!   scores that belong to a batch, such as demo data, make none.
//! - What arrives late for a lead that was removed is not told. What was told of it before stays, and names it no
//!   longer.
//! - A score is told when it moved to another band. A lead's first score moved from nowhere, so it is not.

use crate::notification::{Column, Entity, Model, NotificationType};
use chrono::{DateTime, Utc};
use events::contract::{
    Interaction, InteractionCreated, InteractionUpdated, LeadCreated, LeadRemoved, NotificationCreated,
    ScoreUpdated, ScoresRecalculated, TaskCompleted,
};
use sea_orm::{IntoActiveModel, QuerySelect, entity::prelude::*};
use subgraph::{Change, Consumer, Error, Received, Result, counter};

/// The counter of the order of delivery.
pub(crate) const SEQUENCE: &str = "notification.sequence";

/// Makes notifications of what happened.
#[derive(Debug)]
pub(crate) struct Telling;

/// What there is to tell.
struct News {
    kind: NotificationType,
    title: &'static str,
    message: String,
    lead: Option<i32>,
}

impl News {
    fn of(lead: i32, kind: NotificationType, title: &'static str, message: String) -> Self {
        Self { kind, title, message, lead: Some(lead) }
    }
}

impl Consumer<LeadCreated> for Telling {
    async fn apply(change: &mut Change, received: &Received<LeadCreated>) -> Result<()> {
        let lead = &received.event.lead;
        take_turn(change).await?;
        let full_name = format!("{} {}", lead.first_name, lead.last_name);
        let Some(name) = called(change, lead.id, Some(&full_name), "").await? else { return Ok(()) };
        let kind = NotificationType::LeadCreated;
        let news = match received.batch {
            Some((batch, size)) if size > 1 => {
                if is_told(change, batch).await? {
                    return Ok(());
                }
                let message = format!("{size} leads added to pipeline");
                News { kind, title: "New Leads Created", message, lead: None }
            }
            _ => News::of(lead.id, kind, "New Lead Created", format!("{name} added to pipeline")),
        };
        tell(change, received.at, news).await
    }
}

impl Consumer<LeadRemoved> for Telling {
    async fn apply(change: &mut Change, received: &Received<LeadRemoved>) -> Result<()> {
        let lead = received.event.id;
        take_turn(change).await?;
        let update = Entity::update_many().filter(Column::RelatedLeadId.eq(lead));
        let update = update.col_expr(Column::RelatedLeadId, Expr::value(Option::<i32>::None));
        let count = update.exec(change.tx()).await?.rows_affected;
        if count > 0 {
            change.record("notification.lead_removed", lead, &serde_json::json!({ "count": count }))?;
        }
        Ok(())
    }
}

impl Consumer<TaskCompleted> for Telling {
    async fn apply(change: &mut Change, received: &Received<TaskCompleted>) -> Result<()> {
        let task = &received.event.task;
        if received.batch.is_some() {
            return Ok(());
        }
        take_turn(change).await?;
        let name = called(change, task.lead_id, task.lead_name.as_deref(), "a lead").await?;
        let Some(name) = name else { return Ok(()) };
        let message = format!("{} completed for {name}", task.title);
        let news = News::of(task.lead_id, NotificationType::TaskCompleted, "Task Completed", message);
        tell(change, received.at, news).await
    }
}

impl Consumer<InteractionCreated> for Telling {
    async fn apply(change: &mut Change, received: &Received<InteractionCreated>) -> Result<()> {
        if received.batch.is_some() {
            return Ok(());
        }
        tell_note(change, received.at, &received.event.interaction).await
    }
}

impl Consumer<InteractionUpdated> for Telling {
    async fn apply(change: &mut Change, received: &Received<InteractionUpdated>) -> Result<()> {
        let InteractionUpdated { interaction, changed } = &received.event;
        if received.batch.is_some() || !changed.iter().any(|field| field == "notes") {
            return Ok(());
        }
        tell_note(change, received.at, interaction).await
    }
}

impl Consumer<ScoreUpdated> for Telling {
    async fn apply(change: &mut Change, received: &Received<ScoreUpdated>) -> Result<()> {
        let ScoreUpdated { lead_id, lead_name, previous_score, score, previous_band, band, .. } =
            &received.event;
        let (Some(before), Some(now), None) = (previous_score, score, received.batch) else { return Ok(()) };
        let bands = previous_band.as_ref().zip(band.as_ref()).filter(|(before, now)| before != now);
        let Some((band_before, band)) = bands else { return Ok(()) };
        take_turn(change).await?;
        let name = called(change, *lead_id, lead_name.as_deref(), "A lead").await?;
        let Some(name) = name else { return Ok(()) };
        // It fits better or worse, and is as warm as before
        let message = if before == now {
            format!("{name} moved from {band_before} to {band}")
        } else {
            format!("{name} moved from {before} to {now}")
        };
        let news = News::of(*lead_id, NotificationType::ScoreUpdated, "Lead Score Updated", message);
        tell(change, received.at, news).await
    }
}

impl Consumer<ScoresRecalculated> for Telling {
    async fn apply(change: &mut Change, received: &Received<ScoresRecalculated>) -> Result<()> {
        let count = received.event.count;
        let leads = if count == 1 { "lead" } else { "leads" };
        let message = format!("{count} {leads} recalculated");
        let (kind, title) = (NotificationType::ScoreUpdated, "Lead Scores Recalculated");
        tell(change, received.at, News { kind, title, message, lead: None }).await
    }
}

/// New notes, where there are any.
async fn tell_note(change: &mut Change, at: DateTime<Utc>, interaction: &Interaction) -> Result<()> {
    if interaction.notes.as_ref().is_none_or(|notes| notes.trim().is_empty()) {
        return Ok(());
    }
    take_turn(change).await?;
    let name = called(change, interaction.lead_id, interaction.lead_name.as_deref(), "a lead").await?;
    let Some(name) = name else { return Ok(()) };
    let message = format!("Note added to {name}");
    let news = News::of(interaction.lead_id, NotificationType::CommentAdded, "Note Added", message);
    tell(change, at, news).await
}

/// Waits until no other replica is making a notification. What is looked up from here on stays true until the
/// transaction ends: whether a lead was removed, and whether a batch was told.
pub(crate) async fn take_turn(change: &Change) -> Result<()> {
    counter::Entity::find_by_id(SEQUENCE).lock_exclusive().one(change.tx()).await?;
    Ok(())
}

/// What a lead is called: as the event says, else as the view knows it, else `unknown`. Nothing when it was removed.
async fn called(change: &Change, lead: i32, name: Option<&str>, unknown: &str) -> Result<Option<String>> {
    let known = leadview::Entity::find_by_id(lead).one(change.tx()).await?;
    if known.as_ref().is_some_and(leadview::Model::is_removed) {
        return Ok(None);
    }
    let name = name.map(str::to_owned).or_else(|| known?.name());
    Ok(Some(name.unwrap_or_else(|| unknown.to_owned())))
}

/// Whether an event of the batch came here before. The notification itself does not say: somebody may have deleted
/// it meanwhile.
async fn is_told(change: &Change, batch: Uuid) -> Result<bool> {
    Ok(counter::next(change.tx(), &format!("notification.batch.{batch}")).await? > 1)
}

async fn tell(change: &mut Change, at: DateTime<Utc>, news: News) -> Result<()> {
    let sequence = counter::next(change.tx(), SEQUENCE).await?;
    let row = Model {
        id: change.service().random.uuid(change.at()),
        kind: news.kind,
        title: news.title.into(),
        message: news.message,
        is_read: false,
        related_lead_id: news.lead,
        sequence: i32::try_from(sequence).map_err(Error::internal)?,
        created_at: at,
        updated_at: at,
    };
    let row = row.into_active_model().reset_all().insert(change.tx()).await?;
    let told = NotificationCreated { notification: (&row).into() };
    change.record_event("notification.created", row.id, &row, &told)
}
