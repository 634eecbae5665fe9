//! Values for arguments: the least that a schema takes, and the same with one bad text in it.

use async_graphql_parser::types::{BaseType, Type, TypeKind};
use serde_json::{Map, Value, json};

use super::{Argument, RootField, Sdl, argument};

/// The value for a place, by its name and the name of its type.
type Wanted<'a> = dyn Fn(&str, &str) -> Option<Value> + 'a;

/// A place in the arguments of an operation, and arguments with a certain value there.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where: `createLead.input.firstName`.
    pub path: String,
    /// The arguments.
    pub variables: Value,
}

impl RootField {
    /// The operation as a document that takes its arguments as variables.
    #[must_use]
    pub fn document(&self) -> String {
        let list = |items: Vec<String>| {
            if items.is_empty() { String::new() } else { format!("({})", items.join(", ")) }
        };
        let declared =
            list(self.arguments.iter().map(|a| format!("${}: {}", a.name, a.variable_type())).collect());
        let passed = list(self.arguments.iter().map(|a| format!("{0}: ${0}", a.name)).collect());
        let selection = if self.has_fields { " { __typename }" } else { "" };
        format!("{}{declared} {{ {}{passed}{selection} }}", self.operation, self.name)
    }

    /// The operation as a document with `variables` written into it.
    ///
    /// # Panics
    /// When a variable is no argument.
    #[must_use]
    pub fn literal(&self, sdl: &Sdl, variables: &Value) -> String {
        let given = variables.as_object().expect("variables are an object");
        let passed = given.iter().map(|(name, value)| {
            let argument = self.arguments.iter().find(|argument| argument.name == *name);
            let ty = &argument.unwrap_or_else(|| panic!("{} has no argument {name}", self.name)).ty;
            format!("{name}: {}", sdl.literal(ty, value))
        });
        let passed = passed.collect::<Vec<_>>().join(", ");
        let passed = if passed.is_empty() { passed } else { format!("({passed})") };
        let selection = if self.has_fields { " { __typename }" } else { "" };
        format!("{} {{ {}{passed}{selection} }}", self.operation, self.name)
    }
}

impl Argument {
    /// Without its default, a variable that is left out must be nullable.
    fn variable_type(&self) -> String {
        let ty = self.ty.to_string();
        if self.optional { ty.trim_end_matches('!').to_owned() } else { ty }
    }
}

impl Sdl {
    /// The least that the arguments of `field` can be.
    #[must_use]
    pub fn minimal(&self, field: &RootField) -> Value {
        Value::Object(self.required(&field.arguments))
    }

    /// Each place in the arguments of `field` that takes text, with `text` there and elsewhere the least there
    /// can be.
    #[must_use]
    pub fn text_places(&self, field: &RootField, text: &str) -> Vec<Place> {
        self.places(field, |_, ty| {
            // A time is text on the wire too
            let scalar = matches!(self.types.get(ty), Some(TypeKind::Scalar));
            (scalar || ["String", "ID"].contains(&ty)).then(|| json!(text))
        })
    }

    /// Each place in the arguments of `field` for which `wanted` gives a value, by its name and the name of its
    /// type, with that value there and elsewhere the least there can be.
    #[must_use]
    pub fn places(&self, field: &RootField, wanted: impl Fn(&str, &str) -> Option<Value>) -> Vec<Place> {
        let with = self.arguments_with(&field.arguments, &field.name, &wanted);
        with.into_iter()
            .map(|(path, variables)| Place { path, variables: Value::Object(variables) })
            .collect()
    }

    fn arguments_with(
        &self,
        of: &[Argument],
        path: &str,
        wanted: &Wanted,
    ) -> Vec<(String, Map<String, Value>)> {
        let places = of.iter().flat_map(|argument| {
            let inside =
                self.places_in(&argument.ty, &argument.name, &format!("{path}.{}", argument.name), wanted);
            inside.into_iter().map(|(path, value)| {
                let mut variables = self.required(of);
                variables.insert(argument.name.clone(), value);
                (path, variables)
            })
        });
        places.collect()
    }

    fn places_in(&self, ty: &Type, name: &str, path: &str, wanted: &Wanted) -> Vec<(String, Value)> {
        let base = match &ty.base {
            BaseType::List(item) => {
                let items = self.places_in(item, name, path, wanted).into_iter();
                return items.map(|(path, value)| (path, json!([value]))).collect();
            }
            BaseType::Named(base) => base.as_str(),
        };
        if let Some(TypeKind::InputObject(input)) = self.types.get(base) {
            let fields: Vec<_> = input.fields.iter().map(argument).collect();
            let inside = self.arguments_with(&fields, path, wanted).into_iter();
            return inside.map(|(path, fields)| (path, Value::Object(fields))).collect();
        }
        wanted(name, base).map(|value| (path.to_owned(), value)).into_iter().collect()
    }

    fn required(&self, arguments: &[Argument]) -> Map<String, Value> {
        let required = arguments.iter().filter(|argument| !argument.optional);
        required.map(|argument| (argument.name.clone(), self.value(&argument.ty, &argument.name))).collect()
    }

    /// A valid value; the name tells texts of different kinds apart.
    fn value(&self, ty: &Type, name: &str) -> Value {
        let base = match &ty.base {
            BaseType::List(item) => return json!([self.value(item, name)]),
            BaseType::Named(base) => base.as_str(),
        };
        match (base, self.types.get(base)) {
            ("Int", _) => json!(1),
            ("Float", _) => json!(1.5),
            ("Boolean", _) => json!(true),
            ("ID", _) => json!("1"),
            ("String", _) if name == "email" => json!("somebody@example.com"),
            ("String", _) => json!("some text"),
            ("DateTime", _) => json!("2026-01-15T12:00:00Z"),
            (_, Some(TypeKind::Enum(kind))) => json!(kind.values[0].node.value.node),
            (_, Some(TypeKind::InputObject(input))) => {
                let fields: Vec<_> = input.fields.iter().map(argument).collect();
                Value::Object(self.required(&fields))
            }
            _ => panic!("no value of type {ty} is known: teach it here"),
        }
    }

    /// A value as it is written in a document, where only enums have no quotes and keys never do.
    fn literal(&self, ty: &Type, value: &Value) -> String {
        match (&ty.base, value) {
            (BaseType::List(item), Value::Array(values)) => {
                let values: Vec<_> = values.iter().map(|value| self.literal(item, value)).collect();
                format!("[{}]", values.join(", "))
            }
            (BaseType::Named(name), Value::Object(given)) => {
                let Some(TypeKind::InputObject(input)) = self.types.get(name.as_str()) else {
                    panic!("{name} is no input");
                };
                let fields: Vec<_> = input.fields.iter().map(argument).collect();
                let ty = |name: &str| fields.iter().find(|field| field.name == name).map(|field| &field.ty);
                let given = given
                    .iter()
                    .filter_map(|(name, value)| Some(format!("{name}: {}", self.literal(ty(name)?, value))));
                format!("{{{}}}", given.collect::<Vec<_>>().join(", "))
            }
            (BaseType::Named(name), Value::String(text))
                if matches!(self.types.get(name.as_str()), Some(TypeKind::Enum(_))) =>
            {
                text.clone()
            }
            // JSON and GraphQL write texts and numbers alike
            _ => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDL: &str = "type Query { a(in: In!, note: String, n: Int! = 5): Int } enum E { X Y } scalar DateTime \
                       input In { e: E! text: String at: DateTime! list: [Deep!] } input Deep { id: ID! }";

    fn example() -> (Sdl, RootField) {
        let sdl = Sdl::parse(SDL).unwrap();
        let root = sdl.roots().remove(0);
        (sdl, root)
    }

    #[test]
    fn a_document_takes_all_arguments_as_variables() {
        let (_, root) = example();
        assert_eq!(
            root.document(),
            "query($in: In!, $note: String, $n: Int) { a(in: $in, note: $note, n: $n) }"
        );
    }

    #[test]
    fn the_least_is_what_is_required() {
        let (sdl, root) = example();
        assert_eq!(sdl.minimal(&root), json!({ "in": { "e": "X", "at": "2026-01-15T12:00:00Z" } }));
    }

    #[test]
    fn every_place_for_text_is_found_once() {
        let (sdl, root) = example();
        let places = sdl.text_places(&root, "bad");
        let paths: Vec<_> = places.iter().map(|place| &*place.path).collect();
        assert_eq!(paths, ["a.in.text", "a.in.at", "a.in.list.id", "a.note"]);
        let least = json!({ "e": "X", "at": "2026-01-15T12:00:00Z", "list": [{ "id": "bad" }] });
        assert_eq!(places[2].variables, json!({ "in": least }));
        assert_eq!(places[3].variables["note"], "bad");
    }

    #[test]
    fn a_literal_has_no_quotes_around_keys_and_enums() {
        let (sdl, root) = example();
        let text = root.literal(&sdl, &json!({ "in": { "e": "X", "text": "a\0\"" }, "n": 3 }));
        assert_eq!(text, "query { a(in: {e: X, text: \"a\\u0000\\\"\"}, n: 3) }");
    }
}
