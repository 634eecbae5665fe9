//! `docs/events.md` is generated from the contract: this writes it, and fails when that changed it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::DateTime;
use events::{
    Envelope, Event,
    contract::{EachEvent, each},
};
use schemars::schema_for;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write, fs, path::Path};
use uuid::Uuid;

const INTRODUCTION: &str = include_str!("docs/introduction.md");

/// The page as it grows.
struct Page {
    text: String,
    producer: &'static str,
    count: u128,
}

impl EachEvent for Page {
    fn event<E: Event>(&mut self) {
        if self.producer != E::PRODUCER {
            self.producer = E::PRODUCER;
            write!(self.text, "\n## From {}\n", E::PRODUCER).unwrap();
        }
        self.count += 1;
        let schema = schema_for!(E).to_value();
        writeln!(self.text, "\n### `{}`\n\n{}\n", E::TYPE, prose(&schema["description"])).unwrap();
        writeln!(self.text, "Version {}, subject `{}`.\n", E::VERSION, E::example().subject()).unwrap();
        writeln!(self.text, "| Field of `data` | Type | Meaning |\n| --- | --- | --- |").unwrap();
        self.rows("", &schema, &schema);
        writeln!(self.text, "\n```json\n{}\n```", example::<E>(self.count)).unwrap();
    }
}

impl Page {
    /// A row for each field, those of fields that are objects below them.
    fn rows(&mut self, prefix: &str, object: &Value, root: &Value) {
        // In one order, however serde_json was built
        let fields: BTreeMap<_, _> = object["properties"].as_object().into_iter().flatten().collect();
        for (name, field) in fields {
            let target = resolved(field, root);
            let required = object["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
            let meaning =
                if field["description"].is_null() { &target["description"] } else { &field["description"] };
            let shown = kind(field, target, required);
            writeln!(self.text, "| `{prefix}{name}` | {shown} | {} |", prose(meaning)).unwrap();
            self.rows(&format!("{prefix}{name}."), target, root);
        }
    }
}

/// What a field's reference leads to, or the field.
fn resolved<'a>(field: &'a Value, root: &'a Value) -> &'a Value {
    let reference = field["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    reference.and_then(|it| root.pointer(it)).unwrap_or(field)
}

/// The type of a field in words.
fn kind(field: &Value, target: &Value, required: bool) -> String {
    let names = match &target["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect::<Vec<_>>(),
        Value::String(name) => vec![name.as_str()],
        _ => vec![],
    };
    let nullable = !required || names.contains(&"null");
    let base = match target["format"].as_str().or_else(|| names.iter().find(|it| **it != "null").copied()) {
        Some("date-time") => "time",
        Some("uuid") => "UUID",
        Some("int32" | "int64" | "integer") => "integer",
        Some("array") => "list of strings",
        Some(other) => other,
        None if target["oneOf"].is_array() || target["enum"].is_array() => "string",
        None => panic!("no type in {field}"),
    };
    if nullable { format!("{base} or null") } else { base.to_owned() }
}

/// A doc comment on one line.
fn prose(text: &Value) -> String {
    text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn example<E: Event>(number: u128) -> String {
    let id = Uuid::from_u128(0x0199_b3f0_1234_7000_8000_0000_0000_0000 + number);
    let at = DateTime::from_timestamp(1_768_478_400, 250_000_000).unwrap();
    let mut envelope = Envelope::new(&E::example(), id, at, "user:1".into(), None).unwrap();
    envelope.data.sort_all_objects();
    serde_json::to_string_pretty(&envelope).unwrap()
}

#[test]
fn the_documentation_is_committed() {
    let mut page = Page { text: INTRODUCTION.to_owned(), producer: "", count: 0 };
    each(&mut page);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    if committed != page.text {
        fs::write(&path, &page.text).unwrap();
        panic!("docs/events.md was out of date and has been written anew: look at it and commit it");
    }
}
