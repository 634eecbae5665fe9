//! Who watches, and signing in.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};

use super::{Ended, WatchArgs};

/// The login that demo data has; it opens nothing else.
const DEMO: (&str, &str) = ("test@example.com", "password");
/// How long signing in may take: hashing a password is slow on purpose.
const TIMEOUT: Duration = Duration::from_secs(20);
const MUTATION: &str = "mutation($input: LoginInput!) { login(input: $input) { token } }";

/// How to come in.
pub(super) enum Login {
    Token(String),
    Password { email: String, password: String },
}

impl Login {
    pub fn of(args: &WatchArgs) -> Result<Self> {
        let password = |(email, password): (&str, &str)| Self::Password {
            email: email.into(),
            password: password.into(),
        };
        match (&args.token, &args.email, &args.password) {
            (Some(token), ..) => Ok(Self::Token(token.clone())),
            (None, Some(email), Some(secret)) => Ok(password((email, secret))),
            _ if is_here(&args.url)? => Ok(password(DEMO)),
            _ => bail!("say who you are: --email and LEADGRAPH_PASSWORD, or LEADGRAPH_TOKEN"),
        }
    }
}

/// Whether the address is this machine's own.
fn is_here(url: &str) -> Result<bool> {
    let url = Url::parse(url).with_context(|| format!("{url} is no address"))?;
    Ok(matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")))
}

/// A token.
pub(super) async fn sign_in(url: &str, login: &Login) -> Result<String, Ended> {
    let (email, password) = match login {
        Login::Token(token) => return Ok(token.clone()),
        Login::Password { email, password } => (email, password),
    };
    let client = Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()
        .map_err(|error| Ended::Lasting(error.into()))?;
    let input =
        json!({ "query": MUTATION, "variables": { "input": { "email": email, "password": password } } });
    let answer = client.post(url).json(&input).send().await;
    let answer = answer.map_err(|error| {
        if error.is_builder() { Ended::lasting(format!("{url} is no address")) } else { silent(url) }
    })?;
    let status = answer.status();
    let answer: Option<Value> = answer.json().await.ok();
    answer.map_or_else(|| Err(unreadable(url, status)), |answer| token(&answer))
}

fn silent(url: &str) -> Ended {
    Ended::passing(format!("nothing answers at {url}"))
}

/// An answer that is not GraphQL's: a proxy's while the service is away, or somebody else's.
fn unreadable(url: &str, status: StatusCode) -> Ended {
    if status.is_server_error() {
        silent(url)
    } else {
        Ended::lasting(format!("{url} does not speak GraphQL ({status})"))
    }
}

fn token(answer: &Value) -> Result<String, Ended> {
    if let Some(token) = answer["data"]["login"]["token"].as_str() {
        return Ok(token.to_owned());
    }
    let error = &answer["errors"][0];
    let why = format!("cannot sign in: {}", error["message"].as_str().unwrap_or("there is no answer"));
    match error["extensions"]["code"].as_str() {
        Some("UNAUTHENTICATED" | "FORBIDDEN" | "BAD_USER_INPUT") => Err(Ended::lasting(why)),
        _ => Err(Ended::passing(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_login_stays_on_this_machine() {
        for here in ["http://127.0.0.1:4000/graphql", "http://localhost/", "http://[::1]:4000"] {
            assert!(is_here(here).unwrap(), "{here}");
        }
        for elsewhere in
            ["https://crm.example.com/graphql", "http://localhost.example.com", "http://10.0.0.1"]
        {
            assert!(!is_here(elsewhere).unwrap(), "{elsewhere}");
        }
        assert!(is_here("crm").is_err());
    }

    #[test]
    fn a_wrong_password_is_not_tried_again() {
        let refused =
            |code| token(&json!({ "errors": [{ "message": "no", "extensions": { "code": code } }] }));
        assert!(matches!(refused("UNAUTHENTICATED"), Err(Ended::Lasting(_))));
        assert!(matches!(refused("RATE_LIMITED"), Err(Ended::Passing(_))));
        assert_eq!(token(&json!({ "data": { "login": { "token": "t" } } })).ok().as_deref(), Some("t"));
    }
}
