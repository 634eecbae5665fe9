//! Calculating the scores of some leads anew, with statements that work on all of them at once.

use crate::{
    history::RECALCULATION,
    model::{self, DecayedSum, ScoreModel, sql},
};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use subgraph::{Change, Error, Result};
use uuid::Uuid;

/// Sums that differ by no more than this part of them are taken for the same, and the one that is there stays: then
/// no index has to be written.
const SAME: f64 = 1e-9;

/// Leads with ids after one, up to another, and how many of them are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The first one has a greater id.
    pub after: i32,
    /// The last one's id.
    pub last: i32,
    /// How many leads.
    pub leads: i64,
}

impl Chunk {
    /// The first so many leads after an id; nothing when there are no more.
    pub async fn next(db: &impl ConnectionTrait, after: i32, limit: i64) -> Result<Option<Self>> {
        let sql = "SELECT count(*), max(id) FROM (SELECT id FROM lead_view WHERE removed_at IS NULL AND id > $1 \
                   ORDER BY id LIMIT $2) AS chunk";
        let statement =
            Statement::from_sql_and_values(db.get_database_backend(), sql, [after.into(), limit.into()]);
        let row = db.query_one_raw(statement).await?.ok_or_else(|| Error::internal("a count has a row"))?;
        let (leads, last): (i64, Option<i32>) = (row.try_get_by(0)?, row.try_get_by(1)?);
        Ok(last.map(|last| Self { after, last, leads }))
    }

    /// Calculates them as of the time of the change.
    pub async fn calculate(&self, change: &Change, run: Uuid) -> Result<()> {
        let model = change.service().state::<ScoreModel>();
        let statements = Statements { model, backend: change.tx().get_database_backend(), now: change.at() };
        for statement in
            [statements.add_missing(self), statements.calculate(self), statements.history(self, run)]
        {
            change.tx().execute_raw(statement).await?;
        }
        Ok(())
    }
}

/// The statements of one chunk.
struct Statements<'a> {
    model: &'a ScoreModel,
    backend: DbBackend,
    now: DateTime<Utc>,
}

impl Statements<'_> {
    /// Rows for leads that have none, as no model made them. On Postgres the leads are held, so that none of them is
    /// removed meanwhile.
    fn add_missing(&self, chunk: &Chunk) -> Statement {
        let hold = if self.backend == DbBackend::Postgres { "FOR SHARE" } else { "" };
        let nothing = DecayedSum::ZERO.rank(self.model);
        let sql = format!(
            "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, rank, model_version) \
             SELECT id, 0, $3, {nothing:?}, '' FROM (SELECT id FROM lead_view WHERE id > $1 AND id <= $2 \
             AND removed_at IS NULL AND NOT EXISTS (SELECT 1 FROM lead_score WHERE lead_id = lead_view.id) {hold}) \
             AS missing WHERE true ON CONFLICT (lead_id) DO NOTHING"
        );
        self.statement(sql, chunk, [self.now.into()])
    }

    /// The sums, and all that follows from them. Each table is told the bounds, so that none is read as a whole. A row
    /// that somebody changed since the statement began stays as it is: it is newer. That is seen by when it was
    /// calculated, which Postgres compares again once it has the row's lock.
    fn calculate(&self, chunk: &Chunk) -> Statement {
        let points = self.model.sql_points("i.kind", "i.at", "lead.as_of");
        let decay = self.model.sql_decay("as_of", "$5");
        let same = format!("(abs(n.total - s.decayed_sum) <= {SAME:?} * n.total AND s.model_version = $4)");
        let kept =
            |column: &str, new: &str| format!("{column} = CASE WHEN {same} THEN s.{column} ELSE {new} END");
        let sql = format!(
            "WITH sums AS (SELECT lead.lead_id, lead.seen, lead.as_of, count(i.id) AS interactions, \
             coalesce(sum({points}), 0.0) AS total FROM (SELECT lead_id, \
             score_calculated_at AS seen, CASE WHEN decayed_sum > 0 AND model_version = $4 THEN as_of ELSE $5 END \
             AS as_of FROM lead_score \
             WHERE lead_id > $1 AND lead_id <= $2) AS lead LEFT JOIN interaction_view AS i ON i.lead_id = lead.lead_id \
             AND i.lead_id > $1 AND i.lead_id <= $2 GROUP BY lead.lead_id, lead.seen, lead.as_of), \
             new AS (SELECT lead_id, seen, as_of, total, total * {decay} AS total_now, \
             interactions * total * {rounding:?} AS drift FROM sums) \
             UPDATE lead_score AS s SET {sum}, {as_of}, {drift}, {rank}, \
             previous_score = CASE WHEN s.model_version = '' THEN NULL ELSE s.activity_score END, \
             activity_score = {activity}, score_calculated_at = $3, model_version = $4, fit = {fit}, \
             closed = coalesce(l.status IN ('WON', 'LOST'), false) \
             FROM new AS n JOIN lead_view AS l ON l.id = n.lead_id \
             WHERE s.lead_id = n.lead_id AND s.score_calculated_at = n.seen \
             AND s.lead_id > $1 AND s.lead_id <= $2 AND l.id > $1 AND l.id <= $2",
            rounding = 2.0 * f64::EPSILON,
            sum = kept("decayed_sum", "n.total"),
            as_of = kept("as_of", "n.as_of"),
            drift = kept("drift", "n.drift"),
            rank = kept("rank", &self.model.sql_rank("n.total", "n.as_of")),
            activity = self.model.sql_activity("n.total_now"),
            fit = sql::fit("l"),
        );
        let values = [self.now.into(), self.model.version().into(), model::micros(self.now).into()];
        self.statement(sql, chunk, values)
    }

    /// What changed, of what was just calculated.
    fn history(&self, chunk: &Chunk, run: Uuid) -> Statement {
        let band = sql::band("fit", "activity_score");
        let sql = format!(
            "INSERT INTO score_change (lead_id, activity_score, previous, band, cause, cause_id, at, model_version) \
             SELECT lead_id, activity_score, previous_score, {band}, '{RECALCULATION}', $4, $3, model_version \
             FROM lead_score WHERE lead_id > $1 AND lead_id <= $2 AND score_calculated_at = $3 \
             AND activity_score IS DISTINCT FROM previous_score ORDER BY lead_id"
        );
        self.statement(sql, chunk, [self.now.into(), run.into()])
    }

    /// `$1` and `$2` are the bounds of the chunk.
    fn statement<const N: usize>(&self, sql: String, chunk: &Chunk, values: [Value; N]) -> Statement {
        let values = [chunk.after.into(), chunk.last.into()].into_iter().chain(values);
        Statement::from_sql_and_values(self.backend, sql, values)
    }
}
