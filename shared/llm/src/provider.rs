//! One exchange with the provider.

use crate::{completion::Completion, failure::Failure, form::Form, settings::Settings};
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use std::{
    error::Error,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};
use subgraph::Clock;

/// Words by which servers say that they do not know strict output, or the bound on tokens that goes with it.
const FORMAT_WORDS: [&str; 4] = ["response_format", "schema", "structured", "max_tokens"];
/// Characters of a cause.
const MAX_CAUSE: usize = 200;

/// The provider.
#[derive(Debug)]
pub(crate) struct Provider {
    settings: Settings,
    http: reqwest::Client,
    /// It refused strict output, and did without.
    plain: AtomicBool,
    /// It took strict output.
    strict: AtomicBool,
}

impl Provider {
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("leadgraph/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.limits.connect)
            .read_timeout(settings.limits.idle)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { settings, http, plain: AtomicBool::new(false), strict: AtomicBool::new(false) })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks once; once more, without strict output, when that is what the provider does not want.
    pub(crate) async fn ask(&self, form: &Form) -> Result<Completion, Failure> {
        let strict = !self.plain.load(Ordering::Relaxed);
        let mut response = self.send(form, strict).await?;
        if strict && response.status().is_success() {
            self.strict.store(true, Ordering::Relaxed);
        } else if strict
            && matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
        {
            response = self.ask_plainly(form, response).await?;
        }
        if !response.status().is_success() {
            return Err(failure(response.status(), response.headers()));
        }
        Completion::read(&read(response, self.settings.limits.bytes).await?)
    }

    /// Asks without strict output, if that may be what was refused, and remembers when it was.
    async fn ask_plainly(&self, form: &Form, refused: Response) -> Result<Response, Failure> {
        let (status, headers) = (refused.status(), refused.headers().clone());
        let unproven = status == StatusCode::BAD_REQUEST && !self.strict.load(Ordering::Relaxed);
        if !unproven && !is_about_format(&read(refused, self.settings.limits.bytes).await?) {
            return Err(failure(status, &headers));
        }
        let response = self.send(form, false).await?;
        if response.status().is_success() && !self.plain.swap(true, Ordering::Relaxed) {
            tracing::info!("the language model's provider does not know strict output, and is asked without");
        }
        Ok(response)
    }

    async fn send(&self, form: &Form, strict: bool) -> Result<Response, Failure> {
        let mut request = self.http.post(self.settings.endpoint.clone()).header(ACCEPT, "application/json");
        if let Some(authorization) = &self.settings.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        request.json(&form.body(strict)).send().await.map_err(|error| {
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

/// The whole body, unless it is longer than that.
async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| {
            if error.is_timeout() { Failure::TimedOut } else { Failure::Broken(cause(&error)) }
        })?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > limit {
            return Err(Failure::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
}

fn is_about_format(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body).to_lowercase();
    FORMAT_WORDS.iter().any(|word| body.contains(word))
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
