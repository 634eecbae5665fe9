//! The committed schemas as data: so that a test can go through every operation there is, also those that are
//! added after it was written.

mod example;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_graphql_parser::Positioned;
use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};

use crate::supergraph::SERVICES;

/// The schema of one subgraph.
#[derive(Clone, Debug)]
pub struct Sdl {
    types: BTreeMap<String, TypeKind>,
}

/// Everything that can be asked of each service: its name, its schema, and the root field.
#[must_use]
pub fn operations() -> Vec<(&'static str, Arc<Sdl>, RootField)> {
    let of = |service| {
        let sdl = Arc::new(Sdl::committed(service));
        sdl.roots().into_iter().map(move |field| (service, sdl.clone(), field))
    };
    SERVICES.into_iter().flat_map(of).collect()
}

/// One thing that can be asked of a subgraph.
#[derive(Clone, Debug)]
pub struct RootField {
    /// `query`, `mutation` or `subscription`.
    pub operation: &'static str,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// Whether its result needs a selection.
    pub has_fields: bool,
}

/// An argument of a field, or a field of an input.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether it may be left out.
    pub optional: bool,
}

impl Sdl {
    /// The committed schema of a service.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn committed(service: &str) -> Self {
        Self::read(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../services")
                .join(service)
                .join("schema.graphql"),
        )
    }

    /// What front ends were promised of a service.
    ///
    /// # Panics
    /// When nothing was.
    #[must_use]
    pub fn promised(service: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract");
        Self::read(&folder.join(service).with_extension("graphql"))
    }

    /// The schema in a file.
    ///
    /// # Panics
    /// When there is none in it.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// The schema in a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, async_graphql_parser::Error> {
        let mut types = BTreeMap::new();
        for definition in parse_schema(text)?.definitions {
            let TypeSystemDefinition::Type(Positioned { node, .. }) = definition else { continue };
            add(&mut types, node);
        }
        Ok(Self { types })
    }

    /// Every type with its members, and what each member is: a field's type, an argument's type and default, or
    /// that it is a value.
    #[must_use]
    pub fn shape(&self) -> BTreeMap<&str, BTreeMap<String, String>> {
        self.types.iter().map(|(name, kind)| (&**name, members(kind))).collect()
    }

    /// Everything that can be asked.
    #[must_use]
    pub fn roots(&self) -> Vec<RootField> {
        let roots = [("query", "Query"), ("mutation", "Mutation"), ("subscription", "Subscription")];
        let fields = roots.into_iter().flat_map(|(operation, root)| {
            let fields = match self.types.get(root) {
                Some(TypeKind::Object(object)) => object.fields.as_slice(),
                _ => &[],
            };
            fields.iter().map(move |field| self.root(operation, &field.node))
        });
        fields.collect()
    }

    fn root(&self, operation: &'static str, field: &FieldDefinition) -> RootField {
        let result = self.types.get(base(&field.ty.node));
        RootField {
            operation,
            name: field.name.node.to_string(),
            arguments: field.arguments.iter().map(argument).collect(),
            has_fields: matches!(
                result,
                Some(TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_))
            ),
        }
    }
}

/// A type may be told in parts.
fn add(types: &mut BTreeMap<String, TypeKind>, definition: TypeDefinition) {
    match (types.get_mut(definition.name.node.as_str()), definition.kind) {
        (Some(TypeKind::Object(known)), TypeKind::Object(more)) => known.fields.extend(more.fields),
        (Some(TypeKind::Enum(known)), TypeKind::Enum(more)) => known.values.extend(more.values),
        (Some(TypeKind::InputObject(known)), TypeKind::InputObject(more)) => known.fields.extend(more.fields),
        (_, kind) => drop(types.insert(definition.name.node.to_string(), kind)),
    }
}

fn members(kind: &TypeKind) -> BTreeMap<String, String> {
    match kind {
        TypeKind::Object(object) => fields(&object.fields),
        TypeKind::Interface(interface) => fields(&interface.fields),
        TypeKind::InputObject(input) => {
            input.fields.iter().map(|field| (field.node.name.node.to_string(), input_type(field))).collect()
        }
        TypeKind::Enum(kind) => {
            kind.values.iter().map(|value| (value.node.value.node.to_string(), "value".to_owned())).collect()
        }
        TypeKind::Union(union) => {
            union.members.iter().map(|member| (member.node.to_string(), "member".to_owned())).collect()
        }
        TypeKind::Scalar => BTreeMap::new(),
    }
}

fn fields(fields: &[Positioned<FieldDefinition>]) -> BTreeMap<String, String> {
    let mut members = BTreeMap::new();
    for Positioned { node: field, .. } in fields {
        members.insert(field.name.node.to_string(), field.ty.node.to_string());
        for argument in &field.arguments {
            members.insert(format!("{}({})", field.name.node, argument.node.name.node), input_type(argument));
        }
    }
    members
}

fn input_type(input: &Positioned<InputValueDefinition>) -> String {
    let default = input.node.default_value.as_ref();
    let default = default.map(|value| format!(" = {}", value.node)).unwrap_or_default();
    format!("{}{default}", input.node.ty.node)
}

fn argument(input: &Positioned<InputValueDefinition>) -> Argument {
    let input = &input.node;
    Argument {
        name: input.name.node.to_string(),
        optional: input.ty.node.nullable || input.default_value.is_some(),
        ty: input.ty.node.clone(),
    }
}

/// The name of the type in all lists.
fn base(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => base(item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_made_of_fields_arguments_defaults_and_values() {
        let sdl = "type Query { a(n: Int = 5): [A!]! } type A @key(fields: \"id\") { id: ID! } extend type A { b: B } \
                   enum B { X } input C { d: B! = X }";
        let sdl = Sdl::parse(sdl).unwrap();
        let shape = sdl.shape();
        assert_eq!(shape["Query"]["a"], "[A!]!");
        assert_eq!(shape["Query"]["a(n)"], "Int = 5");
        assert_eq!((&*shape["A"]["id"], &*shape["A"]["b"]), ("ID!", "B"));
        assert_eq!((&*shape["B"]["X"], &*shape["C"]["d"]), ("value", "B! = X"));
    }

    #[test]
    fn roots_are_what_can_be_asked() {
        let sdl =
            Sdl::parse("type Query { a: A n: Int! } type Mutation { b(x: Int!): Int } type A { id: ID! }")
                .unwrap();
        let roots = sdl.roots();
        let told: Vec<_> = roots.iter().map(|root| (root.operation, &*root.name, root.has_fields)).collect();
        assert_eq!(told, [("query", "a", true), ("query", "n", false), ("mutation", "b", false)]);
        assert!(!roots[2].arguments[0].optional);
    }
}
