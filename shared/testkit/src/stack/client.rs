//! Asking the services themselves, as somebody who is signed in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Value, json};

/// The demo login.
const DEMO: (&str, &str) = ("test@example.com", "password");
/// Longer than a service takes to say that it cannot answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no answer to use.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Nobody knows whether it was done: there was no answer, or half of one.
    Unknown(String),
    /// The service says what is wrong: the code, and the whole answer.
    Refused(String, Value),
}

impl Failure {
    /// Whether trying again may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unknown(_) => true,
            Self::Refused(code, _) => code == "UNAVAILABLE",
        }
    }

    /// Whether the service refuses with this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused(said, _) if said == code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(why) => write!(f, "no answer: {why}"),
            Self::Refused(code, answer) => write!(f, "{code}: {answer}"),
        }
    }
}

/// A client of all services. Clones are signed in together.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    ports: Arc<RwLock<BTreeMap<&'static str, Vec<u16>>>>,
    token: Arc<RwLock<String>>,
    asked: Arc<std::sync::atomic::AtomicUsize>,
}

impl Client {
    pub(super) fn new(ports: &[(&'static str, u16)]) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        let ports = ports.iter().map(|(name, port)| (*name, vec![*port])).collect();
        Self {
            http: http.expect("a client without special options"),
            ports: Arc::new(RwLock::new(ports)),
            token: Arc::default(),
            asked: Arc::default(),
        }
    }

    pub(super) fn also(&self, service: &'static str, port: u16) {
        let mut ports = self.ports.write().unwrap_or_else(PoisonError::into_inner);
        ports.entry(service).or_default().push(port);
    }

    pub(super) fn no_longer(&self, service: &str, port: u16) {
        let mut ports = self.ports.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(ports) = ports.get_mut(service) {
            ports.retain(|it| *it != port);
        }
    }

    /// Where a service answers; its replicas take turns.
    ///
    /// # Panics
    /// When there is no such service.
    #[must_use]
    pub fn url(&self, service: &str, path: &str) -> String {
        let turn = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let ports = self.ports.read().unwrap_or_else(PoisonError::into_inner);
        let ports = ports.get(service).unwrap_or_else(|| panic!("there is no service {service}"));
        format!("http://127.0.0.1:{}{path}", ports[turn % ports.len()])
    }

    /// The token it is signed in with.
    #[must_use]
    pub fn token(&self) -> String {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signs in as the demo administrator.
    ///
    /// # Errors
    /// When accounts refuses or does not answer.
    pub async fn sign_in(&self) -> Result<(), Failure> {
        let token = self.login().await?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }

    /// The token of one more session of the demo administrator.
    ///
    /// # Errors
    /// When accounts refuses or does not answer.
    pub async fn login(&self) -> Result<String, Failure> {
        let query = "mutation($input: LoginInput!) { login(input: $input) { token } }";
        let input = json!({ "input": { "email": DEMO.0, "password": DEMO.1 } });
        let answer = self.ask_as(None, "accounts", query, input).await?;
        let token = answer["login"]["token"].as_str();
        Ok(token.ok_or_else(|| Failure::Unknown(format!("no token: {answer}")))?.to_owned())
    }

    /// The `data` that a service answers with; signs in again when the token has ended.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub async fn ask(&self, service: &str, query: &str, variables: Value) -> Result<Value, Failure> {
        match self.ask_as(Some(&self.token()), service, query, variables.clone()).await {
            Err(failure) if failure.is("UNAUTHENTICATED") => {
                self.sign_in().await?;
                self.ask_as(Some(&self.token()), service, query, variables).await
            }
            answer => answer,
        }
    }

    /// As [`Client::ask`], with another token or none.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn ask_as(
        &self,
        token: Option<&str>,
        service: &str,
        query: &str,
        variables: Value,
    ) -> Result<Value, Failure> {
        let unknown = |error: reqwest::Error| Failure::Unknown(format!("{error:?}"));
        let request = self.http.post(self.url(service, "/graphql"));
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let request = request.json(&json!({ "query": query, "variables": variables }));
        let mut answer: Value = request.send().await.map_err(unknown)?.json().await.map_err(unknown)?;
        match answer["errors"][0]["extensions"]["code"].as_str() {
            Some(code) => Err(Failure::Refused(code.to_owned(), answer)),
            None if answer.get("errors").is_some() => Err(Failure::Refused(String::new(), answer)),
            None => Ok(answer["data"].take()),
        }
    }

    /// As [`Client::ask`], of what must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn data(&self, service: &str, query: &str, variables: Value) -> Value {
        self.ask(service, query, variables).await.unwrap_or_else(|failure| panic!("{query}: {failure}"))
    }

    pub(super) async fn get(&self, service: &str, path: &str) -> Option<String> {
        self.http.get(self.url(service, path)).send().await.ok()?.text().await.ok()
    }
}
