//! The `accounts` subgraph owns who may come in: users and their passwords, sessions, API keys,
//! and the keys that sign tokens. What people then do is none of its business: each other service
//! checks tokens by itself, with the public keys it reads here.

mod admission;
mod api_key;
mod keys;
mod login;
mod oauth;
mod password;
mod revoked;
mod secret;
mod session;
mod start;
mod throttle;
mod token;
mod user;

use async_graphql::{EmptySubscription, MergedObject};
use poem::{EndpointExt, endpoint::BoxEndpoint, get, post};
use subgraph::{ExtraArg, Policy, Role, Service, Subgraph};

pub use keys::path as signing_key_file;

/// Everything that can be asked.
#[derive(Default, MergedObject)]
struct Query(user::UserQuery, api_key::ApiKeyQuery);

/// Everything that can be done.
#[derive(Default, MergedObject)]
struct Mutation(
    login::LoginMutation,
    session::SessionMutation,
    user::UserMutation,
    password::PasswordMutation,
    api_key::ApiKeyMutation,
);

const ARGS: &[ExtraArg] = &[
    ExtraArg {
        flag: keys::FILE_FLAG,
        env: "JWT_PRIVATE_KEY_FILE",
        help: "PEM file of the keys that sign tokens; the first signs, all are published [default: generated in the data folder]",
    },
    ExtraArg {
        flag: token::LIFETIME_FLAG,
        env: "JWT_EXPIRES_IN",
        help: "How long a token is valid, such as 90s, 15m, 24h or 7d [default: 24h]",
    },
    ExtraArg {
        flag: start::EMAIL_FLAG,
        env: "ADMIN_EMAIL",
        help: "E-mail of the first administrator, created once when there is none",
    },
    ExtraArg {
        flag: start::PASSWORD_FLAG,
        env: "ADMIN_PASSWORD",
        help: "Password of the first administrator; change it after signing in",
    },
];

/// The subgraph, not yet started.
pub fn subgraph() -> Subgraph {
    let policy = Policy::default()
        .public(&["login", "refreshToken"])
        .read(Role::SalesRep, &["me", "users"])
        .allow(Role::SalesRep, &["logout", "changePassword"])
        .allow(Role::Admin, &["createUser", "updateUser", "apiKeys", "createApiKey", "revokeApiKey"]);
    let subgraph = Subgraph::new::<Query, Mutation, EmptySubscription, migrations::accounts::Migrator>(
        "accounts", 4001, policy,
    )
    .table::<user::Entity>("app_user")
    .table::<session::Entity>("session")
    .table::<session::refresh::Entity>("refresh_token")
    .table::<api_key::Entity>("api_key")
    .snapshot(revoked::snapshot)
    .state(password::Passwords::new)
    .state(throttle::Throttle::new)
    .state(token::Signer::new)
    .keys(keys::local)
    .command("keys", "Keys that sign tokens: `keys list`, `keys rotate`", keys::command)
    .routes(routes)
    .admission(admission::admit)
    .demo(start::demo)
    .on_start(start::first_administrator)
    .insist(|config| keys::fault(config).into_iter().chain(start::weak_password(config)).collect());
    ARGS.iter().fold(subgraph, |subgraph, arg| subgraph.arg(*arg))
}

fn routes(service: &Service) -> Vec<(&'static str, BoxEndpoint<'static>)> {
    vec![
        ("/.well-known/jwks.json", get(token::jwks).data(service.clone()).boxed()),
        ("/oauth/token", post(oauth::answer).data(service.clone()).boxed()),
    ]
}
