//! What happens to leads and interactions changes their scores, at once and at the same cost however much happened
//! before. Others are told when a score moved because of it; that time passed moves no score.

use crate::{
    history::{self, Cause},
    model::{self, DecayedSum, Profile, ScoreModel},
    recalculation,
    score::{self, Model},
    summary,
};
use events::contract::{
    InteractionCreated, InteractionRemoved, InteractionUpdated, LeadCreated, LeadRemoved, LeadUpdated,
    ScoreUpdated,
};
use leadview::interactions::{self, Noted};
use sea_orm::EntityTrait;
use serde_json::json;
use subgraph::{Change, Consumer, Missing, Received, Result, Service, View};

/// Keeps the scores.
pub(crate) struct Scoring;

impl Consumer<InteractionCreated> for Scoring {
    async fn apply(change: &mut Change, received: &Received<InteractionCreated>) -> Result<()> {
        let noted = interactions::note(change, &received.event.interaction).await?;
        touched(change, noted, &Cause::event(received)).await
    }
}

impl Consumer<InteractionUpdated> for Scoring {
    async fn apply(change: &mut Change, received: &Received<InteractionUpdated>) -> Result<()> {
        let noted = interactions::note(change, &received.event.interaction).await?;
        touched(change, noted, &Cause::event(received)).await
    }
}

impl Consumer<InteractionRemoved> for Scoring {
    async fn apply(change: &mut Change, received: &Received<InteractionRemoved>) -> Result<()> {
        let noted = interactions::remove(change, &received.event).await?;
        touched(change, noted, &Cause::event(received)).await
    }
}

impl View<InteractionUpdated> for Scoring {
    /// Many may be missing: their leads' sums are made anew afterwards, all together. Until then the scores are
    /// marked as made by no model, so that whatever happens meanwhile makes them anew too.
    async fn refill(change: &mut Change, row: &InteractionUpdated) -> Result<bool> {
        let noted = interactions::note(change, &row.interaction).await?;
        if noted.is_some() {
            score::Entity::disown(change, row.interaction.lead_id).await?;
        }
        Ok(noted.is_some())
    }

    async fn refilled(service: Service) -> Result<()> {
        recalculation::request(&service).await
    }

    async fn forget(missing: &Missing<'_>) -> anyhow::Result<u64> {
        interactions::forget(missing).await
    }
}

impl Consumer<LeadCreated> for Scoring {
    async fn apply(change: &mut Change, received: &Received<LeadCreated>) -> Result<()> {
        profiled(change, received.event.lead.id, &Cause::event(received)).await
    }
}

impl Consumer<LeadUpdated> for Scoring {
    async fn apply(change: &mut Change, received: &Received<LeadUpdated>) -> Result<()> {
        profiled(change, received.event.lead.id, &Cause::event(received)).await
    }
}

/// A lead that is removed takes what is stored about it with it.
impl Consumer<LeadRemoved> for Scoring {
    async fn apply(change: &mut Change, received: &Received<LeadRemoved>) -> Result<()> {
        let lead = received.event.id;
        let scores = score::Entity::delete_by_id(lead).exec(change.tx()).await?.rows_affected;
        let summaries = summary::Entity::delete_by_id(lead).exec(change.tx()).await?.rows_affected;
        let changes = history::remove_of_lead(change, lead).await?;
        let interactions = interactions::remove_of_lead(change, lead).await?;
        if scores + summaries + changes + interactions > 0 {
            let count = json!({ "scores": scores, "summaries": summaries });
            change.record("score.removed_with_lead", lead, &count)?;
        }
        Ok(())
    }
}

/// An interaction was noted, corrected or removed; nothing when that was known.
async fn touched(change: &mut Change, noted: Option<Noted>, cause: &Cause) -> Result<()> {
    let Some(Noted { before, after }) = noted else { return Ok(()) };
    let Some(lead) = after.as_ref().or(before.as_ref()).and_then(|row| row.lead_id) else { return Ok(()) };
    let (row, was_there) = Model::hold(change, lead).await?;
    let model = change.service().state::<ScoreModel>().clone();
    let sum = match changed_sum(&model, &row, before.as_ref(), after.as_ref()) {
        Some(sum) => sum,
        None => score::sum_anew(&model, change.tx(), lead).await?,
    };
    let profile = score::profile(change.tx(), lead).await?;
    let before = was_there.then(|| row.clone());
    let row = Model { touched: row.touched + 1, ..row };
    save(change, before, row.calculated(&model, sum, &profile, change.at()), cause).await
}

/// The sum with one interaction changed; nothing when it has to be made anew.
fn changed_sum(
    model: &ScoreModel,
    row: &Model,
    before: Option<&interactions::Model>,
    after: Option<&interactions::Model>,
) -> Option<DecayedSum> {
    // One that another model made, or none, is of no use
    if !row.is_by(model) {
        return None;
    }
    if let (Some(before), Some(after)) = (before, after)
        && (&before.kind, before.at) == (&after.kind, after.at)
    {
        // Other notes weigh the same
        return Some(row.sum());
    }
    let without = match before {
        Some(before) => row.sum().minus(model, model.points(&before.kind), before.at)?,
        None => row.sum(),
    };
    Some(after.map_or(without, |after| without.plus(model, model.points(&after.kind), after.at)))
}

/// What is known about a lead changed; that matters where it changes how well the lead fits, or closes it.
async fn profiled(change: &mut Change, lead: i32, cause: &Cause) -> Result<()> {
    if score::Entity::find_by_id(lead).one(change.tx()).await?.is_none() {
        return Ok(());
    }
    let (row, _) = Model::hold(change, lead).await?;
    let profile: Profile = score::profile(change.tx(), lead).await?;
    if (row.fit, row.closed) == (model::fit(&profile), model::is_closed(&profile)) {
        return Ok(());
    }
    let sum = row.sum_by(change.service(), change.tx()).await?;
    let new = row.clone().calculated(change.service().state(), sum, &profile, change.at());
    save(change, Some(row), new, cause).await
}

/// Stores a score in the place of the one before, keeps what changed, and tells others if it moved.
pub(crate) async fn save(
    change: &mut Change,
    before: Option<Model>,
    new: Model,
    cause: &Cause,
) -> Result<()> {
    let (model, now) = (change.service().state::<ScoreModel>().clone(), change.at());
    let stored = before.as_ref().map(|row| row.activity_score);
    let previous = before.as_ref().map(|row| (row.current(&model, now), row.band(&model, now)));
    let moved = previous.as_ref() != Some(&(new.activity_score, new.band(&model, now)));
    let new = Model { previous_score: stored, version: new.version + i32::from(moved), ..new };
    new.store(change).await?;
    if moved || stored != Some(new.activity_score) {
        history::add(change, &new, cause).await?;
    }
    if moved && cause.is_told() {
        tell(change, &new, previous, cause).await?;
    }
    Ok(())
}

async fn tell(
    change: &mut Change,
    new: &Model,
    previous: Option<(i32, String)>,
    cause: &Cause,
) -> Result<()> {
    let (previous_score, previous_band) = previous.unzip();
    let told = ScoreUpdated {
        lead_name: leadview::name(change.tx(), new.lead_id).await?,
        previous_score,
        previous_band,
        ..new.told(change.service().state())
    };
    if cause.is_bulk() {
        change.begin_batch(1);
    }
    let details = json!({ "activityScore": [previous_score, new.activity_score], "cause": cause.name() });
    change.record_event("score.updated", new.lead_id, &details, &told)
}
