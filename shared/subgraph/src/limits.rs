//! What a request may ask for, checked on the parsed document before anything runs.

use crate::{
    caller::Caller,
    error::{Error, Result},
    policy::Policy,
};
use async_graphql::{
    Name, Request, Value as ConstValue,
    parser::types::FragmentDefinition,
    parser::types::{DocumentOperations, ExecutableDocument, Field, OperationType, Selection, SelectionSet},
};
use async_graphql_value::Value;
use std::collections::HashSet;

/// Aliases in one request.
pub const MAX_ALIASES: usize = 100;
/// Representations in one `_entities` call: a router asks for one page at a time.
pub const MAX_REPRESENTATIONS: usize = 1_000;
/// Levels of nesting.
pub const MAX_DEPTH: usize = 20;
/// Fields in one answer, lists counted by their limits.
pub const MAX_COMPLEXITY: usize = 50_000;

/// Whether a request may run.
pub struct Gate<'a> {
    /// Who may call what.
    pub policy: &'a Policy,
    /// Types that `_entities` knows.
    pub entities: &'a [String],
    /// Whether the schema may be asked for.
    pub introspection: bool,
}

impl Gate<'_> {
    /// Checks the request and tells what kind of operation it is.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for what no client needs, `UNAUTHENTICATED` or `FORBIDDEN` by the policy.
    pub fn check(&self, request: &mut Request, caller: &Caller) -> Result<OperationType> {
        for (name, value) in request.variables.iter() {
            if let Some(place) = nul_in(name.as_str(), value) {
                return Err(nul(&place));
            }
        }
        let document = request.parsed_query().map_err(|error| Error::invalid("query", error.message))?;
        let operation = only_operation(document)?;
        let mut walk = Walk { document, aliases: 0, roots: HashSet::new(), nul: false };
        let visited = &mut HashSet::new();
        walk.roots(&operation.0, visited);
        walk.selection(&operation.0);
        document.fragments.values().for_each(|f| walk.selection(&f.node.selection_set.node));
        if walk.nul {
            return Err(nul("query"));
        }
        if walk.aliases > MAX_ALIASES {
            return Err(Error::invalid("query", format!("has more than {MAX_ALIASES} aliases")));
        }
        for field in &walk.roots {
            self.root(field, caller)?;
        }
        let entities = walk.roots.contains("_entities");
        if entities {
            self.representations(request)?;
        }
        Ok(operation.1)
    }

    fn root(&self, field: &str, caller: &Caller) -> Result<()> {
        match field {
            "__typename" => Ok(()),
            "__schema" | "__type" | "_service" if self.introspection => Ok(()),
            "__schema" | "__type" | "_service" => Err(Error::Forbidden("Introspection is off".into())),
            _ => self.policy.check(caller, field),
        }
    }

    /// Caps the representations and puts ones that can name nothing in the place of bad ones: for
    /// those async-graphql would lose the whole list, and each good one must still resolve.
    fn representations(&self, request: &mut Request) -> Result<()> {
        let Some(known) = self.entities.first() else { return Ok(()) };
        let mut count = 0;
        let mut mend = |value: &mut ConstValue| {
            let ConstValue::List(list) = value else { return };
            count += list.len();
            for item in list.iter_mut().filter(|item| !self.is_representation(item)) {
                let nothing = [("__typename", known.clone()), ("id", String::new())];
                *item =
                    ConstValue::Object(nothing.map(|(k, v)| (Name::new(k), ConstValue::String(v))).into());
            }
        };
        request.variables.values_mut().filter(|v| looks_like_representations(v)).for_each(&mut mend);
        let variables = request.variables.clone();
        let document = request.parsed_query().map_err(|error| Error::invalid("query", error.message))?;
        let mut document = document.clone();
        let mut inline = false;
        for (_, operation) in operations_mut(&mut document) {
            for item in &mut operation.selection_set.node.items {
                let Selection::Field(field) = &mut item.node else { continue };
                for (name, value) in &mut field.node.arguments {
                    if name.node != "representations" || matches!(value.node, Value::Variable(_)) {
                        continue;
                    }
                    let whole =
                        value.node.clone().into_const_with(|name| variables.get(&name).cloned().ok_or(()));
                    let Ok(mut whole) = whole else { continue };
                    mend(&mut whole);
                    value.node = whole.into_value();
                    inline = true;
                }
            }
        }
        if inline {
            request.set_parsed_query(document);
        }
        if count > MAX_REPRESENTATIONS {
            let message = format!("has more than {MAX_REPRESENTATIONS} items");
            return Err(Error::invalid("representations", message));
        }
        Ok(())
    }

    fn is_representation(&self, value: &ConstValue) -> bool {
        let ConstValue::Object(object) = value else { return false };
        let typename =
            matches!(object.get("__typename"), Some(ConstValue::String(t)) if self.entities.contains(t));
        typename && matches!(object.get("id"), Some(ConstValue::String(_) | ConstValue::Number(_)))
    }
}

fn looks_like_representations(value: &ConstValue) -> bool {
    let named = |v: &ConstValue| matches!(v, ConstValue::Object(o) if o.contains_key("__typename"));
    matches!(value, ConstValue::List(items) if items.iter().any(named))
}

fn operations_mut(
    document: &mut ExecutableDocument,
) -> impl Iterator<Item = (Option<Name>, &mut async_graphql::parser::types::OperationDefinition)> {
    match &mut document.operations {
        DocumentOperations::Single(one) => vec![(None, &mut one.node)].into_iter(),
        DocumentOperations::Multiple(many) => {
            many.iter_mut().map(|(name, o)| (Some(name.clone()), &mut o.node)).collect::<Vec<_>>().into_iter()
        }
    }
}

fn only_operation(document: &ExecutableDocument) -> Result<(SelectionSet, OperationType)> {
    let mut operations = document.operations.iter();
    match (operations.next(), operations.next()) {
        (Some((_, one)), None) => Ok((one.node.selection_set.node.clone(), one.node.ty)),
        _ => Err(Error::invalid("query", "must have exactly one operation")),
    }
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    aliases: usize,
    roots: HashSet<String>,
    nul: bool,
}

impl<'a> Walk<'a> {
    /// Collects the names of the root fields, also those behind fragments.
    fn roots(&mut self, set: &SelectionSet, visited: &mut HashSet<&'a Name>) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => drop(self.roots.insert(field.node.name.node.to_string())),
                Selection::InlineFragment(inline) => self.roots(&inline.node.selection_set.node, visited),
                Selection::FragmentSpread(spread) => {
                    let found = self.document.fragments.get_key_value(&spread.node.fragment_name.node);
                    let Some((name, fragment)) = found else { continue };
                    if visited.insert(name) {
                        let fragment: &'a FragmentDefinition = &fragment.node;
                        self.roots(&fragment.selection_set.node, visited);
                    }
                }
            }
        }
    }

    /// Counts aliases and looks for NUL characters at every level.
    fn selection(&mut self, set: &SelectionSet) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => self.field(&field.node),
                Selection::InlineFragment(inline) => self.selection(&inline.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn field(&mut self, field: &Field) {
        self.aliases += usize::from(field.alias.is_some());
        self.nul |= field.arguments.iter().any(|(_, value)| literal_has_nul(&value.node));
        self.selection(&field.selection_set.node);
    }
}

fn nul(field: &str) -> Error {
    Error::invalid(field, "has a NUL character")
}

/// Where in a variable a NUL character stands: `input.firstName`.
fn nul_in(place: &str, value: &ConstValue) -> Option<String> {
    match value {
        ConstValue::String(text) => text.contains('\0').then(|| place.to_owned()),
        ConstValue::List(items) => items.iter().find_map(|item| nul_in(place, item)),
        ConstValue::Object(fields) => {
            fields.iter().find_map(|(name, value)| nul_in(&format!("{place}.{name}"), value))
        }
        _ => None,
    }
}

fn literal_has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::List(items) => items.iter().any(literal_has_nul),
        Value::Object(fields) => fields.values().any(literal_has_nul),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Role;
    use async_graphql::Variables;
    use serde_json::json;

    fn check(query: &str, variables: serde_json::Value) -> (Result<OperationType>, Request) {
        let policy = Policy::default().public(&["hello"]).read(Role::SalesRep, &["list"]);
        let entities = ["Thing".to_owned()];
        let gate = Gate { policy: &policy, entities: &entities, introspection: false };
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
    fn fragments_hide_no_root_field() {
        let query =
            "query { ...A } fragment A on Query { ... on Query { ...B } } fragment B on Query { secret }";
        assert_eq!(code(query), Some("FORBIDDEN"));
        assert_eq!(code("query { ...A } fragment A on Query { ...A hello }"), None, "a cycle ends");
        assert_eq!(code("{ __schema { types { name } } }"), Some("FORBIDDEN"));
    }

    #[test]
    fn bad_representations_are_replaced_and_good_ones_stay() {
        let query = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }";
        let mixed =
            json!([{"__typename": "Thing", "id": "1"}, {"__typename": "Other", "id": "1"}, 7, {"id": 1}]);
        let (result, request) = check(query, json!({ "r": mixed }));
        assert!(result.is_ok());
        let kept = serde_json::to_value(&request.variables).unwrap();
        assert_eq!(kept["r"][0], json!({"__typename": "Thing", "id": "1"}));
        for i in 1..4 {
            assert_eq!(kept["r"][i], json!({"__typename": "Thing", "id": ""}));
        }
        let many = vec![json!({"__typename": "Thing", "id": "1"}); 1001];
        assert!(check(query, json!({ "r": many })).0.is_err());
    }
}
