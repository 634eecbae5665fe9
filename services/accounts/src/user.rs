//! A user: a person who may sign in.
//!
//! Their e-mail is unique whatever its case and surrounding space. There is always an active
//! administrator once there was one. Users are deactivated, never removed: what they did stays
//! theirs.

pub(crate) mod event;
mod input;
mod mutation;

use async_graphql::{Context, ID, Object, SimpleObject};
pub(crate) use input::NewUser;
pub(crate) use mutation::UserMutation;
use sea_orm::{ExprTrait, QueryOrder, QuerySelect, Select, entity::prelude::*};
use serde::Serialize;
use subgraph::{ContextExt, Id, Offset, Result, Role};

/// A person who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject, Serialize)]
#[sea_orm(table_name = "app_user")]
#[graphql(name = "User")]
pub struct Model {
    /// The user's id.
    #[sea_orm(primary_key)]
    pub id: Id,
    /// Unique, compared without case and surrounding space.
    pub email: String,
    /// The e-mail as it is compared; unique.
    #[graphql(skip)]
    #[serde(skip)]
    pub email_key: String,
    /// What to call them.
    pub name: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in.
    pub active: bool,
    /// The password's hash; it leaves this service nowhere, not even into the audit log.
    #[graphql(skip)]
    #[serde(skip)]
    pub password_hash: String,
    /// Grows by one with each change.
    #[graphql(skip)]
    pub version: i32,
    /// When the user was created.
    pub created_at: DateTimeUtc,
    /// When the user was last changed.
    #[graphql(skip)]
    pub updated_at: DateTimeUtc,
}

/// Sessions name their user; nothing here names a session.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The user with this e-mail, given as it is compared.
    pub(crate) fn by_email(email_key: &str) -> Select<Self> {
        Self::find().filter(Column::EmailKey.eq(email_key))
    }

    /// The active administrators.
    pub(crate) fn administrators() -> Select<Self> {
        Self::find().filter(Column::Role.eq(Role::Admin)).filter(Column::Active.eq(true))
    }

    /// The user and the active administrators, to be locked in the order of their ids: so two
    /// administrators who demote each other wait, and one of them is refused.
    fn with_administrators(id: Id) -> Select<Self> {
        let administers = Column::Role.eq(Role::Admin).and(Column::Active.eq(true));
        let either = Column::Id.eq(id).or(administers);
        Self::find().filter(either).order_by_asc(Column::Id).lock_exclusive()
    }
}

impl Model {
    /// Whether the user is an active administrator.
    pub(crate) fn administers(&self) -> bool {
        self.active && self.role == Role::Admin
    }

    /// The user as they are now, locked, provided they may still sign in with the password that
    /// was checked before the transaction began.
    pub(crate) async fn unchanged(&self, tx: &impl ConnectionTrait) -> Result<Option<Self>> {
        let now = Entity::find_by_id(self.id).lock_exclusive().one(tx).await?;
        Ok(now.filter(|now| now.active && now.password_hash == self.password_hash))
    }
}

/// Queries for users.
#[derive(Default)]
pub(crate) struct UserQuery;

#[Object]
impl UserQuery {
    /// Who is signed in. API keys are nobody: they are refused.
    async fn me(&self, ctx: &Context<'_>) -> Result<Model> {
        let me = ctx.by_id::<Entity>(ctx.caller().user()?).await?;
        me.ok_or_else(|| ctx.caller().refusal())
    }

    /// Users by id, inactive ones too.
    #[graphql(complexity = "Offset::cost(limit, child_complexity)")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50, desc = "How many, 1 to 500.")] limit: Option<i32>,
        #[graphql(default = 0, desc = "How many to leave out first, 0 to 10,000.")] offset: Option<i32>,
    ) -> Result<Vec<Model>> {
        let Offset { limit, offset } = Offset::try_new(limit, offset)?;
        let users = Entity::find().order_by_asc(Column::Id).limit(limit).offset(offset);
        Ok(users.all(ctx.db()).await?)
    }

    /// One user for other subgraphs.
    #[graphql(entity)]
    async fn find_user_by_id(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Model>> {
        match Id::parse(&id) {
            Some(id) => ctx.by_id::<Entity>(id.0).await,
            None => Ok(None),
        }
    }
}
