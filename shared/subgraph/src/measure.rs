//! How much a document asks for, fragments counted wherever they are used.
//!
//! async-graphql measures depth and complexity by expanding fragments, which takes exponential
//! time for fragments that use each other twice, and recursion without bound for long chains of
//! them. Measured here first, each fragment once, such documents never get there.

use crate::error::{Error, Result};
use async_graphql::{
    Name, Positioned, Variables,
    parser::{
        parse_schema,
        types::{
            Directive, ExecutableDocument, Field, InlineFragment, OperationDefinition, Selection,
            SelectionSet, TypeKind, TypeSystemDefinition,
        },
    },
};
use async_graphql_value::{ConstValue, Value};
use std::collections::{HashMap, HashSet};

/// What is wrong with a NUL character in any text.
pub const NUL: &str = "has a NUL character";
/// Selections within selections, fragments included.
const MAX_NESTING: usize = 100;
/// What a list holds when the client does not say.
const DEFAULT_ROWS: usize = 50;
/// What a list holds at most.
const MAX_ROWS: usize = 500;
/// The arguments by which clients choose how long a list is.
const LENGTHS: [&str; 3] = ["limit", "first", "last"];

/// The names of fields that are lists whose length a client chooses.
#[derive(Clone, Debug, Default)]
pub struct Lists(HashSet<String>);

impl Lists {
    /// Those of a schema.
    pub fn of(sdl: &str) -> Self {
        let Ok(schema) = parse_schema(sdl) else { return Self::default() };
        let fields = schema.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(of) => match of.node.kind {
                TypeKind::Object(object) => Some(object.fields),
                _ => None,
            },
            _ => None,
        });
        let lists = fields.flatten().map(|field| field.node).filter(|field| {
            field.arguments.iter().any(|argument| LENGTHS.contains(&argument.node.name.node.as_str()))
        });
        Self(lists.map(|field| field.name.node.to_string()).collect())
    }
}

/// How much is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// Fields.
    pub fields: usize,
    /// Fields under another name, fields and fragments written again, and directives: whatever makes the
    /// same work be done more than once.
    pub repeats: usize,
    /// Rows of lists, at most.
    pub rows: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.fields = self.fields.saturating_add(other.fields);
        self.repeats = self.repeats.saturating_add(other.repeats);
        self.rows = self.rows.saturating_add(other.rows);
    }
}

/// Measures one document.
pub struct Measure<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    lists: &'a Lists,
    variables: &'a Variables,
    /// The sizes of fragments; nothing while one is being measured.
    fragments: HashMap<&'a Name, Option<Size>>,
}

impl<'a> Measure<'a> {
    /// The size of `operation`.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for unknown fragments, fragments in a circle, too much nesting, or a NUL
    /// character.
    pub fn of(
        document: &'a ExecutableDocument,
        operation: &'a OperationDefinition,
        lists: &'a Lists,
        variables: &'a Variables,
    ) -> Result<Size> {
        let mut measure = Self { document, operation, lists, variables, fragments: HashMap::new() };
        // Unused ones too: async-graphql follows those as well before it refuses them
        for name in document.fragments.keys() {
            measure.fragment(name, 0)?;
        }
        let mut size = measure.set(&operation.selection_set.node, 0)?;
        size.repeats = size.repeats.saturating_add(directives(&operation.directives)?);
        Ok(size)
    }

    fn fragment(&mut self, name: &'a Name, depth: usize) -> Result<Size> {
        match self.fragments.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(Error::invalid("query", format!("fragment {name} is part of itself"))),
            None => {}
        }
        // Refused here, because async-graphql expands everything before it finds out
        let unknown = || Error::invalid("query", format!("fragment {name} is unknown"));
        let fragment = self.document.fragments.get(name).ok_or_else(unknown)?;
        self.fragments.insert(name, None);
        let mut size = self.set(&fragment.node.selection_set.node, depth)?;
        // A spread is work even when the fragment is small
        size.fields = size.fields.saturating_add(1);
        size.repeats = size.repeats.saturating_add(directives(&fragment.node.directives)?);
        self.fragments.insert(name, Some(size));
        Ok(size)
    }

    fn set(&mut self, set: &'a SelectionSet, depth: usize) -> Result<Size> {
        if depth > MAX_NESTING {
            return Err(Error::invalid("query", "is nested too deep"));
        }
        let mut size = Size::default();
        let mut written = HashSet::new();
        for item in &set.items {
            let (key, part) = match &item.node {
                Selection::Field(field) => {
                    (Some(&field.node.response_key().node), self.field(&field.node, depth + 1)?)
                }
                Selection::InlineFragment(inline) => (None, self.inline(&inline.node, depth + 1)?),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let mut part = self.fragment(name, depth + 1)?;
                    part.repeats = part.repeats.saturating_add(directives(&spread.node.directives)?);
                    (Some(name), part)
                }
            };
            size.add(part);
            if key.is_some_and(|key| !written.insert(key)) {
                size.repeats = size.repeats.saturating_add(1);
            }
        }
        Ok(size)
    }

    fn inline(&mut self, inline: &'a InlineFragment, depth: usize) -> Result<Size> {
        let mut size = self.set(&inline.selection_set.node, depth)?;
        size.repeats = size.repeats.saturating_add(directives(&inline.directives)?);
        Ok(size)
    }

    fn field(&mut self, field: &'a Field, depth: usize) -> Result<Size> {
        no_nul(&field.arguments)?;
        let inner = self.set(&field.selection_set.node, depth)?;
        let rows = if self.lists.0.contains(field.name.node.as_str()) {
            self.length(field).saturating_mul(inner.rows.saturating_add(1))
        } else {
            inner.rows
        };
        let own = usize::from(field.alias.is_some()) + directives(&field.directives)?;
        Ok(Size { fields: inner.fields.saturating_add(1), repeats: inner.repeats.saturating_add(own), rows })
    }

    fn length(&self, field: &Field) -> usize {
        let asked = LENGTHS.iter().find_map(|name| match &field.get_argument(name)?.node {
            Value::Variable(name) => self.variable(name),
            Value::Number(number) => number.as_i64(),
            _ => None,
        });
        asked.map_or(DEFAULT_ROWS, |asked| usize::try_from(asked).unwrap_or(1)).clamp(1, MAX_ROWS)
    }

    /// A variable's whole number: the one that was sent, else the operation's default.
    fn variable(&self, name: &Name) -> Option<i64> {
        let default = || {
            let definition =
                self.operation.variable_definitions.iter().find(|each| each.node.name.node == *name)?;
            definition.node.default_value.as_ref().map(|value| &value.node)
        };
        match self.variables.get(name).or_else(default)? {
            ConstValue::Number(number) => number.as_i64(),
            _ => None,
        }
    }
}

/// How many directives there are, none of them with a NUL character.
fn directives(directives: &[Positioned<Directive>]) -> Result<usize> {
    directives.iter().try_for_each(|directive| no_nul(&directive.node.arguments))?;
    Ok(directives.len())
}

fn no_nul(arguments: &[(Positioned<Name>, Positioned<Value>)]) -> Result<()> {
    let found = arguments.iter().any(|(_, value)| has_nul(&value.node));
    if found { Err(Error::invalid("query", NUL)) } else { Ok(()) }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::List(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.values().any(has_nul),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    fn fields(query: &str) -> Result<usize> {
        let (document, lists, variables) =
            (parse_query(query).unwrap(), Lists::default(), Variables::default());
        let (_, operation) = document.operations.iter().next().unwrap();
        Measure::of(&document, &operation.node, &lists, &variables).map(|size| size.fields)
    }

    #[test]
    fn fragments_that_double_are_measured_at_once() {
        let doubling = |n: usize| {
            let chain = (0..n).map(|i| format!("fragment F{i} on Query {{ ...F{0} ...F{0} }} ", i + 1));
            format!("{{ ...F0 }} {} fragment F{n} on Query {{ a }}", chain.collect::<String>())
        };
        assert!((1024..8192).contains(&fields(&doubling(10)).unwrap()));
        assert_eq!(fields(&doubling(90)).unwrap(), usize::MAX);
    }

    #[test]
    fn unknown_fragments_are_refused_before_anybody_expands_what_uses_them() {
        assert!(fields("{ ...A } fragment A on Query { ...B ...B }").is_err());
    }

    #[test]
    fn what_is_written_again_is_counted() {
        let repeats = |query: &str| {
            let (document, lists, variables) =
                (parse_query(query).unwrap(), Lists::default(), Variables::default());
            let (_, operation) = document.operations.iter().next().unwrap();
            Measure::of(&document, &operation.node, &lists, &variables).unwrap().repeats
        };
        assert_eq!(repeats("{ a b c { a } }"), 0);
        assert_eq!(repeats("{ a a a b: a @skip(if: false) }"), 4);
        assert_eq!(repeats("{ ...F ...F } fragment F on Query { a }"), 1);
    }

    #[test]
    fn circles_and_long_chains_are_refused() {
        assert!(fields("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }").is_err());
        let chain = (0..50_000).map(|i| format!("fragment F{i} on Query {{ ...F{} }} ", i + 1));
        assert!(
            fields(&format!("{{ ...F0 }} {} fragment F50000 on Query {{ a }}", chain.collect::<String>()))
                .is_err()
        );
    }

    #[test]
    fn lists_are_known_by_their_arguments() {
        let lists =
            Lists::of("type Query { a(limit: Int = 50): [Int!]! b(first: Int): [Int!]! c(id: Int!): Int }");
        assert!(lists.0.contains("a") && lists.0.contains("b") && !lists.0.contains("c"));
    }
}
