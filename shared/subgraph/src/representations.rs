//! The representations of `_entities`: capped, and made so that a bad one costs only itself.

use crate::error::{Error, Result};
use async_graphql::{
    Name, Request, Value,
    parser::types::{DocumentOperations, ExecutableDocument, Field, Selection},
};
use async_graphql_value::Value as Literal;

/// Representations in one `_entities` call: a router asks for one page at a time.
pub const MAX: usize = 1_000;

/// Checks the representations of a request that has `_entities` among its root fields `uses`
/// times, mends bad ones, and counts them. A router writes the field once and not in a fragment.
///
/// # Errors
/// `BAD_USER_INPUT` for too many, or where they cannot be seen.
pub fn prepare(request: &mut Request, uses: usize, known: &[String]) -> Result<usize> {
    let hidden = || Error::invalid("representations", "must stand in the operation itself, and once");
    let document = request.parsed_query().map_err(|error| Error::invalid("query", error.message))?;
    let mut document = document.clone();
    let field = field(&mut document).filter(|_| uses == 1).ok_or_else(hidden)?;
    let (_, literal) =
        field.arguments.iter_mut().find(|(name, _)| name.node == "representations").ok_or_else(hidden)?;
    if let Literal::Variable(name) = &literal.node {
        let value = request.variables.get_mut(name).ok_or_else(hidden)?;
        return mend(value, known);
    }
    let variables = request.variables.clone();
    let value = literal.node.clone().into_const_with(|name| variables.get(&name).cloned().ok_or_else(hidden));
    let mut value = value?;
    let count = mend(&mut value, known)?;
    literal.node = value.into_value();
    request.set_parsed_query(document);
    Ok(count)
}

/// The `_entities` field of the only operation, when it stands there directly.
fn field(document: &mut ExecutableDocument) -> Option<&mut Field> {
    let operation = match &mut document.operations {
        DocumentOperations::Single(one) => one,
        DocumentOperations::Multiple(many) => many.values_mut().next()?,
    };
    operation.node.selection_set.node.items.iter_mut().find_map(|item| match &mut item.node {
        Selection::Field(field) if field.node.name.node == "_entities" => Some(&mut field.node),
        _ => None,
    })
}

/// Puts ones that can name nothing in the place of bad ones: for those async-graphql would lose
/// the whole list, and each good one must still resolve.
fn mend(value: &mut Value, known: &[String]) -> Result<usize> {
    // GraphQL takes one thing for a list of one
    if let Value::Object(_) = value {
        *value = Value::List(vec![std::mem::take(value)]);
    }
    let Value::List(list) = value else { return Ok(0) };
    if list.len() > MAX {
        return Err(Error::invalid("representations", format!("has more than {MAX} items")));
    }
    let Some(first) = known.first() else { return Ok(list.len()) };
    for item in list.iter_mut().filter(|item| !is_representation(item, known)) {
        let nothing = [("__typename", first.clone()), ("id", String::new())];
        *item = Value::Object(nothing.map(|(k, v)| (Name::new(k), Value::String(v))).into());
    }
    Ok(list.len())
}

fn is_representation(value: &Value, known: &[String]) -> bool {
    let Value::Object(object) = value else { return false };
    let typename = matches!(object.get("__typename"), Some(Value::String(name)) if known.contains(name));
    let id = match object.get("id") {
        Some(Value::String(_)) => true,
        // `ID` takes whole numbers only
        Some(Value::Number(number)) => number.is_i64(),
        _ => false,
    };
    typename && id
}
