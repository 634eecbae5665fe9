//! What only some servers understand of a question, and which of it this one does.

use reqwest::StatusCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Words by which servers say that they do not know strict output.
const FORMAT_WORDS: [&str; 3] = ["response_format", "schema", "structured"];
/// Words by which servers say that they do not know a field, or know it by another name only. A bound that is too large
/// for a long question is told in other words.
const UNKNOWN_WORDS: [&str; 7] = [
    "unsupported",
    "not support",
    "unknown",
    "unrecognized",
    "not permitted",
    "not allowed",
    "use max_completion_tokens",
];

/// What a question is sent with beyond what every server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extras {
    /// Strict output, by the schema.
    pub(crate) format: bool,
    /// The bound on tokens.
    pub(crate) bound: bool,
}

impl Extras {
    pub(crate) fn is_none(self) -> bool {
        !self.format && !self.bound
    }
}

/// What a server turned out to understand.
#[derive(Debug, Default)]
pub(crate) struct Taste {
    format: Extra,
    bound: Extra,
}

/// What is known of one extra.
#[derive(Debug, Default)]
struct Extra {
    /// The server answered a question that had it.
    taken: AtomicBool,
    /// It does not know it.
    refused: AtomicBool,
}

impl Extra {
    fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    /// A server that took it once is always sent it: what it refused was the question.
    fn is_wanted(&self) -> bool {
        self.is_taken() || !self.refused.load(Ordering::Relaxed)
    }

    fn take(&self) {
        self.taken.store(true, Ordering::Relaxed);
    }

    fn refuse(&self, name: &str) {
        if !self.is_taken() && !self.refused.swap(true, Ordering::Relaxed) {
            tracing::info!("the language model's provider does not know {name}, and is asked without");
        }
    }
}

impl Taste {
    /// What to send, as far as is known.
    pub(crate) fn extras(&self) -> Extras {
        Extras { format: self.format.is_wanted(), bound: self.bound.is_wanted() }
    }

    /// Remembers with what a question was answered.
    pub(crate) fn took(&self, extras: Extras) {
        if extras.format {
            self.format.take();
        } else {
            self.format.refuse("strict output");
        }
        // A question without it may just have been too long for it
        if extras.bound {
            self.bound.take();
        }
    }

    /// With what to ask again after a refusal in these words; nothing when it is the question that was refused.
    pub(crate) fn fewer(&self, sent: Extras, status: StatusCode, why: &[u8]) -> Option<Extras> {
        let why = String::from_utf8_lossy(why).to_lowercase().replace(['\'', '"', '`', '\\'], "");
        let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
        if sent.bound && why.contains("max_tokens") {
            if says(&UNKNOWN_WORDS) {
                self.bound.refuse("a bound on tokens");
            }
            return Some(Extras { bound: false, ..sent });
        }
        // Before anything was answered, a refusal that gives no reason may be about this
        let unproven = status == StatusCode::BAD_REQUEST && !self.format.is_taken();
        (sent.format && (unproven || says(&FORMAT_WORDS))).then_some(Extras { format: false, ..sent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Extras = Extras { format: true, bound: true };
    const PLAIN: Extras = Extras { format: false, bound: true };
    const UNBOUND: Extras = Extras { format: true, bound: false };

    /// With what the same question is asked again after a refusal in these words, and with what the next one.
    fn after(taste: &Taste, why: &str) -> (Option<Extras>, Extras) {
        (taste.fewer(ALL, StatusCode::UNPROCESSABLE_ENTITY, why.as_bytes()), taste.extras())
    }

    #[test]
    fn a_bound_that_a_server_does_not_know_is_left_out_for_good() {
        for why in [
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}"#,
            r#"{"detail":[{"loc":["body","max_tokens"],"msg":"Extra inputs are not permitted"}]}"#,
            "max_tokens: please use \"max_completion_tokens\"",
            "This model does not support max_tokens",
            "Unknown field: max_tokens",
        ] {
            assert_eq!(after(&Taste::default(), why), (Some(UNBOUND), UNBOUND), "{why}");
            let taste = Taste::default();
            taste.took(ALL);
            assert_eq!(after(&taste, why), (Some(UNBOUND), ALL), "{why}");
        }
    }

    #[test]
    fn a_bound_that_is_too_large_for_a_question_is_left_out_of_that_question() {
        for why in [
            "This model's maximum context length is 4096 tokens. However, you requested 6000 tokens (4000 in the \
             messages, 2000 in the completion). Please reduce the length of the messages or max_tokens.",
            "'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context length is 4096.",
            "max_tokens must be at most 1024",
        ] {
            assert_eq!(after(&Taste::default(), why), (Some(UNBOUND), ALL), "{why}");
        }
    }

    #[test]
    fn a_refusal_for_another_reason_changes_nothing_once_strict_output_was_taken() {
        let taste = Taste::default();
        assert_eq!(taste.fewer(ALL, StatusCode::BAD_REQUEST, b"no"), Some(PLAIN));
        taste.took(ALL);
        assert_eq!(taste.fewer(ALL, StatusCode::BAD_REQUEST, b"no"), None);
        assert_eq!(after(&taste, "response_format is not supported"), (Some(PLAIN), ALL));
        assert_eq!(after(&taste, "the context is too long"), (None, ALL));
    }

    #[test]
    fn what_was_taken_once_is_always_sent() {
        let taste = Taste::default();
        taste.took(PLAIN);
        assert_eq!(taste.extras(), PLAIN);
        taste.took(ALL);
        taste.took(UNBOUND);
        taste.took(PLAIN);
        assert_eq!(taste.extras(), ALL);
    }
}
