//! One exchange with the provider.

use crate::{
    completion::Completion,
    extras::{Extras, Taste},
    failure::Failure,
    form::Form,
    settings::{Limits, Settings},
};
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use std::{
    error::Error,
    time::{Duration, SystemTime},
};
use subgraph::Clock;
use tokio::time::timeout;

/// Characters of a cause.
const MAX_CAUSE: usize = 200;

/// The provider.
#[derive(Debug)]
pub(crate) struct Provider {
    settings: Settings,
    http: reqwest::Client,
    taste: Taste,
}

impl Provider {
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("leadgraph/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.limits.connect)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { settings, http, taste: Taste::default() })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks once; again without strict output or the bound on tokens, when that is what the provider does not want.
    pub(crate) async fn ask(&self, form: &Form) -> Result<Completion, Failure> {
        let Limits { bytes, idle, .. } = self.settings.limits;
        let mut extras = self.taste.extras();
        loop {
            let response = self.send(form, extras).await?;
            let status = response.status();
            if status.is_success() {
                self.taste.took(extras);
                return Completion::read(&read(response, bytes, idle).await?);
            }
            let failure = failure(status, response.headers());
            if extras.is_none()
                || !matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
            {
                return Err(failure);
            }
            let why = read(response, bytes, idle).await?;
            extras = self.taste.fewer(extras, status, &why).ok_or(failure)?;
        }
    }

    async fn send(&self, form: &Form, extras: Extras) -> Result<Response, Failure> {
        let mut request = self.http.post(self.settings.endpoint.clone()).header(ACCEPT, "application/json");
        if let Some(authorization) = &self.settings.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        request.json(&form.body(extras)).send().await.map_err(|error| {
            if error.is_connect() {
                Failure::Unreachable(cause(&error))
            } else if error.is_timeout() {
                Failure::TimedOut
            } else {
                Failure::Dropped(cause(&error))
            }
        })
    }
}

/// The whole body, unless it is longer than that, or nothing of it comes for so long. The wait for its head is another
/// matter: a server that does not stream sends nothing until all of the answer is there.
async fn read(mut response: Response, limit: usize, idle: Duration) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let chunk = timeout(idle, response.chunk()).await.map_err(|_| Failure::TimedOut)?;
        let chunk = chunk.map_err(|error| {
            if error.is_timeout() { Failure::TimedOut } else { Failure::Broken(cause(&error)) }
        })?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > limit {
            return Err(Failure::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
}

fn failure(status: StatusCode, headers: &HeaderMap) -> Failure {
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?.trim()));
    Failure::Status { status: status.as_u16(), retry_after }
}

/// How long from now: a number of seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    // The provider's time has nothing to do with one that a test has fixed
    Some(at.duration_since(SystemTime::from(Clock::System.now())).unwrap_or_default())
}

/// The innermost cause, which has no address and no body in it.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if cause.is::<reqwest::Error>() {
        return "unknown".to_owned();
    }
    cause.to_string().chars().filter(|it| !it.is_control()).take(MAX_CAUSE).collect()
}
