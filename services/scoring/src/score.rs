//! A lead's score: what is stored of it, and what it is made of.
//!
//! - A lead without a row has no score: nothing happened with it, and nobody asked for one.
//! - The row holds the sum of its interactions' points, from which the score at any time follows; `activity_score`
//!   is that value as of `score_calculated_at`.
//! - Whoever changes a row holds its lock. `touched` grows with each change of the lead's interactions.

mod snapshot;

use crate::model::{self, DecayedSum, Profile, ScoreModel};
use chrono::{DateTime, Utc};
use leadview::interactions;
use sea_orm::{
    ExprTrait, IntoActiveModel, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{OnConflict, Order},
};
pub(crate) use snapshot::snapshot;
use subgraph::{Change, Result, Service};

/// The model of scores that none of ours made; as the migration that adds the column says.
const NO_MODEL: &str = "0";

/// What is stored about one lead.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "lead_score")]
#[expect(
    clippy::struct_field_names,
    reason = "the model of a row and the model of a score are two words for people"
)]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub lead_id: i32,
    pub activity_score: i32,
    pub score_calculated_at: DateTimeUtc,
    pub decayed_sum: f64,
    pub as_of: i64,
    pub drift: f64,
    pub rank: f64,
    pub touched: i32,
    pub fit: i32,
    pub closed: bool,
    pub version: i32,
    pub previous_score: Option<i32>,
    pub model_version: String,
}

/// No relations: the lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The leads with the highest score at any time, best first.
    pub(crate) fn top(include_closed: bool, limit: u64) -> Select<Self> {
        let all = Self::find().order_by(Column::Rank, Order::Desc).order_by_asc(Column::LeadId).limit(limit);
        // To the letter the condition of the index
        if include_closed { all } else { all.filter(Expr::cust("NOT closed")) }
    }

    /// Marks the score of a lead whose interactions changed, if it has one, as made by no model.
    pub(crate) async fn disown(change: &Change, lead: i32) -> Result<()> {
        let update = Self::update_many().filter(Column::LeadId.eq(lead));
        let update = update.col_expr(Column::ModelVersion, Expr::value(NO_MODEL));
        update.col_expr(Column::Touched, Expr::col(Column::Touched).add(1)).exec(change.tx()).await?;
        Ok(())
    }

    /// Whether there are scores that this model did not make.
    pub(crate) async fn has_others(db: &impl ConnectionTrait, model: &ScoreModel) -> Result<bool> {
        let other = Self::find().filter(Column::ModelVersion.ne(model.version()));
        Ok(other.one(db).await?.is_some())
    }
}

impl Model {
    /// The row of a lead, held until the transaction ends; one of a lead without interactions when there was none.
    /// Says whether there was one.
    pub(crate) async fn hold(change: &Change, lead: i32) -> Result<(Self, bool)> {
        let fresh = Self::fresh(lead, change.at()).into_active_model().reset_all();
        let unless_there = OnConflict::column(Column::LeadId).do_nothing().to_owned();
        let insert = Entity::insert(fresh).on_conflict(unless_there);
        let was_there = insert.exec_without_returning(change.tx()).await? == 0;
        let row = Entity::find_by_id(lead).lock_exclusive().one(change.tx()).await?;
        let row = row.ok_or_else(|| subgraph::Error::internal("a row that was just written is not there"))?;
        Ok((row, was_there))
    }

    /// A lead with which nothing happened.
    pub(crate) fn fresh(lead_id: i32, at: DateTime<Utc>) -> Self {
        Self {
            lead_id,
            activity_score: 0,
            score_calculated_at: at,
            decayed_sum: 0.0,
            as_of: 0,
            drift: 0.0,
            rank: DecayedSum::ZERO.rank(&ScoreModel::default()),
            touched: 0,
            fit: 0,
            closed: false,
            version: 0,
            previous_score: None,
            model_version: NO_MODEL.into(),
        }
    }

    /// The sum of its interactions' points, made anew where another model made it, or none.
    pub(crate) async fn sum_by(&self, service: &Service, db: &impl ConnectionTrait) -> Result<DecayedSum> {
        let model = service.state::<ScoreModel>();
        if self.is_by(model) { Ok(self.sum()) } else { sum_anew(model, db, self.lead_id).await }
    }

    /// Whether this model made it.
    pub(crate) fn is_by(&self, model: &ScoreModel) -> bool {
        self.model_version == model.version()
    }

    /// The sum of its interactions' points.
    pub(crate) fn sum(&self) -> DecayedSum {
        DecayedSum { value: self.decayed_sum, at: self.as_of, drift: self.drift }
    }

    /// The score now, not rounded.
    pub(crate) fn activity_at(&self, model: &ScoreModel, now: DateTime<Utc>) -> f64 {
        model.activity(self.sum().at(model, model::micros(now)))
    }

    /// The score now.
    pub(crate) fn current(&self, model: &ScoreModel, now: DateTime<Utc>) -> i32 {
        model::rounded(self.activity_at(model, now))
    }

    /// The band now.
    pub(crate) fn band(&self, model: &ScoreModel, now: DateTime<Utc>) -> String {
        model::band(self.fit, self.current(model, now))
    }

    /// This lead with these interactions and this profile, as of now.
    #[must_use]
    pub(crate) fn calculated(
        self,
        model: &ScoreModel,
        sum: DecayedSum,
        profile: &Profile,
        now: DateTime<Utc>,
    ) -> Self {
        let row = Self {
            decayed_sum: sum.value,
            as_of: sum.at,
            drift: sum.drift,
            rank: sum.rank(model),
            fit: model::fit(profile),
            closed: model::is_closed(profile),
            score_calculated_at: now,
            model_version: model.version(),
            ..self
        };
        Self { activity_score: row.current(model, now), ..row }
    }

    /// Writes it in the place of what is stored.
    pub(crate) async fn store(&self, change: &Change) -> Result<()> {
        self.clone().into_active_model().reset_all().update(change.tx()).await?;
        Ok(())
    }
}

/// What is known about a lead that says how well it fits.
pub(crate) async fn profile(db: &impl ConnectionTrait, lead: i32) -> Result<Profile> {
    let known = leadview::Entity::find_by_id(lead).one(db).await?;
    Ok(known.as_ref().map(Profile::from).unwrap_or_default())
}

/// The sum of all interactions with a lead, made anew.
pub(crate) async fn sum_anew(model: &ScoreModel, db: &impl ConnectionTrait, lead: i32) -> Result<DecayedSum> {
    let all = interactions::Entity::find().select_only();
    let all = all.column(interactions::Column::Kind).column(interactions::Column::At);
    let all = all.filter(interactions::Column::LeadId.eq(lead)).into_tuple::<(String, i64)>().all(db).await?;
    Ok(DecayedSum::of(model, all.iter().map(|(kind, at)| (model.points(kind), *at))))
}

#[cfg(test)]
mod tests;
