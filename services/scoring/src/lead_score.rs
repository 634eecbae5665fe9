//! The score as people ask for it: how active a lead is now, how well it fits, and what each point is made of.

use crate::{
    model::{self, DecayedSum, Profile, ScoreModel},
    score,
};
use async_graphql::{ComplexObject, Context, SimpleObject};
use chrono::{DateTime, Utc};
use leadview::interactions::{self, NewestOfEachKind};
use sea_orm::prelude::DateTimeUtc;
use subgraph::{ContextExt, Result, Service};

/// Interactions that are named one by one.
const NAMED: u8 = 20;
/// Less than this is left by rounding alone.
const REST: f64 = 1e-6;

/// How warm a lead is, and why.
#[derive(Clone, Debug, SimpleObject)]
#[graphql(complex)]
pub(crate) struct LeadScore {
    /// Activity as stored at calculatedAt, 0 to 100.
    activity: i32,
    /// Activity now, 0 to 100.
    current: i32,
    /// How well the lead fits, 0 to 100.
    fit: i32,
    /// Fit A to C, then current activity 1 to 3: A1 is best.
    band: String,
    /// When activity was calculated.
    calculated_at: DateTimeUtc,
    /// Which rules it was calculated by.
    model_version: String,
    #[graphql(skip)]
    row: score::Model,
    /// The one time of everything in this answer.
    #[graphql(skip)]
    now: DateTime<Utc>,
}

/// One part of a score.
#[derive(Clone, Debug, PartialEq, SimpleObject)]
pub(crate) struct ScoreFactor {
    /// What kind of thing counts, such as MEETING or BUDGET; OTHER for all that is not listed.
    kind: String,
    /// The same in words for a person.
    label: String,
    /// What it adds to the score.
    points: f64,
    /// The interaction that counts, if it is one.
    interaction_id: Option<i32>,
    /// When that interaction took place.
    at: Option<DateTimeUtc>,
}

impl LeadScore {
    /// The score of a lead, now.
    pub fn new(row: score::Model, service: &Service) -> Self {
        let (model, now) = (service.state::<ScoreModel>(), service.clock.now());
        let current = row.current(model, now);
        Self {
            activity: row.activity_score,
            current,
            fit: row.fit,
            band: model::band(row.fit, current),
            calculated_at: row.score_calculated_at,
            model_version: row.model_version.clone(),
            row,
            now,
        }
    }
}

#[ComplexObject]
impl LeadScore {
    /// What current is made of, largest first; the points add up to current before rounding.
    async fn factors(&self, ctx: &Context<'_>) -> Result<Vec<ScoreFactor>> {
        let newest = ctx.load(NewestOfEachKind { lead: self.row.lead_id, limit: NAMED }).await?;
        Ok(factors(ctx.service().state(), &self.row, &newest.unwrap_or_default(), self.now))
    }

    /// What fit is made of; the points add up to fit.
    async fn fit_factors(&self, ctx: &Context<'_>) -> Result<Vec<ScoreFactor>> {
        let lead = ctx.by_id::<leadview::Entity>(self.row.lead_id).await?;
        let profile = lead.as_ref().map(Profile::from).unwrap_or_default();
        let factor = |part: model::FitPart| ScoreFactor {
            kind: part.kind.into(),
            label: part.label,
            points: part.points.into(),
            interaction_id: None,
            at: None,
        };
        Ok(model::fit_parts(&profile).into_iter().map(factor).collect())
    }
}

/// The interactions that weigh most, each with its share of the score, and the rest together.
fn factors(
    model: &ScoreModel,
    row: &score::Model,
    newest: &[interactions::Model],
    now: DateTime<Utc>,
) -> Vec<ScoreFactor> {
    let (time, sum) = (model::micros(now), row.sum());
    let (activity, all) = (row.activity_at(model, now), sum.at(model, time));
    if all <= 0.0 {
        return Vec::new();
    }
    let share = |row: &interactions::Model| {
        activity * DecayedSum::of(model, [(model.points(&row.kind), row.at)]).at(model, time) / all
    };
    let mut named: Vec<_> = newest.iter().map(|row| (share(row), row)).collect();
    named.sort_by(|(one, a), (other, b)| other.total_cmp(one).then(b.id.cmp(&a.id)));
    named.truncate(NAMED.into());
    let rest = activity - named.iter().map(|(points, _)| points).sum::<f64>();
    let mut factors: Vec<_> = named.into_iter().map(|(points, row)| ScoreFactor::of(row, points)).collect();
    if rest > REST {
        factors.push(ScoreFactor::other(rest));
    }
    factors
}

impl ScoreFactor {
    fn of(row: &interactions::Model, points: f64) -> Self {
        let (kind, at) = (row.kind.clone(), row.time());
        let noun = match &*kind {
            "EMAIL" => "E-mail",
            "CALL" => "Call",
            _ => "Meeting",
        };
        let label = format!("{noun} on {}", at.format("%Y-%m-%d"));
        Self { kind, label, points, interaction_id: Some(row.id), at: Some(at) }
    }

    fn other(points: f64) -> Self {
        let label = "Everything before".into();
        Self { kind: "OTHER".into(), label, points, interaction_id: None, at: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #[test]
        fn the_points_add_up_to_the_score_before_rounding(
            history in vec((0..3_usize, 0..200_i64), 1..80), later in 0..100_i64,
        ) {
            let (model, hour) = (ScoreModel::default(), 3_600_000_000_i64);
            let row = |(id, (kind, ago)): (usize, &(usize, i64))| interactions::Model {
                id: i32::try_from(id).unwrap(), version: 1, lead_id: Some(1),
                kind: interactions::KINDS[*kind].into(), at: (10_000 - ago) * hour, notes: None,
            };
            let all: Vec<_> = history.iter().enumerate().map(row).collect();
            let sum = DecayedSum::of(&model, all.iter().map(|row| (model.points(&row.kind), row.at)));
            let stored = score::Model::fresh(1, DateTime::UNIX_EPOCH)
                .calculated(&model, sum, &Profile::default(), DateTime::UNIX_EPOCH);
            let now = DateTime::from_timestamp_micros((10_000 + later) * hour).unwrap();
            let newest = interactions::KINDS.iter().flat_map(|kind| {
                let mut of_kind: Vec<_> = all.iter().filter(|row| row.kind == **kind).cloned().collect();
                of_kind.sort_by_key(|row| -row.at);
                of_kind.into_iter().take(NAMED.into())
            });
            let factors = factors(&model, &stored, &newest.collect::<Vec<_>>(), now);
            let points: f64 = factors.iter().map(|factor| factor.points).sum();
            prop_assert!((points - stored.activity_at(&model, now)).abs() < 1e-6);
            let (named, other): (Vec<_>, Vec<_>) = factors.iter().partition(|it| it.interaction_id.is_some());
            prop_assert!(named.len() == all.len().min(NAMED.into()) && other.len() <= 1);
            prop_assert!(named.is_sorted_by(|a, b| a.points >= b.points));
            prop_assert_eq!(other.len(), usize::from(all.len() > NAMED.into()));
        }
    }
}
