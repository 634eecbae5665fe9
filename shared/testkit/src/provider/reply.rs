//! What the provider answers.

use std::time::Duration;

use serde_json::{Value, json};

/// What the provider answers to one request.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) delivery: Delivery,
    pub(super) after: Duration,
}

/// How it gets there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delivery {
    /// All of it, and the connection stays for the next request.
    Whole,
    /// All of it, then the connection is closed.
    Closed,
    /// So many bytes of it, then the connection is reset.
    Reset(usize),
    /// So many bytes of it, then nothing more, while the connection stays open.
    Silence(usize),
    /// The head, then a pause of this length after each byte.
    Dribble(Duration),
}

impl Reply {
    /// A chat completion that holds this as JSON.
    #[must_use]
    pub fn answer(answer: &Value) -> Self {
        Self::text(&answer.to_string())
    }

    /// A chat completion with this text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::json(200, &completion(text))
    }

    /// This status and this JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::body(status, body.to_string().as_bytes())
    }

    /// This status with an error like those of a real provider.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::json(status, &json!({ "error": { "code": status, "message": "No luck today" } }))
    }

    /// This status and these bytes as the body, which may be anything.
    #[must_use]
    pub fn body(status: u16, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n\r\n", body.len());
        Self { delivery: Delivery::Whole, ..Self::raw([head.as_bytes(), body].concat()) }
    }

    /// These bytes, of whatever protocol, then the end of the connection.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), delivery: Delivery::Closed, after: Duration::ZERO }
    }

    /// Nothing, for as long as the client waits.
    #[must_use]
    pub fn silence() -> Self {
        Self::raw("").stop(0)
    }

    /// With one more header.
    ///
    /// # Panics
    /// When the answer is no HTTP.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let line_end = self.after_first(b"\r\n").expect("an HTTP answer");
        self.bytes.splice(line_end..line_end, format!("{name}: {value}\r\n").into_bytes());
        self
    }

    /// Not before this time has passed.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// The first bytes only, then the end of the connection.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.bytes.truncate(bytes);
        self.delivery = Delivery::Closed;
        self
    }

    /// The first bytes only, then a reset of the connection.
    #[must_use]
    pub fn reset(mut self, bytes: usize) -> Self {
        self.delivery = Delivery::Reset(bytes);
        self
    }

    /// The first bytes only, then nothing more for as long as the client waits.
    #[must_use]
    pub fn stop(mut self, bytes: usize) -> Self {
        self.delivery = Delivery::Silence(bytes);
        self
    }

    /// The head at once, then one byte at a time, with a pause after each.
    #[must_use]
    pub fn dribble(mut self, pause: Duration) -> Self {
        self.delivery = Delivery::Dribble(pause);
        self
    }

    /// How many bytes come before the body.
    pub(super) fn head(&self) -> usize {
        self.after_first(b"\r\n\r\n").unwrap_or_default()
    }

    fn after_first(&self, mark: &[u8]) -> Option<usize> {
        Some(self.bytes.windows(mark.len()).position(|it| it == mark)? + mark.len())
    }

    /// How many bytes there are, with the head.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A chat completion as OpenRouter writes it.
fn completion(text: &str) -> Value {
    json!({
        "id": "gen-1", "object": "chat.completion", "created": 1_767_225_600, "model": "test/model-1",
        "choices": [{
            "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text, "refusal": null },
        }],
        "usage": { "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120 },
    })
}
