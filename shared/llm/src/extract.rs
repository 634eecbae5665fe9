//! The JSON object in what a model said, as the type that was asked for.

use crate::{failure::Failure, question::Answer};
use serde_json::{Deserializer, Value};

/// Bytes of text in which an object is looked for.
const MAX_TEXT: usize = 65_536;
/// Brackets at which an object may begin.
const MAX_STARTS: usize = 100;
/// Characters of a reason.
const MAX_REASON: usize = 200;

/// The first object in the text that has the form and passes the check.
pub(crate) fn extract<T: Answer>(text: &str) -> Result<T, Failure> {
    if text.len() > MAX_TEXT {
        return Err(unfit("it is too long"));
    }
    let (mut at, mut why) = (0, "it holds no complete JSON object".to_owned());
    for _ in 0..MAX_STARTS {
        let Some(start) = text[at..].find(['{', '[']) else { break };
        at += start;
        let Some((value, length)) = value(&text[at..]) else {
            at += 1;
            continue;
        };
        match fit(value) {
            Ok(answer) => return Ok(answer),
            Err(reason) => why = reason,
        }
        at += length;
    }
    Err(unfit(&why))
}

fn unfit(why: &str) -> Failure {
    Failure::Unfit(why.chars().filter(|it| !it.is_control()).take(MAX_REASON).collect())
}

/// The value at the beginning of the text, and how long it is there.
fn value(text: &str) -> Option<(Value, usize)> {
    let mut values = Deserializer::from_str(text).into_iter();
    if let Some(Ok(value)) = values.next() {
        return Some((value, values.byte_offset()));
    }
    let (repaired, length) = without_trailing_commas(text)?;
    Some((serde_json::from_str(&repaired).ok()?, length))
}

/// What is between the first bracket and the one that closes it, without commas before closing brackets; and how long
/// it was.
fn without_trailing_commas(text: &str) -> Option<(String, usize)> {
    let (mut kept, mut depth) = (String::with_capacity(text.len()), 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => {
                kept.truncate(kept.trim_end().strip_suffix(',').map_or(kept.len(), str::len));
                depth -= 1;
            }
            _ => {}
        }
        kept.push(letter);
        if depth == 0 {
            return Some((kept, at + letter.len_utf8()));
        }
    }
    None
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
    fn a_reason_is_short_and_of_one_line() {
        let Err(Failure::Unfit(why)) = extract::<Plan>("{\"steps\": []}") else { panic!("it fits") };
        assert!(why.starts_with("a wrong plan") && why.len() == MAX_REASON && !why.contains('\n'), "{why}");
        let Err(Failure::Unfit(why)) = extract::<Plan>("{}") else { panic!("it fits") };
        assert_eq!(why, "missing field `steps`");
    }
}
