//! Why there is no answer.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

/// Why there is no answer. Its text is for the log: it has nothing of the key, the question or the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody was asked: the provider failed several times in a row a moment ago.
    Resting,
    /// Nobody was asked: others were, all the time.
    Busy,
    /// No connection; with the cause.
    Unreachable(String),
    /// The connection broke before the first byte of an answer; with the cause.
    Dropped(String),
    /// The connection broke within the answer; with the cause.
    Broken(String),
    /// Too long a time passed within the answer without a byte, or in all.
    TimedOut,
    /// The answer is longer than this many bytes.
    TooLong(usize),
    /// The provider refused or failed.
    Status {
        /// The HTTP status, also of an error that came with status 200.
        status: u16,
        /// How long the provider wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// What came is no chat completion; with what is wrong.
    Malformed(&'static str),
    /// The model, or a filter of the provider's, declined to answer.
    Declined,
    /// The model's answer does not have the form that was asked for; with what is wrong.
    Unfit(String),
}

impl Failure {
    /// Whether the next attempt may fare better.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Dropped(_) => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the provider is to blame. What depends on the content is not: otherwise the notes of one lead could
    /// shut the model off for all others.
    pub(crate) fn is_providers(&self) -> bool {
        match self {
            Self::Status { status, .. } => !matches!(status, 400 | 413 | 422),
            Self::Resting | Self::Busy | Self::Declined | Self::Unfit(_) => false,
            _ => true,
        }
    }

    /// How long the provider wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }

    /// Its name in the metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Busy => "busy",
            Self::Unreachable(_) => "unreachable",
            Self::Dropped(_) | Self::Broken(_) => "broken",
            Self::TimedOut => "timed_out",
            Self::TooLong(_) => "too_long",
            Self::Status { .. } => "status",
            Self::Malformed(_) => "malformed",
            Self::Declined => "declined",
            Self::Unfit(_) => "unfit",
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resting => {
                f.write_str("the provider failed several times in a row; it is tried again soon")
            }
            Self::Busy => f.write_str("too many questions at once"),
            Self::Unreachable(cause) => write!(f, "no connection to the provider (LLM_BASE_URL): {cause}"),
            Self::Dropped(cause) => write!(f, "the connection broke before an answer: {cause}"),
            Self::Broken(cause) => write!(f, "the connection broke within the answer: {cause}"),
            Self::TimedOut => f.write_str("the provider took too long"),
            Self::TooLong(limit) => write!(f, "the answer has more than {limit} bytes"),
            Self::Status { status, .. } => write!(f, "the provider answered {status}{}", hint(*status)),
            Self::Malformed(what) => write!(f, "the provider's answer is no chat completion: {what}"),
            Self::Declined => f.write_str("the model declined to answer"),
            Self::Unfit(what) => write!(f, "the model's answer does not fit: {what}"),
        }
    }
}

impl std::error::Error for Failure {}

/// What an operator can do about it.
fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => ": redirects are not followed, LLM_BASE_URL must be the final address",
        400 | 422 => ": it does not understand the question; is LLM_MODEL right?",
        401 => ": the key is missing or wrong, see OPENROUTER_API_KEY",
        402 => ": the account behind OPENROUTER_API_KEY has no credit left",
        403 => ": the key may not use this model, see OPENROUTER_API_KEY and LLM_MODEL",
        404 => ": there is no such address or model, see LLM_BASE_URL and LLM_MODEL",
        429 => ": too many questions for this account",
        _ => "",
    }
}
