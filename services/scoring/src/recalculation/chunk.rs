//! Calculating the scores of some leads anew, with statements that work on all of them at once.

use crate::{
    history::RECALCULATION,
    model::{self, ScoreModel, sql},
    score::{Column, Entity},
};
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter, QuerySelect,
    Statement, Value,
};
use subgraph::{Change, Error, Result};
use uuid::Uuid;

/// Sums that differ by no more than this part of them are taken for the same, and the one that is there stays: then
/// no index has to be written.
const SAME: f64 = 1e-9;

/// For statements on thousands of rows, of which Postgres expects one, and would look for each by itself. What a power
/// cut takes is done again, as the position is kept in the same transaction.
const FOR_MANY: &str = "SET LOCAL enable_nestloop TO off; SET LOCAL synchronous_commit TO off";
/// How far a number can be from the sum of several, as a part of it, for each of them.
const ROUNDING: f64 = 2.0 * f64::EPSILON;

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

    /// Calculates them with this model as of the time of the change.
    pub async fn calculate(&self, change: &Change, run: Uuid, model: &ScoreModel) -> Result<()> {
        let (tx, backend) = (change.tx(), change.tx().get_database_backend());
        let statements = Statements { model, backend, now: change.at() };
        if backend == DbBackend::Postgres {
            tx.execute_unprepared(FOR_MANY).await?;
        }
        let work = Work { statements, tx, chunk: self, run };
        // Where none has a score, as in a first run, the sums are made once
        let scored =
            if self.has_scores(tx).await? { work.run(&work.statements.calculate()).await? } else { 0 };
        if scored != self.leads {
            work.run(&work.statements.add()).await?;
        }
        work.keep_history().await
    }

    /// Whether any of them has a score.
    async fn has_scores(&self, db: &impl ConnectionTrait) -> Result<bool> {
        let some = Entity::find().filter(Column::LeadId.gt(self.after)).filter(Column::LeadId.lte(self.last));
        Ok(some.select_only().column(Column::LeadId).into_tuple::<i32>().one(db).await?.is_some())
    }
}

/// The work on one chunk.
struct Work<'a> {
    statements: Statements<'a>,
    tx: &'a DatabaseTransaction,
    chunk: &'a Chunk,
    run: Uuid,
}

impl Work<'_> {
    /// Runs a statement that writes scores; how many it wrote. On Postgres it is one with the history of what it
    /// changed: otherwise all of them would be read once more.
    async fn run(&self, write: &str) -> Result<i64> {
        if self.statements.backend != DbBackend::Postgres {
            let written = self.tx.execute_raw(self.statement(write.into())).await?.rows_affected();
            return i64::try_from(written).map_err(Error::internal);
        }
        let history = history("written", "true");
        let sql = format!(
            "WITH written AS ({write} RETURNING {WRITTEN}), told AS ({history}) SELECT count(*) FROM written"
        );
        let row = self.tx.query_one_raw(self.statement(sql)).await?;
        Ok(row.ok_or_else(|| Error::internal("a count has a row"))?.try_get_by(0)?)
    }

    /// Keeps the history of what was written, where that was not done already.
    async fn keep_history(&self) -> Result<()> {
        if self.statements.backend != DbBackend::Postgres {
            self.tx.execute_raw(self.statement(history("lead_score", IN_CHUNK))).await?;
        }
        Ok(())
    }

    /// `$1` and `$2` are the bounds of the chunk; `$3` to `$5` the time, the version of the model, and the time as the
    /// model counts it; `$6` the run.
    fn statement(&self, sql: String) -> Statement {
        let Statements { model, backend, now } = self.statements;
        let values: [Value; 6] = [
            self.chunk.after.into(),
            self.chunk.last.into(),
            now.into(),
            model.version().into(),
            model::micros(now).into(),
            self.run.into(),
        ];
        Statement::from_sql_and_values(backend, sql, values)
    }
}

/// What the history needs of a score that was written.
const WRITTEN: &str = "s.lead_id, s.activity_score, s.previous_score, s.fit";
/// Of all scores those that this chunk wrote.
const IN_CHUNK: &str = "lead_id > $1 AND lead_id <= $2 AND score_calculated_at = $3";

/// The statements of one chunk. Each table is told the bounds, so that none is read as a whole.
struct Statements<'a> {
    model: &'a ScoreModel,
    backend: DbBackend,
    now: DateTime<Utc>,
}

impl Statements<'_> {
    /// Rows for leads that have none. On Postgres the leads are held, so that none of them is removed meanwhile.
    fn add(&self) -> String {
        let hold = if self.backend == DbBackend::Postgres { "FOR SHARE" } else { "" };
        format!(
            "INSERT INTO lead_score AS s (lead_id, activity_score, score_calculated_at, decayed_sum, as_of, drift, rank, \
             fit, closed, model_version) \
             SELECT id, {activity}, $3, total, $5, interactions * total * {ROUNDING:?}, {rank}, fit, closed, $4 \
             FROM (SELECT l.id, l.fit, l.closed, count(i.id) AS interactions, coalesce(sum({points}), 0.0) AS total \
             FROM (SELECT id, {fit} AS fit, {closed} AS closed FROM lead_view WHERE id > $1 AND id <= $2 \
             AND removed_at IS NULL AND NOT EXISTS (SELECT 1 FROM lead_score AS s WHERE s.lead_id = lead_view.id \
             AND s.lead_id > $1 AND s.lead_id <= $2) {hold}) AS l \
             LEFT JOIN interaction_view AS i ON i.lead_id = l.id AND i.lead_id > $1 AND i.lead_id <= $2 \
             GROUP BY l.id, l.fit, l.closed) AS missing WHERE true ON CONFLICT (lead_id) DO NOTHING",
            activity = self.model.sql_activity("total"),
            rank = self.model.sql_rank("total", "$5"),
            points = self.model.sql_points("i.kind", "i.at", "$5"),
            fit = sql::fit("lead_view"),
            closed = sql::is_closed("lead_view"),
        )
    }

    /// The sums of those that have rows, and all that follows from them. A row that somebody changed since the
    /// statement began stays as it is: it is newer. That is seen by when and by which model it was
    /// calculated, which Postgres compares again once it has the row's lock.
    fn calculate(&self) -> String {
        let kept =
            |column: &str, new: &str| format!("{column} = CASE WHEN n.same THEN s.{column} ELSE {new} END");
        format!(
            "WITH n AS MATERIALIZED ({anew}) \
             UPDATE lead_score AS s SET {sum}, {as_of}, {drift}, {rank}, \
             previous_score = s.activity_score, \
             activity_score = {activity}, score_calculated_at = $3, model_version = $4, fit = n.fit, closed = n.closed \
             FROM n WHERE s.lead_id = n.lead_id AND s.score_calculated_at = n.seen AND s.model_version = n.made_by AND s.lead_id > $1 AND s.lead_id <= $2",
            anew = self.anew(),
            sum = kept("decayed_sum", "n.total"),
            as_of = kept("as_of", "$5"),
            drift = kept("drift", &format!("n.interactions * n.total * {ROUNDING:?}")),
            rank = kept("rank", &self.model.sql_rank("n.total", "$5")),
            activity = self.model.sql_activity("n.total"),
        )
    }

    /// The sums as they should be now, and whether those that are there are the same.
    fn anew(&self) -> String {
        let left = self.model.sql_left("t.decayed_sum", "t.as_of", "$5");
        format!(
            "SELECT t.lead_id, t.score_calculated_at AS seen, t.model_version AS made_by, {fit} AS fit, {closed} AS closed, \
             coalesce(i.interactions, 0) AS interactions, coalesce(i.total, 0.0) AS total, t.model_version = $4 AND \
             abs(coalesce(i.total, 0.0) - {left}) <= {SAME:?} * coalesce(i.total, 0.0) AS same \
             FROM lead_score AS t JOIN lead_view AS l ON l.id = t.lead_id \
             LEFT JOIN (SELECT lead_id, count(*) AS interactions, sum({points}) AS total FROM interaction_view \
             WHERE lead_id > $1 AND lead_id <= $2 GROUP BY lead_id) AS i ON i.lead_id = t.lead_id \
             WHERE t.lead_id > $1 AND t.lead_id <= $2 AND l.id > $1 AND l.id <= $2 AND l.removed_at IS NULL",
            fit = sql::fit("l"),
            closed = sql::is_closed("l"),
            points = self.model.sql_points("kind", "at", "$5"),
        )
    }
}

/// Keeps what changed, of scores `from` somewhere that were just written.
fn history(from: &str, condition: &str) -> String {
    let band = sql::band("fit", "activity_score");
    format!(
        "INSERT INTO score_change (lead_id, activity_score, previous, band, cause, cause_id, at, model_version) \
         SELECT lead_id, activity_score, previous_score, {band}, '{RECALCULATION}', $6, $3, $4 \
         FROM {from} WHERE {condition} AND activity_score IS DISTINCT FROM previous_score ORDER BY lead_id"
    )
}
