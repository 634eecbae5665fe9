//! What front ends were promised: every type, field, argument, default and enum value of
//! `shared/testkit/contract` stands in the committed schemas with the same type. More may be added; nothing changes
//! or goes.

use testkit::sdl::Sdl;
use testkit::supergraph::SERVICES;

#[test]
fn every_promise_is_kept() {
    let broken: Vec<_> = SERVICES
        .into_iter()
        .flat_map(|service| {
            let broken = broken(&Sdl::promised(service), &Sdl::committed(service)).into_iter();
            broken.map(move |promise| format!("{service}: {promise}"))
        })
        .collect();
    assert!(broken.is_empty(), "{} broken promises:\n{}", broken.len(), broken.join("\n"));
}

/// The promises that `schema` does not keep.
fn broken(promised: &Sdl, schema: &Sdl) -> Vec<String> {
    let (promised, schema) = (promised.shape(), schema.shape());
    let all = promised.iter().flat_map(|(ty, members)| {
        let own = schema.get(ty);
        // A type without members, such as a scalar, is a promise too
        let missing = own.is_none().then(|| format!("{ty} is missing"));
        let members = members.iter().filter_map(move |(member, kind)| {
            let found = own.and_then(|own| own.get(member));
            let is = found.map_or("missing", |found| found);
            (is != kind).then(|| format!("{ty}.{member} is {is}, promised {kind}"))
        });
        missing.into_iter().chain(members)
    });
    all.collect()
}

#[test]
fn a_promise_that_is_broken_is_named() {
    let promised =
        "type Query { a(n: Int = 5, m: Int): A! b: B c: Int } type A { id: ID! } enum B { X Y } scalar D";
    let schema = "type Query { a(n: Int = 6): A b: B! c: Int more: Int } type A { id: ID! } enum B { X Z }";
    let (promised, schema) = (Sdl::parse(promised).unwrap(), Sdl::parse(schema).unwrap());
    let expected = [
        "B.Y is missing, promised value",
        "D is missing",
        "Query.a is A, promised A!",
        "Query.a(m) is missing, promised Int",
        "Query.a(n) is Int = 6, promised Int = 5",
        "Query.b is B!, promised B",
    ];
    assert_eq!(broken(&promised, &schema), expected);
    assert!(broken(&promised, &promised).is_empty());
}
