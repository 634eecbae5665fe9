//! What is stored of scores, beside what the model says of the same interactions and profiles.

use crate::stage::Stage;
use chrono::{DateTime, Utc};
use leadview::interactions;
use scoring::model::{DecayedSum, Profile, ScoreModel, band, fit, micros, rounded};
use sea_orm::{ActiveModelTrait, EntityTrait, FromQueryResult, IntoActiveModel};
use std::collections::HashMap;

/// Rows of one statement: databases take so many values.
const ROWS: usize = 1_000;

/// A row of the table of scores.
#[derive(Clone, Debug, PartialEq, FromQueryResult)]
pub struct Row {
    pub lead_id: i32,
    pub activity_score: i32,
    pub score_calculated_at: DateTime<Utc>,
    pub decayed_sum: f64,
    pub as_of: i64,
    pub rank: f64,
    pub fit: i32,
    pub closed: bool,
    pub model_version: String,
}

impl Row {
    /// The sum at a time.
    pub fn sum_at(&self, model: &ScoreModel, time: i64) -> f64 {
        DecayedSum { value: self.decayed_sum, at: self.as_of, drift: 0.0 }.at(model, time)
    }
}

/// All of them, by lead.
pub async fn scores(stage: &Stage) -> HashMap<i32, Row> {
    let rows = stage.rows::<Row>("SELECT * FROM lead_score").await;
    rows.into_iter().map(|row| (row.lead_id, row)).collect()
}

/// The bands of the newest changes, by lead.
pub async fn bands(stage: &Stage) -> HashMap<i32, String> {
    #[derive(FromQueryResult)]
    struct Band {
        lead_id: i32,
        band: String,
    }
    let rows = stage.rows::<Band>("SELECT lead_id, band FROM score_change ORDER BY id").await;
    rows.into_iter().map(|row| (row.lead_id, row.band)).collect()
}

/// Fills the views.
pub async fn fill(stage: &Stage, leads: &[leadview::Model], happened: &[interactions::Model]) {
    for rows in leads.chunks(ROWS) {
        let rows = rows.iter().map(|row| row.clone().into_active_model().reset_all());
        leadview::Entity::insert_many(rows).exec_without_returning(stage.sql()).await.unwrap();
    }
    for rows in happened.chunks(ROWS) {
        let rows = rows.iter().map(|row| row.clone().into_active_model().reset_all());
        interactions::Entity::insert_many(rows).exec_without_returning(stage.sql()).await.unwrap();
    }
}

/// What the model makes of what the views have, by lead; removed leads are left out.
pub struct Truth {
    pub model: ScoreModel,
    pub now: DateTime<Utc>,
    leads: HashMap<i32, leadview::Model>,
    sums: HashMap<i32, DecayedSum>,
}

impl Truth {
    pub async fn read(stage: &Stage, model: ScoreModel) -> Self {
        let leads = leadview::Entity::find().all(stage.sql()).await.unwrap();
        let happened = interactions::Entity::find().all(stage.sql()).await.unwrap();
        Self::of(model, stage.clock.now(), leads, &happened)
    }

    fn of(
        model: ScoreModel,
        now: DateTime<Utc>,
        leads: Vec<leadview::Model>,
        all: &[interactions::Model],
    ) -> Self {
        let mut sums: HashMap<i32, DecayedSum> = HashMap::new();
        for row in all {
            let Some(lead) = row.lead_id else { continue };
            let sum = sums.entry(lead).or_insert(DecayedSum::ZERO);
            *sum = sum.plus(&model, model.points(&row.kind), row.at);
        }
        let leads = leads.into_iter().filter(|lead| !lead.is_removed()).map(|lead| (lead.id, lead)).collect();
        Self { model, now, leads, sums }
    }

    /// The leads that are there.
    pub fn leads(&self) -> impl Iterator<Item = i32> {
        self.leads.keys().copied()
    }

    pub fn sum(&self, lead: i32) -> DecayedSum {
        self.sums.get(&lead).copied().unwrap_or(DecayedSum::ZERO)
    }

    pub fn fit(&self, lead: i32) -> i32 {
        fit(&Profile::from(&self.leads[&lead]))
    }

    /// [`Truth::check`] of all of them.
    pub fn check_all(&self, stored: &HashMap<i32, Row>) {
        for row in stored.values() {
            self.check(row);
        }
    }

    /// Fails when what is stored of a lead differs from what follows from its interactions and profile.
    pub fn check(&self, row: &Row) {
        let (lead, time) = (row.lead_id, micros(self.now));
        let (kept, anew) = (row.sum_at(&self.model, time), self.sum(lead).at(&self.model, time));
        assert!((kept - anew).abs() <= 1e-9 * anew.max(1.0), "{lead}: the sum {kept} is not {anew}");
        let calculated = micros(row.score_calculated_at);
        let activity = self.model.activity(self.sum(lead).at(&self.model, calculated));
        assert!(
            row.activity_score == rounded(activity) || is_at_boundary(activity),
            "{lead}: {} is not {activity}",
            row.activity_score
        );
        assert_eq!(row.fit, self.fit(lead), "{lead}: fit");
        let status = self.leads[&lead].status.as_deref();
        assert_eq!(row.closed, matches!(status, Some("WON" | "LOST")), "{lead}: closed");
        assert_eq!(row.model_version, self.model.version(), "{lead}");
        self.check_rank(row, self.sum(lead));
    }

    fn check_rank(&self, row: &Row, anew: DecayedSum) {
        let (kept, rank) = (row.rank, anew.rank(&self.model));
        // What is left of something that long ago is nothing: some say so, others keep a tiny number
        if anew.at(&self.model, micros(self.now)) > 1e-100 || anew.value == 0.0 {
            assert!((kept - rank).abs() <= 1e-9 * rank.abs(), "{}: rank {kept} is not {rank}", row.lead_id);
        }
    }
}

/// Fails when the band of a change is not that of the row it came from.
pub fn check_band(row: &Row, written: &str) {
    assert_eq!(written, band(row.fit, row.activity_score), "{}: band", row.lead_id);
}

/// Whether so little decides how it is rounded that either is right.
pub fn is_at_boundary(activity: f64) -> bool {
    let fraction = (activity + 0.5).fract();
    fraction.min(1.0 - fraction) < 1e-6
}
