//! Sessions that were ended: their tokens count no longer, though they are not expired yet.
//!
//! Every service keeps them in its own database, told by events, and in memory, since every request asks. A
//! session is forgotten when the last of its tokens has ended by itself.

use crate::{
    change::Change,
    consume::{Consumer, Received},
    db::Db,
    error::Result,
    rebuild::View,
};
use chrono::{DateTime, Utc};
use events::contract::SessionRevoked;
use sea_orm::{IntoActiveModel, PaginatorTrait, TryInsertResult, entity::prelude::*, sea_query::OnConflict};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};
use tokio::sync::watch;

/// One session that was ended.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revoked_session")]
pub struct Model {
    /// As tokens name it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub session: String,
    /// When the last of its tokens ends by itself.
    pub expires_at: DateTimeUtc,
}

/// No relations: the session is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The sessions that were ended, as this process knows them.
#[derive(Debug, Default)]
pub struct Revocations {
    sessions: RwLock<HashMap<String, DateTime<Utc>>>,
    changed: watch::Sender<u64>,
}

impl Revocations {
    /// Whether this session was ended.
    pub fn contains(&self, session: &str) -> bool {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).contains_key(session)
    }

    /// Changes whenever a session is ended.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads what the database knows.
    pub(crate) async fn load(&self, db: &Db) -> Result<()> {
        for row in Entity::find().all(db.read()).await? {
            self.learn(row.session, row.expires_at);
        }
        Ok(())
    }

    /// Reads the database again when it knows other sessions: a rebuild of the view notes them from outside.
    pub(crate) async fn refresh(&self, db: &Db, now: DateTime<Utc>) -> Result<()> {
        let known = {
            let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
            sessions.values().filter(|expires_at| **expires_at > now).count() as u64
        };
        let noted = Entity::find().filter(Column::ExpiresAt.gt(now)).count(db.read()).await?;
        if noted == known { Ok(()) } else { self.load(db).await }
    }

    /// Remembers a session, and tells everybody who keeps one open.
    pub(crate) fn learn(&self, session: String, expires_at: DateTime<Utc>) {
        self.sessions.write().unwrap_or_else(PoisonError::into_inner).insert(session, expires_at);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Forgets the sessions whose tokens have all ended.
    pub(crate) async fn clean(&self, db: &Db, now: DateTime<Utc>) -> Result<()> {
        Entity::delete_many().filter(Column::ExpiresAt.lt(now)).exec(db.write()).await?;
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, expires_at| *expires_at >= now);
        Ok(())
    }
}

/// Notes it in the database; the memory of each process hears of it by itself.
impl Consumer<SessionRevoked> for Revocations {
    async fn apply(change: &mut Change, revoked: &Received<SessionRevoked>) -> Result<()> {
        note(change, &revoked.event).await.map(drop)
    }
}

/// They are forgotten when their tokens have ended, whatever the owner has.
impl View<SessionRevoked> for Revocations {
    async fn refill(change: &mut Change, revoked: &SessionRevoked) -> Result<bool> {
        note(change, revoked).await
    }
}

/// Says whether that is new.
async fn note(change: &Change, SessionRevoked { session, expires_at, .. }: &SessionRevoked) -> Result<bool> {
    let row = Model { session: session.clone(), expires_at: *expires_at };
    let once = OnConflict::column(Column::Session).do_nothing().to_owned();
    let insert = Entity::insert(row.into_active_model().reset_all()).on_conflict(once).try_insert();
    Ok(matches!(insert.exec_without_returning(change.tx()).await?, TryInsertResult::Inserted(1)))
}
