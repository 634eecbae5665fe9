//! Which operations are the same: those that differ at most in where the client goes on.

use super::follow::PLACE;
use async_graphql::{
    Name, Variables,
    parser::types::{Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};
use async_graphql_parser::Positioned;
use async_graphql_value::Value;
use std::collections::HashSet;

/// The variables that say more than where the client goes on, as text.
pub(crate) fn telling(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> String {
    let placing = placing(document, operation);
    let telling: Vec<_> = variables.iter().filter(|(name, _)| !placing.contains(*name)).collect();
    serde_json::to_string(&telling).unwrap_or_default()
}

/// The variables that stand nowhere but in the argument of a root field that says where the client goes on.
fn placing(document: &ExecutableDocument, operation: &OperationDefinition) -> HashSet<Name> {
    let mut uses = Uses::default();
    uses.directives(&operation.directives);
    for item in &operation.selection_set.node.items {
        match &item.node {
            Selection::Field(field) => uses.field(&field.node, true),
            other => uses.selection(other),
        }
    }
    for fragment in document.fragments.values() {
        uses.directives(&fragment.node.directives);
        uses.set(&fragment.node.selection_set.node);
    }
    uses.placing.difference(&uses.otherwise).cloned().collect()
}

#[derive(Default)]
struct Uses {
    placing: HashSet<Name>,
    otherwise: HashSet<Name>,
}

impl Uses {
    fn set(&mut self, set: &SelectionSet) {
        set.items.iter().for_each(|item| self.selection(&item.node));
    }

    fn selection(&mut self, selection: &Selection) {
        match selection {
            Selection::Field(field) => self.field(&field.node, false),
            // What it spreads is looked at with the fragments
            Selection::FragmentSpread(spread) => self.directives(&spread.node.directives),
            Selection::InlineFragment(inline) => {
                self.directives(&inline.node.directives);
                self.set(&inline.node.selection_set.node);
            }
        }
    }

    fn field(&mut self, field: &Field, root: bool) {
        for (name, value) in &field.arguments {
            match &value.node {
                Value::Variable(variable) if root && name.node == PLACE => {
                    self.placing.insert(variable.clone());
                }
                value => self.value(value),
            }
        }
        self.directives(&field.directives);
        self.set(&field.selection_set.node);
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        let arguments = directives.iter().flat_map(|directive| &directive.node.arguments);
        arguments.for_each(|(_, value)| self.value(&value.node));
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Variable(variable) => drop(self.otherwise.insert(variable.clone())),
            Value::List(values) => values.iter().for_each(|value| self.value(value)),
            Value::Object(fields) => fields.values().for_each(|value| self.value(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(query: &str) -> String {
        let document = async_graphql_parser::parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let variables = Variables::from_json(json!({"a": 1, "b": 2}));
        telling(&document, &operation.node, &variables)
    }

    #[test]
    fn only_the_place_makes_no_difference() {
        let both = r#"[["a",1],["b",2]]"#;
        let root = "subscription($a: Int, $b: Int)";
        assert_eq!(key(&format!("{root} {{ it(afterSequence: $a, of: $b) {{ id }} }}")), r#"[["b",2]]"#);
        for query in [
            "{ it(of: $a) { id } }",
            "{ it(afterSequence: $a) { list(first: $a) } }",
            "{ it(afterSequence: $a) @include(if: $a) { id } }",
            "{ it(afterSequence: $a) { ...F } } fragment F on T { list(of: [{x: $a}]) }",
            "{ it { list(afterSequence: $a) } }",
        ] {
            assert_eq!(key(&format!("{root} {query}")), both, "{query}");
        }
    }
}
