//! Refresh tokens: each works once and is followed by the next one of its session.
//!
//! A used one is kept until it would have expired, so that using it again is noticed: either the
//! user or a thief has the next one, and nobody can tell which.

use super::{AuthPayload, Reason, expiry, issue as issue_pair, revoke};
use crate::{secret, user};
use chrono::TimeDelta;
use sea_orm::{ActiveValue::Set, Condition, IntoActiveModel, entity::prelude::*};
use serde_json::json;
use subgraph::{Change, Error, Result, Service};

/// How long one works.
pub(crate) const LIFETIME: TimeDelta = TimeDelta::days(30);

/// A refresh token that was given out.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_token")]
pub struct Model {
    /// SHA-256 of the token; the token itself is kept nowhere.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// The session it refreshes.
    pub session_id: Uuid,
    /// When it was given out.
    pub created_at: DateTimeUtc,
    /// When it stops working.
    pub expires_at: DateTimeUtc,
    /// When it was used.
    pub used_at: Option<DateTimeUtc>,
}

/// The session it belongs to is looked up by hand, in its turn.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A new refresh token of a session.
pub(super) async fn issue(change: &Change, service: &Service, session_id: Uuid) -> Result<String> {
    let token = secret::generate(&service.random);
    let (hash, created_at) = (secret::hash(&token), change.at());
    let row = Model { hash, session_id, created_at, expires_at: created_at + LIFETIME, used_at: None };
    row.into_active_model().insert(change.tx()).await?;
    Ok(token)
}

/// Uses `token` up for the next pair of its session, with the user's role as it is now.
pub(super) async fn rotate(
    change: &mut Change,
    service: &Service,
    token: Model,
    session: super::Model,
    user: user::Model,
) -> Result<AuthPayload> {
    let mut spent = token.into_active_model();
    spent.used_at = Set(Some(change.at()));
    spent.update(change.tx()).await?;
    let old = Entity::delete_many()
        .filter(Column::SessionId.eq(session.id))
        .filter(Column::ExpiresAt.lt(change.at()));
    old.exec(change.tx()).await?;
    // Tokens may have been given out when they lasted longer than now
    let (id, expires_at) = (session.id, expiry(service, change.at()).max(session.expires_at));
    let mut longer = session.into_active_model();
    longer.expires_at = Set(expires_at);
    longer.update(change.tx()).await?;
    change.record("session.refreshed", id, &json!({ "expires_at": expires_at }))?;
    issue_pair(change, service, id, user).await
}

/// A token was used twice: ends its session. That is kept although the call is refused.
pub(super) async fn replayed(mut change: Change, token: &Model) -> Result<AuthPayload> {
    let session = Condition::all().add(super::Column::Id.eq(token.session_id));
    revoke(&mut change, session.add(super::Column::RevokedAt.is_null()), Reason::Replay).await?;
    change.record("refresh_token.replayed", token.session_id, &json!({ "used_at": token.used_at }))?;
    change.finish(()).await?;
    Err(refused())
}

/// The same words for everything that is wrong with a refresh token.
pub(super) fn refused() -> Error {
    Error::Unauthenticated("The refresh token is not valid; sign in again".into())
}
