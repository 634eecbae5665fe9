//! What this service knows about a lead when something is to be suggested.

use super::standing::{Basis, Standing};
use crate::{score_view, task};
use chrono::{DateTime, TimeDelta, Utc};
use leadview::interactions;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, sea_query::Expr};
use subgraph::{Result, Service};

/// How many of the newest interactions count.
const INTERACTIONS: u8 = 10;
/// How many open tasks count, those that are due first.
const OPEN_TASKS: u64 = 20;
/// How many finished suggestions count.
const FINISHED: u64 = 10;
/// A lead with whom nothing happened for longer is quiet.
pub(super) const QUIET: TimeDelta = TimeDelta::days(14);
/// What happened in this time makes a lead hot.
pub(super) const HOT: TimeDelta = TimeDelta::days(7);

/// What is known about a lead.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// As of when.
    pub at: DateTime<Utc>,
    pub lead: leadview::Model,
    /// The newest ones, newest first.
    pub interactions: Vec<interactions::Model>,
    /// What people have to do: first what is due first, at last what is never due.
    pub open: Vec<task::Model>,
    /// What was suggested before, as far as it still counts.
    pub standing: Standing,
    pub score: Option<score_view::Model>,
}

impl Context {
    /// What is known about this lead now.
    pub async fn of(service: &Service, lead: leadview::Model) -> Result<Self> {
        let db = service.db.read();
        Ok(Self {
            at: service.clock.now(),
            interactions: interactions::latest(db, lead.id, INTERACTIONS).await?,
            open: open_tasks(service, lead.id).await?,
            standing: Standing::of(db, lead.id).await?,
            score: score_view::Entity::find_by_id(lead.id).one(db).await?,
            lead,
        })
    }

    /// Whether the lead may still become a customer.
    pub fn is_active(&self) -> bool {
        !self.lead.is_closed()
    }

    /// When something last happened with the lead.
    pub fn last(&self) -> Option<DateTime<Utc>> {
        self.interactions.first().map(interactions::Model::time)
    }

    /// Whether something happened with the lead, and not for long.
    pub fn is_quiet(&self) -> bool {
        self.last().is_some_and(|last| self.at - last > QUIET)
    }

    /// The tasks that should have been done already, first the one that should have been done first.
    pub fn overdue(&self) -> impl Iterator<Item = &task::Model> {
        self.open.iter().filter(|task| task.due_date.is_some_and(|due| due < self.at))
    }

    /// The score, if the scoring service told lately that much is going on.
    pub fn hot_score(&self) -> Option<&score_view::Model> {
        let score = self.score.as_ref().filter(|score| self.at - score.time() <= HOT);
        score.filter(|score| score.band.as_deref().is_some_and(|band| band.ends_with('1')))
    }

    /// How much happened lately, if that was much and people met.
    pub fn busy(&self) -> Option<usize> {
        let lately: Vec<_> = self.interactions.iter().filter(|it| self.at - it.time() <= HOT).collect();
        let met = lately.iter().any(|it| it.kind == "MEETING");
        Some(lately.len()).filter(|many| *many >= 2 && met)
    }

    /// What suggestions made from this are made from. It differs as soon as something else is known of the lead or of
    /// what happened with it, whenever that was.
    pub fn basis(&self) -> Basis {
        let interactions = self.interactions.iter().map(|it| format!(" {}.{}", it.id, it.version));
        let facts = [self.lead.version.to_string()].into_iter().chain(interactions).collect();
        Basis { facts, at: self.at }
    }
}

/// What people have to do with a lead.
async fn open_tasks(service: &Service, lead: i32) -> Result<Vec<task::Model>> {
    let db = service.db.read();
    let dated = open(lead).filter(task::Column::DueDate.is_not_null()).order_by_asc(task::Column::DueDate);
    let mut tasks = dated.order_by_asc(task::Column::Id).limit(OPEN_TASKS).all(db).await?;
    let room = OPEN_TASKS.saturating_sub(tasks.len() as u64);
    if room > 0 {
        let undated = open(lead).filter(task::Column::DueDate.is_null()).order_by_asc(task::Column::Id);
        tasks.extend(undated.limit(room).all(db).await?);
    }
    Ok(tasks)
}

/// The condition is that of the index `task_open`, to the letter.
fn open(lead: i32) -> Select<task::Entity> {
    let open = Expr::cust("source = 'MANUAL' AND NOT completed");
    task::Entity::find().filter(task::Column::LeadId.eq(lead)).filter(open)
}

/// The newest suggestions that were accepted and done.
pub(super) async fn finished(service: &Service, lead: i32) -> Result<Vec<task::Model>> {
    let done = task::Entity::find().filter(task::Column::LeadId.eq(lead));
    let done =
        done.filter(task::Column::SuggestionKind.is_not_null()).filter(task::Column::Completed.eq(true));
    let done = done.filter(task::Column::Source.ne(task::TaskSource::Dismissed));
    Ok(done.order_by_desc(task::Column::Id).limit(FINISHED).all(service.db.read()).await?)
}

#[cfg(test)]
pub(super) mod tests;
