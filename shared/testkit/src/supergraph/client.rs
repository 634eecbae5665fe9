//! Asking the system what its clients ask.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use subgraph::Role;

use super::{ROUTER, Supergraph};

/// The demo login.
const DEMO: (&str, &str) = ("test@example.com", "password");
/// The password of the users that tests create.
const PASSWORD: &str = "correct horse";

/// What came back over HTTP.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON, or as a JSON string when it is none.
    pub body: Value,
}

impl Answer {
    /// The `extensions.code` of the first error; nothing when there is no error.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        code(&self.body)
    }
}

/// The `extensions.code` of an answer's first error; nothing when there is no error.
///
/// # Panics
/// When the error has no code: every one must.
#[must_use]
pub fn code(answer: &Value) -> Option<&str> {
    let error = answer.get("errors")?.get(0)?;
    Some(error["extensions"]["code"].as_str().unwrap_or_else(|| panic!("an error without a code: {error:#}")))
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's id.
    pub id: String,
    /// The e-mail.
    pub email: String,
    /// The password.
    pub password: String,
    /// For the Authorization header.
    pub token: String,
    /// Works once.
    pub refresh_token: String,
}

impl Supergraph {
    /// Asks the router.
    ///
    /// # Panics
    /// When the answer is no JSON.
    pub async fn graphql(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        self.direct(ROUTER, token, query, variables).await
    }

    /// Asks one service at its own port, or the router.
    ///
    /// # Panics
    /// When the answer is no JSON.
    pub async fn direct(&self, target: &str, token: Option<&str>, query: &str, variables: Value) -> Value {
        let request = self.request(Method::POST, target, token);
        self.send(request.json(&json!({ "query": query, "variables": variables }))).await.body
    }

    /// Asks the router for what must succeed; the answer's `data`.
    ///
    /// # Panics
    /// When there are errors.
    pub async fn data(&self, token: &str, query: &str, variables: Value) -> Value {
        let mut answer = self.graphql(Some(token), query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer:#}");
        answer["data"].take()
    }

    /// A request to the router or a service, to be made as wrong as the test wants it.
    pub fn request(&self, method: Method, target: &str, token: Option<&str>) -> RequestBuilder {
        self.request_at(method, &self.url(target), token)
    }

    /// A request to any address.
    pub fn request_at(&self, method: Method, url: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.client.request(method, url);
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|error| panic!("half an answer: {error:?}"));
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }

    /// The token of somebody who signs in through the router.
    ///
    /// # Panics
    /// When the login fails.
    pub async fn login(&self, email: &str, password: &str) -> String {
        self.sign_in(email, password).await.token
    }

    /// The token of the demo administrator, signed in anew.
    ///
    /// # Panics
    /// When the login fails.
    pub async fn admin(&self) -> String {
        self.login(DEMO.0, DEMO.1).await
    }

    /// Signs somebody in through the router.
    ///
    /// # Panics
    /// When the login fails.
    pub async fn sign_in(&self, email: &str, password: &str) -> User {
        let query =
            "mutation($input: LoginInput!) { login(input: $input) { token refreshToken user { id } } }";
        let input = json!({ "input": { "email": email, "password": password } });
        let answer = self.graphql(None, query, input).await;
        let text =
            |value: &Value| value.as_str().unwrap_or_else(|| panic!("no login: {answer:#}")).to_owned();
        let payload = &answer["data"]["login"];
        User {
            id: text(&payload["user"]["id"]),
            email: email.to_owned(),
            password: password.to_owned(),
            token: text(&payload["token"]),
            refresh_token: text(&payload["refreshToken"]),
        }
    }

    /// Creates a user called `name` with this role, who signs in.
    ///
    /// # Panics
    /// When that fails, as it does for a name that is taken.
    pub async fn user(&self, name: &str, role: Role) -> User {
        let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
        let email = format!("{name}@example.com");
        let input = json!({ "email": email, "name": name, "role": role, "password": PASSWORD });
        self.data(&self.admin().await, query, json!({ "input": input })).await;
        self.sign_in(&email, PASSWORD).await
    }
}
