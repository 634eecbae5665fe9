//! A session: one sign-in of one user, until it is revoked or nobody refreshes it any longer.
//!
//! Tokens name their session, so that ending the session ends them. A session that ended stays
//! ended, with the reason.

pub(crate) mod refresh;

use crate::{token::Signer, user};
use async_graphql::{Context, Object, SimpleObject};
use chrono::{DateTime, TimeDelta, Utc};
use events::contract::SessionRevoked;
use sea_orm::{ActiveEnum, ActiveValue::Set, Condition, IntoActiveModel, QuerySelect, entity::prelude::*};
use serde::Serialize;
use subgraph::{Actor, Change, ContextExt, Id, Result, Service};

/// How much longer than it says a token may count where a clock is behind.
pub(crate) const LENIENCE: TimeDelta = TimeDelta::minutes(1);

/// One sign-in.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "session")]
pub struct Model {
    /// The `sid` of its tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Who signed in.
    pub user_id: Id,
    /// When they signed in.
    pub created_at: DateTimeUtc,
    /// When its last token ends, unless it is refreshed before.
    pub expires_at: DateTimeUtc,
    /// When it was ended.
    pub revoked_at: Option<DateTimeUtc>,
    /// Why it was ended.
    pub reason: Option<Reason>,
}

/// Whose it is.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The user.
    #[sea_orm(belongs_to = "user::Entity", from = "Column::UserId", to = "user::Column::Id")]
    User,
}

impl Related<user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// Why a session was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The user signed out.
    Logout,
    /// The user may no longer sign in.
    Deactivated,
    /// The user got another role.
    Role,
    /// The user changed the password elsewhere.
    Password,
    /// A refresh token was used twice: one of the two was stolen.
    Replay,
}

impl Entity {
    /// The sessions of a user that have not been ended.
    fn open_of(user: Id) -> Condition {
        Condition::all().add(Column::UserId.eq(user)).add(Column::RevokedAt.is_null())
    }

    /// Whether this is a session of that user, neither the one ended nor the other inactive.
    pub(crate) async fn is_live(db: &impl ConnectionTrait, id: Uuid, user: Id) -> Result<bool> {
        let session = Self::find_by_id(id).filter(Self::open_of(user));
        let live = session.inner_join(user::Entity).filter(user::Column::Active.eq(true)).one(db).await?;
        Ok(live.is_some())
    }
}

/// What signing in gives.
#[derive(SimpleObject)]
pub(crate) struct AuthPayload {
    /// The JWT for the Authorization header.
    token: String,
    /// Works once, within 30 days; using it twice revokes the session.
    refresh_token: String,
    /// When the token expires.
    expires_at: DateTime<Utc>,
    /// Who signed in.
    user: user::Model,
}

/// Opens a session for a user.
pub(crate) async fn open(change: &mut Change, service: &Service, user: user::Model) -> Result<AuthPayload> {
    // Whoever signs in sweeps up behind themselves: the table grows with people, not with time
    let old =
        Entity::delete_many().filter(Column::UserId.eq(user.id)).filter(Column::ExpiresAt.lt(change.at()));
    old.exec(change.tx()).await?;
    let session = Model {
        id: service.random.uuid(change.at()),
        user_id: user.id,
        created_at: change.at(),
        expires_at: expiry(service, change.at()),
        revoked_at: None,
        reason: None,
    };
    session.clone().into_active_model().insert(change.tx()).await?;
    change.record("session.created", session.id, &session)?;
    issue(change, service, session.id, user).await
}

/// A new pair of tokens for a session.
async fn issue(change: &Change, service: &Service, session: Uuid, user: user::Model) -> Result<AuthPayload> {
    let refresh_token = refresh::issue(change, service, session).await?;
    let actor = Actor::User(user.id.0);
    let token = service.state::<Signer>().sign((&actor, user.role), session, change.at(), None)?;
    Ok(AuthPayload { token: token.text, refresh_token, expires_at: token.expires_at, user })
}

fn expiry(service: &Service, at: DateTime<Utc>) -> DateTime<Utc> {
    at + refresh::LIFETIME.max(service.state::<Signer>().lifetime)
}

/// Ends the sessions of a user, except perhaps one.
pub(crate) async fn revoke_all(
    change: &mut Change,
    user: Id,
    except: Option<&str>,
    reason: Reason,
) -> Result<()> {
    let except = except.and_then(|id| Uuid::parse_str(id).ok()).map(|id| Column::Id.ne(id));
    revoke(change, Entity::open_of(user).add_option(except), reason).await?;
    Ok(())
}

/// Ends the sessions that fit, and says how many.
async fn revoke(change: &mut Change, which: Condition, reason: Reason) -> Result<usize> {
    let ended =
        ActiveModel { revoked_at: Set(Some(change.at())), reason: Set(Some(reason)), ..Default::default() };
    let mut ended = Entity::update_many().set(ended).filter(which).exec_with_returning(change.tx()).await?;
    // In one order, however the database found them
    ended.sort_by_key(|session| session.id);
    for session in &ended {
        let holder = Actor::User(session.user_id.0);
        let event = revoked(session.id, &holder, reason.to_value(), session.expires_at);
        change.record_event("session.revoked", session.id, session, &event)?;
    }
    Ok(ended.len())
}

/// What the other services are told when the session of a user or of an API key ends, whose last token ends by
/// itself at `last`.
pub(crate) fn revoked(id: Uuid, holder: &Actor, reason: String, last: DateTime<Utc>) -> SessionRevoked {
    let (session, holder) = (id.to_string(), holder.to_string());
    SessionRevoked { session, holder, reason, expires_at: last + LENIENCE }
}

/// Mutations of sessions.
#[derive(Default)]
pub(crate) struct SessionMutation;

#[Object]
impl SessionMutation {
    /// A new token and refresh token for an old refresh token, which works once: using it twice
    /// revokes the session.
    async fn refresh_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The refresh token.")] refresh_token: String,
    ) -> Result<AuthPayload> {
        let hash = crate::secret::hash(&refresh_token);
        let token = refresh::Entity::find_by_id(hash).one(ctx.db()).await?.ok_or_else(refresh::refused)?;
        let mut change = ctx.change().await?;
        let token = refresh::Entity::find_by_id(token.hash).lock_exclusive().one(change.tx()).await?;
        let token = token.filter(|token| token.expires_at > change.at()).ok_or_else(refresh::refused)?;
        if token.used_at.is_some() {
            return refresh::replayed(change, &token).await;
        }
        let (session, user) = holder(&change, &token).await?.ok_or_else(refresh::refused)?;
        let payload = refresh::rotate(&mut change, ctx.service(), token, session, user).await?;
        change.finish(()).await?;
        Ok(payload)
    }

    /// Ends this session: its tokens stop working everywhere.
    async fn logout(&self, ctx: &Context<'_>) -> Result<bool> {
        let user = Id(ctx.caller().user()?);
        let session = ctx.caller().session.as_deref().and_then(|id| Uuid::parse_str(id).ok());
        let session = session.ok_or_else(|| ctx.caller().refusal())?;
        let mut change = ctx.change().await?;
        match revoke(&mut change, Entity::open_of(user).add(Column::Id.eq(session)), Reason::Logout).await? {
            0 => Ok(true),
            _ => change.finish(true).await,
        }
    }
}

/// The open session and the active user behind a refresh token, the user locked.
async fn holder(change: &Change, token: &refresh::Model) -> Result<Option<(Model, user::Model)>> {
    let session = Entity::find_by_id(token.session_id).one(change.tx()).await?;
    let Some(session) = session else { return Ok(None) };
    let user = user::Entity::find_by_id(session.user_id).lock_exclusive().one(change.tx()).await?;
    // Read again behind the lock: whoever deactivates the user also ends the session
    let session = Entity::find_by_id(token.session_id).lock_exclusive().one(change.tx()).await?;
    let session = session.filter(|session| session.revoked_at.is_none());
    Ok(session.zip(user.filter(|user| user.active)))
}
