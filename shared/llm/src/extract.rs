//! The JSON object in what a model said, as the type that was asked for.

use crate::{failure::Failure, question::Answer};
use serde_json::Value;

/// Bytes of text in which an object is looked for.
const MAX_TEXT: usize = 65_536;
/// How deep objects and lists are nested at most. It bounds how often a byte is looked at, too.
const MAX_DEPTH: usize = 32;
/// Characters of a reason.
const MAX_REASON: usize = 200;

/// The last object in the text that has the form and passes the check: drafts, and what is quoted from the data, come
/// before the answer.
pub(crate) fn extract<T: Answer>(text: &str) -> Result<T, Failure> {
    let text = text.rsplit_once("</think>").map_or(text, |(_, answer)| answer);
    if text.len() > MAX_TEXT {
        return Err(unfit("it is too long"));
    }
    if text.trim_start().starts_with("<think>") {
        return Err(unfit("it ends before the answer"));
    }
    let (mut at, mut last) = (0, Err("it holds no complete JSON object".to_owned()));
    while let Some(start) = text[at..].find(['{', '[']) {
        at += start;
        let Some((value, length)) = value(&text[at..]) else {
            at += 1;
            continue;
        };
        last = fit(value).or_else(|reason| last.map_err(|_| reason));
        at += length;
    }
    last.map_err(|why| unfit(&why))
}

fn unfit(why: &str) -> Failure {
    Failure::Unfit(why.chars().filter(|it| !it.is_control()).take(MAX_REASON).collect())
}

/// The value at the beginning of the text, and how long it is there.
fn value(text: &str) -> Option<(Value, usize)> {
    let length = closed(text)?;
    let value = serde_json::from_str(&without_trailing_commas(&text[..length])).ok()?;
    Some((value, length))
}

/// Where the bracket closes at which the text begins.
fn closed(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, bracket) in brackets(text) {
        match bracket {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            // No JSON: the rest may be a string that never ends, at each of whose brackets another search would begin
            _ => break,
        }
        if depth == 0 {
            return Some(at + 1);
        }
        if depth > MAX_DEPTH {
            break;
        }
    }
    None
}

/// The brackets and backslashes outside of strings.
fn brackets(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut in_string, mut escaped) = (false, false);
    text.bytes().enumerate().filter(move |(_, byte)| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' | b'}' | b']' | b'\\' => return !in_string,
            _ => {}
        }
        false
    })
}

/// The text without commas before closing brackets.
fn without_trailing_commas(text: &str) -> String {
    let (mut kept, mut from) = (String::with_capacity(text.len()), 0);
    for (at, _) in brackets(text).filter(|(_, bracket)| matches!(bracket, b'}' | b']')) {
        let before = &text[from..at];
        kept.push_str(before.trim_end().strip_suffix(',').unwrap_or(before));
        from = at;
    }
    kept + &text[from..]
}

/// The value as the type that was asked for; with what is wrong with it, in words that are none of its own.
fn fit<T: Answer>(value: Value) -> Result<T, String> {
    let object = match value {
        Value::Object(_) => value,
        Value::Array(mut only) if only.len() == 1 && only[0].is_object() => only.remove(0),
        // An array would do for serde as well, its items taken for the fields in their order
        _ => return Err("expected an object".to_owned()),
    };
    if has_control_characters(&object) {
        return Err("it has control characters".to_owned());
    }
    serde_json::from_value::<T>(object).map_err(|error| mismatch(&error.to_string()))?.check()
}

/// Neither database nor terminal wants them, whatever the check says.
fn has_control_characters(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(|it: char| it.is_control() && !matches!(it, '\n' | '\r' | '\t')),
        Value::Array(items) => items.iter().any(has_control_characters),
        Value::Object(fields) => fields.values().any(has_control_characters),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What serde expected. What it found instead is the model's own text.
fn mismatch(error: &str) -> String {
    match error.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if error.starts_with("missing field `") => error.to_owned(),
        None => "a value of another kind was expected".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use std::time::{Duration, Instant};
    use subgraph::Random;

    const TEXT: &str =
        "So: ```json\n{\"steps\": [{\"title\": \"Call, then \\\"ask\\\"\", \"days\": 3,},], }\n```";

    /// What to do next.
    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Plan {
        steps: Vec<Step>,
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Step {
        title: String,
        days: u8,
    }

    impl Answer for Plan {
        const NAME: &'static str = "plan";

        fn check(self) -> Result<Self, String> {
            let right = self.steps.len() == 1 && self.steps[0].days < 10;
            if right { Ok(self) } else { Err("a wrong plan\n".repeat(1_000)) }
        }
    }

    #[test]
    fn nested_text_is_left_as_it_is() {
        let step = Step { title: "Call, then \"ask\"".into(), days: 3 };
        assert_eq!(extract::<Plan>(TEXT), Ok(Plan { steps: vec![step] }));
    }

    #[test]
    fn no_change_of_a_byte_breaks_it() {
        let replacements = b"{}[]\",:\\ \0\n9-eu";
        for at in 0..TEXT.len() {
            for with in replacements {
                let mut bytes = TEXT.as_bytes().to_vec();
                bytes[at] = *with;
                if let Ok(plan) = extract::<Plan>(&String::from_utf8_lossy(&bytes)) {
                    assert!(plan.check().is_ok());
                }
            }
        }
    }

    #[test]
    fn no_text_breaks_it() {
        let (random, alphabet) = (Random::seeded(1), b"{{{[[]}}\"\"\\,,:: 1e9a\xff\xc3\xa9\0");
        for _ in 0..2_000 {
            let bytes = random.bytes::<64>().map(|byte| alphabet[usize::from(byte) % alphabet.len()]);
            assert!(extract::<Plan>(&String::from_utf8_lossy(&bytes)).is_err());
        }
    }

    #[test]
    fn no_text_takes_long() {
        let whole = format!("{{\"a\": {{}}, {TEXT}");
        for part in [
            "[", "{\"", "[\"", "{\"a\":", "[1,", "[\"[\",", "\",[", "{} ", "{x} ", "[[]", "{[\\\"", "]{",
            "{  ,}", &whole,
        ] {
            let text = part.repeat(MAX_TEXT / part.len() - 1);
            let start = Instant::now();
            let _ = extract::<Plan>(&text);
            // Work that grows with the square of the length takes a minute
            assert!(start.elapsed() < Duration::from_secs(5), "{part}: {:?}", start.elapsed());
        }
    }

    #[test]
    fn a_reason_is_short_and_of_one_line() {
        let Err(Failure::Unfit(why)) = extract::<Plan>("{\"steps\": []}") else { panic!("it fits") };
        assert!(why.starts_with("a wrong plan") && why.len() == MAX_REASON && !why.contains('\n'), "{why}");
        let Err(Failure::Unfit(why)) = extract::<Plan>("{}") else { panic!("it fits") };
        assert_eq!(why, "missing field `steps`");
    }
}
