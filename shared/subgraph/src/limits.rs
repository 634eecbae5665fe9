//! What a request may ask for, checked on the parsed document before anything runs.

use crate::{
    caller::Caller,
    error::{Error, Result},
    measure::{Lists, Measure, NUL},
    policy::Policy,
    representations,
};
use async_graphql::{
    Name, Request, Value,
    parser::types::{ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet},
};
use std::collections::HashSet;

/// Fields in one request, fragments counted wherever they are used.
pub const MAX_FIELDS: usize = 10_000;
/// Aliases, repeated fields and directives in one request.
pub const MAX_REPEATS: usize = 100;
/// Bytes of a query; long text belongs into variables.
pub const MAX_QUERY: usize = 256_000;
/// Variables of an operation.
const MAX_VARIABLES: usize = 200;
/// Characters of a parser's message, which quotes the query.
const MAX_MESSAGE: usize = 200;
/// Rows in one answer, by the limits of the lists that are asked for.
pub const MAX_ROWS: usize = 50_000;
/// Levels of nesting.
pub const MAX_DEPTH: usize = 20;
/// Fields in one answer, lists counted by their limits.
pub const MAX_COMPLEXITY: usize = 50_000;

/// The label of what is not allowed to run, which may be anything.
pub const UNKNOWN: &str = "unknown";
/// The label of an operation with several root fields.
const SEVERAL: &str = "several";

/// An operation that may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// What kind of operation it is.
    pub kind: OperationType,
    /// Its root field as the schema has it, `several`, or `unknown`: for metrics and traces.
    pub field: &'static str,
}

/// Whether a request may run.
pub struct Gate<'a> {
    /// Who may call what.
    pub policy: &'a Policy,
    /// Types that `_entities` knows.
    pub entities: &'a [String],
    /// Fields that are lists whose length a client chooses.
    pub lists: &'a Lists,
    /// Whether the schema may be asked for.
    pub introspection: bool,
}

impl Gate<'_> {
    /// Checks the request and tells what it is.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for what no client needs, `UNAUTHENTICATED` or `FORBIDDEN` by the policy.
    pub fn check(&self, request: &mut Request, caller: &Caller) -> Result<Allowed> {
        for (name, value) in request.variables.iter() {
            if let Some(place) = nul_in(name.as_str(), value) {
                return Err(Error::invalid(place, NUL));
            }
        }
        at_most("bytes of query", request.query.len(), MAX_QUERY)?;
        let variables = request.variables.clone();
        let document = request.parsed_query().map_err(|error| unparsable(&error.message))?;
        let operation = only_operation(document)?;
        at_most("variables", operation.variable_definitions.len(), MAX_VARIABLES)?;
        let size = Measure::of(document, operation, self.lists, &variables)?;
        at_most("fields", size.fields, MAX_FIELDS)?;
        at_most("aliases, repeated fields and directives", size.repeats, MAX_REPEATS)?;
        let (mut roots, kind) = (Vec::new(), operation.ty);
        root_fields(document, &operation.selection_set.node, &mut HashSet::new(), &mut roots);
        // async-graphql would do the same change twice and answer once
        let mut keys = HashSet::new();
        if kind == OperationType::Mutation && !roots.iter().all(|(key, _)| keys.insert(key)) {
            return Err(Error::invalid("query", "has the same mutation twice; give each an alias"));
        }
        let roots: Vec<String> = roots.into_iter().map(|(_, name)| name).collect();
        for field in &roots {
            self.root(field, caller)?;
        }
        let entities = roots.iter().filter(|field| *field == "_entities").count();
        let parents =
            if entities > 0 { representations::prepare(request, entities, self.entities)? } else { 1 };
        at_most("rows", size.rows.saturating_mul(parents), MAX_ROWS)?;
        Ok(Allowed { kind, field: self.label(&roots) })
    }

    fn root(&self, field: &str, caller: &Caller) -> Result<()> {
        match field {
            "__typename" => Ok(()),
            "__schema" | "__type" | "_service" if self.introspection => Ok(()),
            "__schema" | "__type" | "_service" => Err(Error::Forbidden("Introspection is off".into())),
            _ => self.policy.check(caller, field),
        }
    }

    /// One name for root fields that may all be called, never a client's own word.
    fn label(&self, roots: &[String]) -> &'static str {
        let known = |field: &String| match field.as_str() {
            "_entities" => "_entities",
            "__typename" => "__typename",
            "__schema" | "__type" | "_service" => "introspection",
            field => self.policy.listed(field).unwrap_or(UNKNOWN),
        };
        let mut labels = roots.iter().map(known).filter(|label| *label != "__typename");
        let first = labels.next().unwrap_or("__typename");
        if labels.all(|label| label == first) { first } else { SEVERAL }
    }
}

/// Whether all that a request asks for is entities.
pub fn asks_for_entities_only(request: &mut Request) -> bool {
    // What is too long is not even read
    if request.query.len() > MAX_QUERY {
        return false;
    }
    let document = request.parsed_query().ok();
    let Some((document, operation)) = document.and_then(|it| Some((it, only_operation(it).ok()?))) else {
        return false;
    };
    let mut roots = Vec::new();
    root_fields(document, &operation.selection_set.node, &mut HashSet::new(), &mut roots);
    !roots.is_empty() && roots.iter().all(|(_, name)| name == "_entities")
}

fn at_most(what: &str, count: usize, max: usize) -> Result<()> {
    let message = || format!("asks for more than {max} {what}");
    if count > max { Err(Error::invalid("query", message())) } else { Ok(()) }
}

fn unparsable(message: &str) -> Error {
    Error::invalid("query", message.chars().take(MAX_MESSAGE).collect::<String>())
}

fn only_operation(document: &ExecutableDocument) -> Result<&OperationDefinition> {
    let mut operations = document.operations.iter();
    match (operations.next(), operations.next()) {
        (Some((_, one)), None) => Ok(&one.node),
        _ => Err(Error::invalid("query", "must have exactly one operation")),
    }
}

/// The root fields, also those behind fragments, each as often as it is written: the key under
/// which it is answered, and its name.
fn root_fields<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    visited: &mut HashSet<&'a Name>,
    found: &mut Vec<(String, String)>,
) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => {
                found.push((field.node.response_key().node.to_string(), field.node.name.node.to_string()));
            }
            Selection::InlineFragment(inline) => {
                root_fields(document, &inline.node.selection_set.node, visited, found);
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let Some(fragment) = document.fragments.get(name).filter(|_| visited.insert(name)) else {
                    continue;
                };
                root_fields(document, &fragment.node.selection_set.node, visited, found);
            }
        }
    }
}

/// Where in a variable a NUL character stands: `input.firstName`.
fn nul_in(place: &str, value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| place.to_owned()),
        Value::List(items) => items.iter().find_map(|item| nul_in(place, item)),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, value)| nul_in(&format!("{place}.{name}"), value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Role;
    use async_graphql::Variables;
    use serde_json::json;

    fn check(query: &str, variables: serde_json::Value) -> (Result<Allowed>, Request) {
        let policy = Policy::default().public(&["hello"]).read(Role::SalesRep, &["list"]);
        let entities = ["Thing".to_owned()];
        let lists = Lists::of("type Query { list(limit: Int = 50): [Thing!]! }");
        let gate = Gate { policy: &policy, entities: &entities, lists: &lists, introspection: false };
        let mut request = Request::new(query).variables(Variables::from_json(variables));
        let role = Some(Role::SalesRep);
        let caller = Caller { actor: crate::Actor::User(1), role, ..Caller::anonymous("r".into()) };
        (gate.check(&mut request, &caller), request)
    }

    fn code(query: &str) -> Option<&'static str> {
        check(query, json!({})).0.err().map(|e| e.code())
    }

    #[test]
    fn one_operation_without_nul_and_with_few_aliases() {
        assert_eq!(code("{ hello }"), None);
        assert_eq!(code("query a { hello } query b { hello }"), Some("BAD_USER_INPUT"));
        assert_eq!(code("{ hello(x: [\"a\\u0000\"]) }"), Some("BAD_USER_INPUT"));
        let many = (0..101).map(|i| format!("a{i}: hello")).collect::<Vec<_>>().join(" ");
        assert_eq!(code(&format!("{{ {many} }}")), Some("BAD_USER_INPUT"));
        assert_eq!(code("{"), Some("BAD_USER_INPUT"));
    }

    #[test]
    fn a_label_is_the_schemas_word() {
        let label = |query: &str| check(query, json!({})).0.unwrap().field;
        assert_eq!(label("query Mine { mine: hello __typename }"), "hello");
        assert_eq!(label("{ a: hello b: hello }"), "hello");
        assert_eq!(label("{ hello list { id } }"), "several");
        assert_eq!(label("{ __typename }"), "__typename");
        assert_eq!(label("{ ... on Query { ...F } } fragment F on Query { list { id } }"), "list");
    }

    #[test]
    fn fragments_hide_no_root_field() {
        let query =
            "query { ...A } fragment A on Query { ... on Query { ...B } } fragment B on Query { secret }";
        assert_eq!(code(query), Some("FORBIDDEN"));
        assert_eq!(code("{ __schema { types { name } } }"), Some("FORBIDDEN"));
    }

    #[test]
    fn lists_in_lists_are_bounded() {
        assert_eq!(code("{ list(limit: 500) { list(limit: 99) { id } } }"), None);
        assert_eq!(code("{ list(limit: 500) { list(limit: 100) { id } } }"), Some("BAD_USER_INPUT"));
        let (refused, _) =
            check("query($n: Int) { list(limit: $n) { list(limit: $n) { id } } }", json!({"n": 500}));
        assert!(refused.is_err());
    }

    #[test]
    fn a_default_is_a_limit_too() {
        let nested = "($n: Int = 500) { list(limit: $n) { list(limit: $n) { id } } }";
        assert_eq!(code(&format!("query{nested}")), Some("BAD_USER_INPUT"));
        assert!(check(&format!("query{nested}"), json!({"n": 20})).0.is_ok());
    }

    #[test]
    fn a_mutation_is_not_done_twice_by_accident() {
        assert_eq!(code("mutation { hello hello }"), Some("BAD_USER_INPUT"));
        assert_eq!(code("mutation { ...F hello } fragment F on Mutation { hello }"), Some("BAD_USER_INPUT"));
        assert_eq!(code("mutation { a: hello b: hello }"), None);
    }

    #[test]
    fn a_syntax_error_is_short() {
        let error = check(&format!("{{ {} !", "a ".repeat(100_000)), json!({})).0.unwrap_err();
        assert!(error.message().len() < 300, "{}", error.message().len());
    }

    #[test]
    fn bad_representations_are_replaced_and_good_ones_stay() {
        let query = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }";
        let mixed = json!([{"__typename": "Thing", "id": "1"}, {"__typename": "Other", "id": "1"}, 7, {"id": 1},
            {"__typename": "Thing", "id": 1.5}]);
        let (result, request) = check(query, json!({ "r": mixed }));
        assert!(result.is_ok());
        let kept = serde_json::to_value(&request.variables).unwrap();
        assert_eq!(kept["r"][0], json!({"__typename": "Thing", "id": "1"}));
        for i in 1..5 {
            assert_eq!(kept["r"][i], json!({"__typename": "Thing", "id": ""}));
        }
    }

    #[test]
    fn representations_cannot_be_hidden() {
        let many = json!({ "r": vec![json!({"__typename": "Thing", "id": "1"}); 1001] });
        let few = json!({ "r": [{"__typename": "Thing", "id": "1"}] });
        let one = "_entities(representations: $r) { __typename }";
        assert!(check(&format!("query($r: [_Any!]!) {{ {one} }}"), few.clone()).0.is_ok());
        assert!(check(&format!("query($r: [_Any!]!) {{ {one} }}"), many).0.is_err());
        for hidden in [
            format!("query($r: [_Any!]!) {{ ...F }} fragment F on Query {{ {one} }}"),
            format!("query($r: [_Any!]!) {{ {one} again: {one} }}"),
        ] {
            assert!(check(&hidden, few.clone()).0.is_err(), "{hidden}");
        }
        let default = format!("query($r: [_Any!]! = [{{}}]) {{ {one} }}");
        assert!(check(&default, json!({})).0.is_err(), "a default is not looked at");
    }

    #[test]
    fn repeated_fields_and_directives_are_bounded() {
        for repeated in ["id ".repeat(500), format!("id {}", "@skip(if: false) ".repeat(500))] {
            assert_eq!(code(&format!("{{ list {{ {repeated} }} }}")), Some("BAD_USER_INPUT"));
        }
        assert_eq!(code("{ list { id id @skip(if: false) } }"), None);
    }

    #[test]
    fn entities_and_nothing_beside() {
        let only = |query: &str| asks_for_entities_only(&mut Request::new(query));
        assert!(only("{ _entities(representations: []) { __typename } }"));
        for other in [
            "{ hello _entities(representations: []) { __typename } }",
            "{ hello # _entities\n }",
            "query _entities { hello }",
            "{ _entities: hello }",
            "query a { _entities } query b { hello }",
            "{",
        ] {
            assert!(!only(other), "{other}");
        }
    }

    #[test]
    fn rows_are_counted_for_each_representation() {
        let things = json!({ "r": vec![json!({"__typename": "Thing", "id": "1"}); 1000] });
        let query = |n| {
            format!(
                "query($r: [_Any!]!) {{ _entities(representations: $r) {{ list(limit: {n}) {{ id }} }} }}"
            )
        };
        assert!(check(&query(50), things.clone()).0.is_ok());
        assert!(check(&query(51), things).0.is_err());
    }
}
