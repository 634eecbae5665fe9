//! Which provider to ask, and how much patience to have with it.

use anyhow::{Context, bail, ensure};
use reqwest::{Url, header::HeaderValue};
use std::{
    fmt::{self, Debug, Formatter},
    time::Duration,
};
use subgraph::{Config, ExtraArg};

const KEY: &str = "openrouter-api-key";
const BASE_URL: &str = "llm-base-url";
const MODEL: &str = "llm-model";
const TIMEOUT: &str = "llm-timeout-ms";

const DEFAULT_BASE_URL: &str = "https://openrouter.ai/api/v1";
const DEFAULT_MODEL: &str = "openai/gpt-4o-mini";
/// The longest name of a model that anybody has is much shorter.
const MAX_MODEL: usize = 200;

/// The flags of a service that was offered a model.
pub(crate) const ARGS: &[ExtraArg] = &[
    ExtraArg {
        flag: KEY,
        env: "OPENROUTER_API_KEY",
        help: "Key of the language model's provider [default: built-in rules write summaries and recommendations]",
    },
    ExtraArg {
        flag: BASE_URL,
        env: "LLM_BASE_URL",
        help: "Address of any OpenAI-compatible API, such as http://localhost:11434/v1; it needs no key [default: \
               OpenRouter, when there is a key]",
    },
    ExtraArg {
        flag: MODEL,
        env: "LLM_MODEL",
        help: "Model to ask, as the provider calls it [default: openai/gpt-4o-mini]",
    },
    ExtraArg {
        flag: TIMEOUT,
        env: "LLM_TIMEOUT_MS",
        help: "How long one question may take with everything, in milliseconds, at most 20000 [default: 20000]",
    },
];

/// How much patience to have with a provider.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// Between two chunks of the answer, once its head is there: before that a server may think for as long as `total`.
    pub idle: Duration,
    /// For one question with everything: waiting for its turn, all attempts and the pauses between them.
    pub total: Duration,
    /// Bytes of an answer.
    pub bytes: usize,
    /// Attempts after the first.
    pub retries: usize,
    /// The longest pause after the first attempt; it doubles with each, and chance takes a part of it.
    pub pause: Duration,
    /// Questions that the provider gets at the same time.
    pub at_once: usize,
    /// Failures in a row after which the provider is left alone.
    pub failures: u32,
    /// For how long, until one question finds out whether it works again.
    pub rest: Duration,
    /// How long an answer is kept for who asks the same again.
    pub kept: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            idle: Duration::from_secs(10),
            total: Duration::from_secs(20),
            bytes: 1_000_000,
            retries: 2,
            pause: Duration::from_millis(500),
            at_once: 4,
            failures: 5,
            rest: Duration::from_secs(30),
            kept: Duration::from_hours(1),
        }
    }
}

/// Which provider to ask. The key and the address do not print themselves.
#[derive(Clone)]
pub struct Settings {
    pub(crate) endpoint: Url,
    /// The Authorization header.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) model: String,
    /// How much patience to have with it.
    pub limits: Limits,
}

impl Settings {
    /// A provider by its base URL, OpenRouter if none is given, with its key if it needs one, and the model.
    ///
    /// # Errors
    /// Says which variable to correct, without its value.
    pub fn new(base_url: Option<&str>, key: Option<&str>, model: Option<&str>) -> anyhow::Result<Self> {
        let model = model.unwrap_or(DEFAULT_MODEL).trim();
        ensure!(
            (1..=MAX_MODEL).contains(&model.len()) && !model.contains(char::is_control),
            "LLM_MODEL must be the name of a model, such as {DEFAULT_MODEL}"
        );
        Ok(Self {
            endpoint: endpoint(base_url.unwrap_or(DEFAULT_BASE_URL).trim())?,
            authorization: key.map(|key| authorization(key.trim())).transpose()?,
            model: model.to_owned(),
            limits: Limits::default(),
        })
    }

    /// With other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What a service was configured with; nothing when there is neither a key nor an address.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let value = |flag| config.extra(flag).filter(|value| !value.trim().is_empty());
        let (base_url, key) = (value(BASE_URL), value(KEY));
        if base_url.is_none() && key.is_none() {
            return Ok(None);
        }
        let mut settings = Self::new(base_url, key, value(MODEL))?;
        if let Some(millis) = value(TIMEOUT) {
            settings.limits.total = total(millis, settings.limits.total)?;
        }
        Ok(Some(settings))
    }
}

impl Debug for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { endpoint, authorization: _, model, limits } = self;
        let provider = endpoint.origin().ascii_serialization();
        let mut settings = f.debug_struct("Settings");
        settings.field("provider", &provider).field("model", model).field("limits", limits);
        settings.finish_non_exhaustive()
    }
}

/// Where questions go.
fn endpoint(base_url: &str) -> anyhow::Result<Url> {
    let Ok(mut url) = Url::parse(base_url) else {
        bail!("LLM_BASE_URL must be an address such as {DEFAULT_BASE_URL}")
    };
    ensure!(matches!(url.scheme(), "http" | "https"), "LLM_BASE_URL must begin with https:// or http://");
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "LLM_BASE_URL must not hold a user or a password; the key belongs in OPENROUTER_API_KEY"
    );
    url.set_fragment(None);
    let Ok(mut path) = url.path_segments_mut() else { bail!("LLM_BASE_URL must be an address") };
    path.pop_if_empty().extend(["chat", "completions"]);
    drop(path);
    Ok(url)
}

/// The Authorization header with this key, which no log shows.
fn authorization(key: &str) -> anyhow::Result<HeaderValue> {
    let is_key = !key.is_empty() && key.chars().all(|it| it.is_ascii_graphic());
    let value = HeaderValue::from_str(&format!("Bearer {key}")).ok().filter(|_| is_key);
    let mut value =
        value.context("OPENROUTER_API_KEY has characters that no key has, such as a line break")?;
    value.set_sensitive(true);
    Ok(value)
}

fn total(millis: &str, most: Duration) -> anyhow::Result<Duration> {
    let millis = millis.trim().parse().ok().map(Duration::from_millis);
    let total = millis.filter(|total| (Duration::from_millis(1)..=most).contains(total));
    total.with_context(|| format!("LLM_TIMEOUT_MS must be a number from 1 to {}", most.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_with_the_key_does_not_print_it() {
        let header = authorization("sk-SECRET").unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer sk-SECRET");
        assert!(!format!("{header:?}").contains("SECRET"));
    }
}
