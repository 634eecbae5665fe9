//! Passwords: argon2id hashes, and changing one's own.
//!
//! A hash costs a core for some 20 ms and 19 MiB, so only as many are made at once as there are
//! cores; the others wait their turn.

use crate::{
    session::{self, Reason},
    throttle::Throttle,
    user,
};
use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use async_graphql::{Context, Object};
use sea_orm::{ActiveModelTrait, IntoActiveModel};
use std::{sync::Arc, thread::available_parallelism, time::Duration};
use subgraph::{Config, ContextExt, Error, Result, Service, validate::Validator};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// Characters of a password, at least.
const MIN: usize = 8;
/// Characters of a password, at most: what is longer is refused before it costs a hash.
const MAX: usize = 128;
/// How long to wait for a turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// Checks a password that somebody chooses.
pub(crate) fn check_new(v: &mut Validator, field: &str, password: &str) {
    if password.chars().nth(MIN - 1).is_none() {
        v.fault(field, format!("is shorter than {MIN} characters"));
    }
    if password.chars().any(char::is_control) {
        v.fault(field, "has control characters");
    }
    check_given(v, field, password);
}

/// Checks a password that somebody shows: it may be wrong, but not long.
pub(crate) fn check_given(v: &mut Validator, field: &str, password: &str) {
    if password.chars().nth(MAX).is_some() {
        v.fault(field, format!("is longer than {MAX} characters"));
    }
}

/// Makes and checks hashes.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Checked when there is no user, so that the answer takes as long as when there is one.
    nobody: String,
}

impl Passwords {
    /// As many turns as there are cores.
    pub(crate) fn new(_: &Config) -> anyhow::Result<Self> {
        let cores = available_parallelism().map_or(1, Into::into);
        let nobody = hash("nobody", b"salt of nobody").map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
        Ok(Self { turns: Arc::new(Semaphore::new(cores)), nobody })
    }

    /// The hash of a password, in PHC's form.
    pub(crate) async fn hash(service: &Service, password: String) -> Result<String> {
        let salt = service.random.bytes::<16>();
        let hashed = service.state::<Self>().in_turn(move || hash(&password, &salt)).await?;
        hashed.map_err(Error::internal)
    }

    /// Whether `password` is the user's. Without a user it takes as long, and it is not.
    pub(crate) async fn fits(
        service: &Service,
        user: Option<&user::Model>,
        password: String,
    ) -> Result<bool> {
        let passwords = service.state::<Self>();
        let kept = user.map_or(&passwords.nobody, |user| &user.password_hash).clone();
        Ok(passwords.in_turn(move || fits(&password, &kept)).await? && user.is_some())
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Error::Unavailable("Too many people sign in at once; try again".into()));
        };
        let working = spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        working.await.map_err(Error::internal)
    }
}

fn hash(password: &str, salt: &[u8]) -> Result<String, argon2::password_hash::Error> {
    let hash: PasswordHash = Argon2::default().hash_password_with_salt(password.as_bytes(), salt)?;
    Ok(hash.to_string())
}

fn fits(password: &str, kept: &str) -> bool {
    PasswordHash::new(kept)
        .is_ok_and(|kept| Argon2::default().verify_password(password.as_bytes(), &kept).is_ok())
}

/// Mutations of passwords.
#[derive(Default)]
pub(crate) struct PasswordMutation;

#[Object]
impl PasswordMutation {
    /// Changes one's own password. Ends the user's other sessions. A wrong current password counts
    /// as a failed sign-in.
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password as it is.")] current_password: String,
        #[graphql(desc = "The new one, 8 to 128 characters.")] new_password: String,
    ) -> Result<bool> {
        let (service, caller) = (ctx.service(), ctx.caller());
        check_both(&current_password, &new_password)?;
        let user = ctx.by_id::<user::Entity>(caller.user()?).await?.ok_or_else(|| caller.refusal())?;
        let attempt = Throttle::attempt(service, &user.email_key, caller.address).await?;
        if !Passwords::fits(service, Some(&user), current_password).await? {
            attempt.failed(1);
            return Err(Error::invalid("currentPassword", "is wrong"));
        }
        let password_hash = Passwords::hash(service, new_password).await?;
        let mut change = ctx.change().await?;
        let Some(old) = user.unchanged(change.tx()).await? else {
            return Err(Error::conflict("The password was changed meanwhile; try again"));
        };
        let new = user::Model { password_hash, version: old.version + 1, updated_at: change.at(), ..old };
        new.into_active_model().reset_all().update(change.tx()).await?;
        session::revoke_all(&mut change, user.id, caller.session.as_deref(), Reason::Password).await?;
        // No event: others know nothing of passwords. To them a version is missing
        change.record("user.password_changed", user.id, &serde_json::json!({}))?;
        change.finish(()).await?;
        attempt.succeeded();
        Ok(true)
    }
}

fn check_both(current: &str, new: &str) -> Result<()> {
    let mut v = Validator::default();
    check_given(&mut v, "currentPassword", current);
    check_new(&mut v, "newPassword", new);
    v.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well(password: &str) -> bool {
        let mut v = Validator::default();
        check_new(&mut v, "password", password);
        v.is_clean()
    }

    #[test]
    fn passwords_have_8_to_128_plain_characters() {
        for good in ["password", &"é".repeat(128), "with spaces in it"] {
            assert!(well(good), "{good}");
        }
        for bad in ["", "1234567", &"é".repeat(129), "pass\0word", "pass\nword"] {
            assert!(!well(bad), "{bad:?}");
        }
    }

    #[test]
    fn only_the_password_itself_fits_its_hash() {
        let kept = hash("password", b"0123456789abcdef").unwrap();
        assert!(kept.starts_with("$argon2id$"), "{kept}");
        assert!(fits("password", &kept));
        assert!(!fits("Password", &kept));
        assert!(!fits("password", "not a hash"));
    }
}
