//! Signing in with e-mail and password.
//!
//! Unknown users, inactive ones and wrong passwords get the same answer after the same time, so
//! that nobody learns who has an account here.

use crate::{
    password::{self, Passwords},
    session::{self, AuthPayload},
    throttle::Throttle,
    user,
};
use async_graphql::{
    Context, InputObject, Object,
    parser::types::{Selection, SelectionSet},
};
use subgraph::{
    Actor, Caller, Change, ContextExt, Error, Result,
    validate::{Validator, fold},
};

/// Who signs in.
#[derive(InputObject)]
pub(crate) struct LoginInput {
    /// The user's e-mail, whatever its case.
    email: String,
    /// The user's password.
    password: String,
}

impl LoginInput {
    /// The e-mail as it is compared, and the password. Whether the e-mail looks like one is not
    /// checked: then nobody has it.
    fn check(self) -> Result<(String, String)> {
        let Self { email, password } = self;
        let mut v = Validator::default();
        let email = v.line("email", &email, 254);
        password::check_given(&mut v, "password", &password);
        v.finish()?;
        Ok((fold(&email), password))
    }
}

/// Mutations for signing in.
#[derive(Default)]
pub(crate) struct LoginMutation;

#[Object]
impl LoginMutation {
    /// Signs in. After ten failures within 15 minutes an account has to wait, and an address after a hundred.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in.")] input: LoginInput,
    ) -> Result<AuthPayload> {
        let (service, (email_key, password)) = (ctx.service(), input.check()?);
        let attempt = Throttle::attempt(service, &email_key, ctx.caller().address).await?;
        let user = user::Entity::by_email(&email_key).one(ctx.db()).await?;
        let fits = Passwords::fits(service, user.as_ref(), password).await?;
        let Some(user) = user.filter(|user| fits && user.active) else {
            attempt.failed(guesses(ctx, &ctx.query_env.operation.node.selection_set.node));
            return Err(refused());
        };
        let caller = Caller { actor: Actor::User(user.id.0), ..ctx.caller().clone() };
        let mut change = Change::begin(service, &caller).await?;
        let user = user.unchanged(change.tx()).await?.ok_or_else(refused)?;
        let payload = session::open(&mut change, service, user).await?;
        change.finish(()).await?;
        attempt.succeeded();
        Ok(payload)
    }
}

/// How often the operation signs in. Whoever packs many guesses into one has made them all, although
/// the first that fails ends it.
fn guesses(ctx: &Context<'_>, set: &SelectionSet) -> usize {
    let each = set.items.iter().map(|item| match &item.node {
        Selection::Field(field) => usize::from(field.node.name.node == "login"),
        Selection::InlineFragment(inline) => guesses(ctx, &inline.node.selection_set.node),
        Selection::FragmentSpread(spread) => {
            let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node);
            fragment.map_or(0, |fragment| guesses(ctx, &fragment.node.selection_set.node))
        }
    });
    each.fold(0, usize::saturating_add)
}

fn refused() -> Error {
    Error::Unauthenticated("E-mail or password is wrong".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(email: &str, password: &str) -> Result<(String, String)> {
        LoginInput { email: email.into(), password: password.into() }.check()
    }

    #[test]
    fn the_email_is_folded_and_the_password_is_left_alone() {
        assert_eq!(check(" Ada@Example.COM ", " p ").unwrap(), ("ada@example.com".into(), " p ".into()));
        assert!(check("no e-mail at all", "p").is_ok(), "an unknown one, not a malformed one");
    }

    #[test]
    fn what_is_too_long_costs_no_hash() {
        for (email, password) in
            [("", "p"), ("a@b.co", &*"x".repeat(129)), (&*"x".repeat(255), "p"), ("a\0@b.co", "p")]
        {
            assert_eq!(check(email, password).unwrap_err().code(), "BAD_USER_INPUT");
        }
    }
}
