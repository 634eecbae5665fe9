//! A chat completion, as far as a provider's answer is one.

use crate::failure::Failure;
use serde_json::Value;

/// No question takes more tokens: a provider that says so is wrong.
const MAX_USAGE: u64 = 10_000_000;

/// What the model said.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) text: String,
    /// The model, as the provider calls it.
    pub(crate) model: Option<String>,
    pub(crate) usage: Usage,
}

/// Tokens that the provider counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
}

impl Completion {
    /// Reads an answer with status 200, which may be anything.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Failure> {
        let body: Value = serde_json::from_slice(body).map_err(|_| Failure::Malformed("no JSON"))?;
        let choice = body["choices"].get(0);
        if let Some(failure) = error(&body["error"]).or_else(|| error(&choice?["error"])) {
            return Err(failure);
        }
        let choice = choice.ok_or(Failure::Malformed("no choices"))?;
        let message = &choice["message"];
        if choice["finish_reason"] == "content_filter"
            || message["refusal"].as_str().is_some_and(|it| !it.is_empty())
        {
            return Err(Failure::Declined);
        }
        let text = text(&message["content"]).ok_or(Failure::Malformed("no text"))?;
        Ok(Self { text, model: body["model"].as_str().and_then(name), usage: Usage::read(&body["usage"]) })
    }
}

impl Usage {
    fn read(usage: &Value) -> Self {
        let tokens = |kind| usage[kind].as_u64().unwrap_or_default().min(MAX_USAGE);
        Self { prompt: tokens("prompt_tokens"), completion: tokens("completion_tokens") }
    }
}

/// An error in the body of an answer whose status is 200. Its own status is in `code`, as a rule.
fn error(error: &Value) -> Option<Failure> {
    if error.is_null() {
        return None;
    }
    let code = &error["code"];
    let status = code.as_u64().or_else(|| code.as_str()?.parse().ok()).and_then(|it| u16::try_from(it).ok());
    Some(match status.filter(|status| (400..600).contains(status)) {
        Some(status) => Failure::Status { status, retry_after: None },
        None => Failure::Malformed("an error with status 200"),
    })
}

/// Text, or the texts of the parts it came in.
fn text(content: &Value) -> Option<String> {
    let text = match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn name(model: &str) -> Option<String> {
    let name: String = model.chars().filter(|it| !it.is_control()).take(100).collect();
    (!name.trim().is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Result<Completion, Failure> {
        Completion::read(body.to_string().as_bytes())
    }

    #[test]
    fn an_answer_is_read_with_model_and_usage() {
        let body = json!({
            "model": format!("a\nb{}", "c".repeat(1_000)),
            "choices": [{ "message": { "content": [{ "type": "text", "text": "a" }, 7, { "text": "b" }] } }],
            "usage": { "prompt_tokens": 7, "completion_tokens": u64::MAX },
        });
        let read = read(&body).unwrap();
        assert_eq!(read.text, "ab");
        assert_eq!(read.model, Some(format!("ab{}", "c".repeat(98))));
        assert_eq!(read.usage, Usage { prompt: 7, completion: MAX_USAGE });
    }

    #[test]
    fn what_is_beside_the_text_may_be_anything() {
        for odd in [json!(null), json!("x"), json!(-1.5), json!([{}]), json!({ "prompt_tokens": -1 })] {
            let body =
                json!({ "model": odd, "usage": odd, "choices": [{ "message": { "content": "text" } }] });
            assert_eq!(read(&body).unwrap().text, "text");
        }
    }

    #[test]
    fn errors_with_status_200_are_errors() {
        let status = |status| Failure::Status { status, retry_after: None };
        let odd = Failure::Malformed("an error with status 200");
        for (code, expected) in [
            (json!(429), status(429)),
            (json!("502"), status(502)),
            (json!(200), odd.clone()),
            (json!("x"), odd),
        ] {
            let error = json!({ "code": code, "message": "sorry" });
            assert_eq!(read(&json!({ "error": error })).unwrap_err(), expected);
            assert_eq!(read(&json!({ "choices": [{ "error": error }] })).unwrap_err(), expected);
        }
    }

    #[test]
    fn what_is_no_completion_is_no_answer() {
        let message = |message| json!({ "choices": [{ "message": message }] });
        let malformed = [
            json!(null),
            json!([]),
            json!({}),
            json!({ "choices": [] }),
            json!({ "choices": {} }),
            json!({ "choices": [7] }),
            message(json!({ "content": null })),
            message(json!({ "content": "" })),
            message(json!({ "content": [] })),
            message(json!({ "content": { "text": "x" } })),
        ];
        for body in malformed {
            assert!(matches!(read(&body), Err(Failure::Malformed(_))), "{body}");
        }
        let refusal = message(json!({ "content": null, "refusal": "I cannot" }));
        assert_eq!(read(&refusal).unwrap_err(), Failure::Declined);
    }
}
