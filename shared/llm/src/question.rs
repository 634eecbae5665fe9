//! What is asked, and what comes back.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A question to the model.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What it is about, such as `summary:42`: those who ask the same about the same at the same time share one call.
    pub subject: &'a str,
    /// What to do: our own words only. How the answer has to look is added.
    pub instructions: &'a str,
    /// What to do it with. People wrote it who may mean harm: it is sent apart from the instructions, as one JSON
    /// document.
    pub data: Value,
}

/// What the model answers: a JSON object. The descriptions of its fields are a part of the instructions.
pub trait Answer: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What it is called: at most 64 letters, digits, `_` and `-`.
    const NAME: &'static str;

    /// Checks what a type cannot say: ranges, lengths, numbers of items.
    ///
    /// # Errors
    /// A reason for the log, without anything of the answer's text.
    fn check(self) -> Result<Self, String>;
}

/// An answer that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T> {
    /// The answer.
    pub answer: T,
    /// The model that gave it, as the provider calls it; at most 100 characters, none of them a control character.
    pub model: String,
}
