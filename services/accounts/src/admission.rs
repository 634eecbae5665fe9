//! A further look at each caller of this service: the token counts only while its session or API
//! key does. The other services hear of revocations by events; here the database knows at once.

use crate::{api_key, session};
use sea_orm::prelude::Uuid;
use subgraph::{Actor, Caller, Error, Id, Result, Service};

/// Whether a caller with a valid token may come in.
///
/// # Errors
/// `UNAUTHENTICATED` when the session was ended or the key revoked.
pub(crate) async fn admit(service: Service, caller: Caller) -> Result<()> {
    let session = caller.session.as_deref().and_then(|id| Uuid::parse_str(id).ok());
    let db = service.db.read();
    let live = match (session, &caller.actor) {
        (Some(session), Actor::User(id)) => session::Entity::is_live(db, session, Id(*id)).await?,
        (Some(session), Actor::ApiKey(id)) => {
            let key = api_key::Entity::by_session(session, Id(*id)).one(db).await?;
            key.is_some_and(|key| key.is_live(service.clock.now()))
        }
        _ => false,
    };
    if live { Ok(()) } else { Err(Error::Unauthenticated("The session has ended; sign in again".into())) }
}
