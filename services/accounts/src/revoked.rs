//! Which sessions were ended while their tokens may still live, for the services that keep a view of them: those of
//! users, then those of API keys.

use crate::{
    api_key,
    session::{self, LENIENCE},
    token::MAX_LIFETIME,
};
use events::contract::SessionRevoked;
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::Uuid};
use subgraph::{Actor, Error, Result, Service};

/// Before the id of an API key, in the place of one.
const KEY: &str = "key:";

/// The ended sessions after a place, each with its own.
pub(crate) async fn snapshot(
    service: Service,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<(String, SessionRevoked)>> {
    let after = after.unwrap_or_default();
    if let Some(id) = after.strip_prefix(KEY) {
        return of_keys(&service, id.parse().map_err(Error::internal)?, limit).await;
    }
    let after =
        if after.is_empty() { Uuid::nil() } else { Uuid::parse_str(&after).map_err(Error::internal)? };
    let sessions = of_users(&service, after, limit).await?;
    if sessions.is_empty() { of_keys(&service, 0, limit).await } else { Ok(sessions) }
}

async fn of_users(service: &Service, after: Uuid, limit: u64) -> Result<Vec<(String, SessionRevoked)>> {
    use session::{Column, Entity, Model};
    let page = Entity::find().filter(Column::Id.gt(after)).filter(Column::RevokedAt.is_not_null());
    let page = page.filter(Column::ExpiresAt.gt(service.clock.now() - LENIENCE));
    let page = page.order_by_asc(Column::Id).limit(limit).all(service.db.read()).await?;
    let row = |session: Model| {
        let (holder, reason) = (Actor::User(session.user_id.0), session.reason);
        let reason = reason.map(|reason| reason.to_value()).unwrap_or_default();
        (session.id.to_string(), session::revoked(session.id, &holder, reason, session.expires_at))
    };
    Ok(page.into_iter().map(row).collect())
}

async fn of_keys(service: &Service, after: i32, limit: u64) -> Result<Vec<(String, SessionRevoked)>> {
    use api_key::{Column, Entity, Model};
    let page = Entity::find().filter(Column::Id.gt(after));
    let page = page.filter(Column::RevokedAt.gt(service.clock.now() - MAX_LIFETIME - LENIENCE));
    let page = page.order_by_asc(Column::Id).limit(limit).all(service.db.read()).await?;
    let row = |key: Model| Some((format!("{KEY}{}", key.id), key.revoked_event(key.revoked_at?)));
    Ok(page.into_iter().filter_map(row).collect())
}
