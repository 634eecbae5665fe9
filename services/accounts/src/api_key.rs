//! An API key: how a program comes in, with a role of its own.
//!
//! A key is not a token: the program exchanges its id and secret for one at `POST /oauth/token`.
//! The secret is shown once and kept as a hash. Revoking a key ends its tokens.

use crate::{secret, session, token::MAX_LIFETIME};
use async_graphql::{ComplexObject, Context, InputObject, Object, SimpleObject};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeZone, Utc};
use events::contract::SessionRevoked;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    IntoActiveModel, QueryOrder, QuerySelect, Select,
    entity::prelude::*,
};
use serde::Serialize;
use subgraph::{Actor, ContextExt, Error, Id, Offset, Random, Result, Role, diff, validate::Validator};

/// How a program comes in.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject, Serialize)]
#[sea_orm(table_name = "api_key")]
#[graphql(name = "ApiKey", complex)]
pub struct Model {
    /// The key's id.
    #[sea_orm(primary_key)]
    pub id: Id,
    /// What its tokens name as their session.
    #[graphql(skip)]
    pub session_id: Uuid,
    /// What it is for.
    pub name: String,
    /// What the program may do.
    pub role: Role,
    /// The `client_id` for `POST /oauth/token`.
    pub client_id: String,
    /// The secret's hash; it leaves this service nowhere, not even into the audit log.
    #[graphql(skip)]
    #[serde(skip)]
    pub secret_hash: String,
    /// When it was created.
    pub created_at: DateTimeUtc,
    /// When it stops working; null for never.
    pub expires_at: Option<DateTimeUtc>,
    /// When it last got a token; null for never.
    pub last_used_at: Option<DateTimeUtc>,
    /// When it was revoked.
    #[graphql(skip)]
    pub revoked_at: Option<DateTimeUtc>,
}

/// Keys belong to nobody.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The key with this client id.
    pub(crate) fn by_client(client_id: &str) -> Select<Self> {
        Self::find().filter(Column::ClientId.eq(client_id))
    }

    /// The key whose tokens name this session.
    pub(crate) fn by_session(session: Uuid, id: Id) -> Select<Self> {
        Self::find_by_id(id).filter(Column::SessionId.eq(session))
    }
}

impl Model {
    /// Whether it works at `now`.
    pub(crate) fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }

    /// What the other services are told when it is revoked at `now`.
    pub(crate) fn revoked_event(&self, now: DateTime<Utc>) -> SessionRevoked {
        let last = now + MAX_LIFETIME;
        let last = self.expires_at.map_or(last, |end| end.min(last));
        session::revoked(self.session_id, &Actor::ApiKey(self.id.0), "API_KEY".into(), last)
    }
}

#[ComplexObject]
impl Model {
    /// Whether it was revoked.
    async fn revoked(&self) -> bool {
        self.revoked_at.is_some()
    }
}

/// A new API key.
#[derive(InputObject)]
pub(crate) struct CreateApiKeyInput {
    /// What it is for, 1 to 100 characters.
    name: String,
    /// What the program may do.
    role: Role,
    /// When it stops working, after now and up to the year 2200; absent or null for never.
    expires_at: Option<DateTime<Utc>>,
}

impl CreateApiKeyInput {
    /// The key this makes at `now`, and its secret. The id is the database's to give.
    fn into_key(self, now: DateTime<Utc>, random: &Random) -> Result<(Model, String)> {
        let Self { name, role, expires_at } = self;
        let mut v = Validator::default();
        let name = v.line("name", &name, 100);
        if expires_at.is_some_and(|at| at <= now) {
            v.fault("expiresAt", "is not in the future");
        }
        let latest = Utc.with_ymd_and_hms(2200, 1, 1, 0, 0, 0).single().unwrap_or(now);
        let expires_at = expires_at.map(|at| v.instant("expiresAt", at, latest));
        v.finish()?;
        let client_id = format!("lgk_{}", BASE64_URL_SAFE_NO_PAD.encode(random.bytes::<12>()));
        let (secret, session_id) = (secret::generate(random), random.uuid(now));
        let (id, secret_hash, created_at) = (Id(0), secret::hash(&secret), now);
        let (last_used_at, revoked_at) = (None, None);
        let key = Model {
            id,
            session_id,
            name,
            role,
            client_id,
            secret_hash,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        };
        Ok((key, secret))
    }
}

/// A new API key with its secret, which is shown once.
#[derive(SimpleObject)]
pub(crate) struct CreatedApiKey {
    /// The key.
    api_key: Model,
    /// The `client_secret` for `POST /oauth/token`; it cannot be shown again.
    client_secret: String,
}

/// Queries for API keys.
#[derive(Default)]
pub(crate) struct ApiKeyQuery;

#[Object]
impl ApiKeyQuery {
    /// API keys by id, revoked ones too.
    #[graphql(complexity = "Offset::cost(limit.or(Some(500)), child_complexity)")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 500, desc = "How many, 1 to 500.")] limit: Option<i32>,
        #[graphql(default = 0, desc = "How many to leave out first, 0 to 10,000.")] offset: Option<i32>,
    ) -> Result<Vec<Model>> {
        let Offset { limit, offset } = Offset::try_new(limit, offset)?;
        let keys = Entity::find().order_by_asc(Column::Id).limit(limit).offset(offset);
        Ok(keys.all(ctx.db()).await?)
    }
}

/// Mutations of API keys.
#[derive(Default)]
pub(crate) struct ApiKeyMutation;

#[Object]
impl ApiKeyMutation {
    /// Creates an API key. Its secret is shown once, here.
    async fn create_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new key.")] input: CreateApiKeyInput,
    ) -> Result<CreatedApiKey> {
        let service = ctx.service();
        let (key, client_secret) = input.into_key(service.clock.now(), &service.random)?;
        let mut change = ctx.change().await?;
        let row = ActiveModel { id: NotSet, ..key.into_active_model().reset_all() };
        let api_key = row.insert(change.tx()).await?;
        change.record("api_key.created", api_key.id, &api_key)?;
        let api_key = change.finish(api_key).await?;
        Ok(CreatedApiKey { api_key, client_secret })
    }

    /// Revokes an API key: it gets no more tokens, and the ones it has stop working everywhere.
    /// Revoking it again changes nothing.
    async fn revoke_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key.")] id: Id,
    ) -> Result<bool> {
        let mut change = ctx.change().await?;
        let key = Entity::find_by_id(id).lock_exclusive().one(change.tx()).await?;
        let key = key.ok_or_else(|| Error::not_found("API key", id))?;
        if key.revoked_at.is_some() {
            return Ok(true);
        }
        let mut revoked = key.clone().into_active_model();
        revoked.revoked_at = Set(Some(change.at()));
        let revoked = revoked.update(change.tx()).await?;
        let event = key.revoked_event(change.at());
        change.record_event("api_key.revoked", id, &diff(&key, &revoked)?, &event)?;
        change.finish(true).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn key(name: &str, expires_at: Option<DateTime<Utc>>) -> Result<(Model, String)> {
        let input = CreateApiKeyInput { name: name.into(), role: Role::Manager, expires_at };
        input.into_key(NOW, &Random::seeded(1))
    }

    #[test]
    fn a_key_works_until_it_expires_or_is_revoked() {
        let (key, secret) = key(" import ", Some(NOW + TimeDelta::seconds(5))).unwrap();
        assert_eq!(key.name, "import");
        assert!(secret::matches(&secret, Some(&key.secret_hash)));
        assert!(key.is_live(NOW));
        assert!(!key.is_live(NOW + TimeDelta::seconds(5)));
        assert!(!Model { revoked_at: Some(NOW), ..key }.is_live(NOW));
    }

    #[test]
    fn names_and_times_are_checked() {
        let far = Utc.with_ymd_and_hms(2300, 1, 1, 0, 0, 0).single();
        for (name, expires_at) in [("", None), ("a", Some(NOW)), ("a", far), (&*"x".repeat(101), None)] {
            assert_eq!(key(name, expires_at).unwrap_err().code(), "BAD_USER_INPUT");
        }
    }

    #[test]
    fn what_is_recorded_of_a_key_opens_nothing() {
        let (key, secret) = key("import", None).unwrap();
        let json = serde_json::to_string(&key).unwrap();
        assert!(!json.contains(&secret) && !json.contains(&key.secret_hash), "{json}");
    }
}
