//! What this service knows about a lead when its summary is to be written.

use crate::{
    model::{Profile, ScoreModel},
    score,
};
use chrono::{DateTime, Utc};
use leadview::interactions;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{ExprTrait, Func},
};
use subgraph::{Result, Service};

/// How many of the newest interactions count with what was said.
const NEWEST: u8 = 10;

/// What is known about a lead.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// As of when.
    pub at: DateTime<Utc>,
    /// How often the lead's interactions had changed at least.
    pub touched: i32,
    pub lead: leadview::Model,
    /// How many interactions there were of each kind, in the order of [`interactions::KINDS`].
    pub counts: [i64; 3],
    /// The newest ones, newest first.
    pub newest: Vec<interactions::Model>,
    /// 0 to 100, as of then.
    pub score: i32,
    /// 0 to 100.
    pub fit: i32,
    pub band: String,
}

impl Facts {
    /// What is known about this lead now.
    pub async fn of(service: &Service, lead: leadview::Model) -> Result<Self> {
        let (db, at, model) = (service.db.read(), service.clock.now(), service.state::<ScoreModel>());
        // Before anything else: what happens from here on makes the summary stale, whether it is in it or not
        let row = score::Entity::find_by_id(lead.id).one(db).await?;
        let row = row.unwrap_or_else(|| score::Model::fresh(lead.id, at));
        let sum = row.sum_by(service, db).await?;
        let row = row.calculated(model, sum, &Profile::from(&lead), at);
        Ok(Self {
            at,
            touched: row.touched,
            counts: counts(db, lead.id).await?,
            newest: interactions::latest(db, lead.id, NEWEST).await?,
            score: row.activity_score,
            fit: row.fit,
            band: row.band(model, at),
            lead,
        })
    }

    /// How many interactions there were.
    pub fn total(&self) -> i64 {
        self.counts.iter().sum()
    }
}

/// How many interactions of each kind there were, from the index alone.
async fn counts(db: &impl ConnectionTrait, lead: i32) -> Result<[i64; 3]> {
    use interactions::{Column, Entity, KINDS};
    let count = Func::count(Column::Id.into_expr()).cast_as("bigint");
    let counts = Entity::find().select_only().column(Column::Kind).column_as(count, "count");
    let counts = counts.filter(Column::LeadId.eq(lead)).group_by(Column::Kind);
    let counts = counts.into_tuple::<(String, i64)>().all(db).await?;
    let of = |kind| counts.iter().find(|(counted, _)| counted == kind).map_or(0, |(_, count)| *count);
    Ok(KINDS.map(of))
}
