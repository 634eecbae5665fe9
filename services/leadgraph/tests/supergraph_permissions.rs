//! Who may do what: every operation in every schema, by everybody, against the table of the specification.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use subgraph::{Clock, Role};
use testkit::Supergraph;
use testkit::sdl::{self, RootField, Sdl};
use testkit::supergraph::{self, User, code};

use Least::{Anybody, AtLeast};

testkit::on_both_databases!(
    everybody_may_do_what_the_table_says,
    sales_reps_take_leads_that_nobody_owns,
    services_read_and_never_write,
    refusals_reach_the_client_through_the_router,
);

/// The least somebody has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    Anybody,
    AtLeast(Role),
}

/// The whole table. An operation that is not in it fails the test: nobody has decided who may use it.
const TABLE: [(Least, &[&str]); 4] = [
    (Anybody, &["login", "refreshToken"]),
    (
        AtLeast(Role::SalesRep),
        &[
            // leads: read, create, update, assign an unowned lead to self
            "lead",
            "leads",
            "leadsConnection",
            "createLead",
            "updateLead",
            "assignLead",
            // interactions and tasks: read, create, update, complete, accept or dismiss, recommend
            "interaction",
            "interactions",
            "interactionsByLead",
            "createInteraction",
            "updateInteraction",
            "task",
            "tasks",
            "tasksByLeadId",
            "createTask",
            "updateTask",
            "completeTask",
            "updateTaskSource",
            "taskRecommendationStats",
            "taskRecommendationJob",
            "generateTaskRecommendations",
            "requestTaskRecommendations",
            // scoring: read, generateSummary
            "topLeads",
            "summaryJob",
            "generateSummary",
            "recalculationProgress",
            // notifications: read, subscribe, mark read
            "getNotifications",
            "getUnreadCount",
            "markAsRead",
            "markAllAsRead",
            "notificationCreated",
            "notificationUpdated",
            "notificationDeleted",
            "notificationsBulkUpdated",
            // accounts: me, own password, logout, the people one can assign to
            "me",
            "users",
            "changePassword",
            "logout",
        ],
    ),
    (
        AtLeast(Role::Manager),
        &[
            "removeLead",
            "createLeads",
            "removeInteraction",
            "removeTask",
            "recalculateAllScores",
            "regenerateSummaries",
            "deleteNotification",
        ],
    ),
    (AtLeast(Role::Admin), &["createUser", "updateUser", "apiKeys", "createApiKey", "revokeApiKey"]),
];

async fn everybody_may_do_what_the_table_says(supergraph: Supergraph) {
    let mut table: BTreeMap<&str, Least> = BTreeMap::new();
    table.extend(TABLE.iter().flat_map(|(least, fields)| fields.iter().map(|field| (*field, *least))));
    let mut seen = BTreeSet::new();
    let people = people(&supergraph).await;
    for (service, sdl, field) in sdl::operations() {
        let least = table.get(&*field.name);
        let least = *least.unwrap_or_else(|| panic!("{service}: who may use {}?", field.name));
        for (who, user) in &people {
            let (allowed, answer) = tried(&supergraph, service, &sdl, &field, user.as_ref()).await;
            let expected = *who >= least;
            assert_eq!(allowed, expected, "{who:?} uses {} of {service}: {answer:#}", field.name);
            let refusal = if *who == Anybody { "UNAUTHENTICATED" } else { "FORBIDDEN" };
            assert!(allowed || code(&answer) == Some(refusal), "{who:?} uses {}: {answer:#}", field.name);
            assert_ne!(code(&answer), Some("INTERNAL"), "{who:?} uses {}: {answer:#}", field.name);
        }
        seen.insert(field.name);
    }
    let gone: Vec<_> = table.keys().filter(|field| !seen.contains(**field)).collect();
    assert!(gone.is_empty(), "the table names operations that are not there: {gone:?}");
}

/// One of each, and nobody.
async fn people(supergraph: &Supergraph) -> Vec<(Least, Option<User>)> {
    let mut people = vec![(Anybody, None)];
    for (name, role) in [("rep", Role::SalesRep), ("manager", Role::Manager), ("admin", Role::Admin)] {
        people.push((AtLeast(role), Some(supergraph.user(name, role).await)));
    }
    people
}

/// Whether somebody gets past the door of an operation; what becomes of it behind the door is other tests' business.
async fn tried(
    supergraph: &Supergraph,
    service: &str,
    sdl: &Sdl,
    field: &RootField,
    user: Option<&User>,
) -> (bool, Value) {
    let mut variables = sdl.minimal(field);
    let mut token = user.map(|user| user.token.clone());
    match &*field.name {
        // They refuse with the same code whoever shows nothing valid
        "login" => variables = json!({ "input": { "email": "test@example.com", "password": "password" } }),
        "refreshToken" => {
            let fresh = supergraph.sign_in("test@example.com", "password").await;
            variables = json!({ "refreshToken": fresh.refresh_token });
        }
        // It ends the session, which the next operation needs
        "logout" => {
            if let Some(user) = user {
                token = Some(supergraph.login(&user.email, &user.password).await);
            }
        }
        _ => {}
    }
    let answer = supergraph.direct(service, token.as_deref(), &field.document(), variables).await;
    let allowed = !matches!(code(&answer), Some("UNAUTHENTICATED" | "FORBIDDEN"));
    (allowed, answer)
}

async fn sales_reps_take_leads_that_nobody_owns(supergraph: Supergraph) {
    let [rep, other] =
        [supergraph.user("rep", Role::SalesRep).await, supergraph.user("other", Role::SalesRep).await];
    let manager = supergraph.user("manager", Role::Manager).await;
    let assign = async |who: &User, lead: i32, owner: Option<&User>| {
        let query =
            "mutation($id: Int!, $owner: ID) { assignLead(id: $id, ownerId: $owner) { owner { id } } }";
        let variables = json!({ "id": lead, "owner": owner.map(|owner| &owner.id) });
        let answer = supergraph.graphql(Some(&who.token), query, variables).await;
        let new = answer["data"]["assignLead"]["owner"]["id"].as_str().map(str::to_owned);
        code(&answer).map_or(Ok(new), |code| Err(code.to_owned()))
    };
    let forbidden = Err("FORBIDDEN".to_owned());
    assert_eq!(assign(&rep, 1, Some(&other)).await, forbidden, "to somebody else");
    assert_eq!(assign(&rep, 1, Some(&rep)).await, Ok(Some(rep.id.clone())), "to oneself");
    assert_eq!(assign(&other, 1, Some(&other)).await, forbidden, "away from somebody");
    assert_eq!(assign(&rep, 1, None).await, forbidden, "to nobody");
    assert_eq!(assign(&manager, 1, Some(&other)).await, Ok(Some(other.id.clone())), "a manager assigns");
    assert_eq!(assign(&manager, 1, None).await, Ok(None), "a manager releases");

    let create = async |owner: &User, email: &str| {
        let query = "mutation($input: CreateLeadInput!) { createLead(input: $input) { owner { id } } }";
        let input = json!({ "firstName": "A", "lastName": "B", "email": email, "ownerId": owner.id });
        let answer = supergraph.graphql(Some(&rep.token), query, json!({ "input": input })).await;
        code(&answer).map(str::to_owned)
    };
    assert_eq!(create(&rep, "a@example.org").await, None, "a new lead for oneself");
    assert_eq!(
        create(&other, "b@example.org").await,
        Some("FORBIDDEN".into()),
        "a new lead for somebody else"
    );
}

async fn services_read_and_never_write(supergraph: Supergraph) {
    let token = subgraph::token::sign_call("tasks", supergraph::SERVICE_KEY, Clock::System.now()).unwrap();
    for (service, sdl, field) in sdl::operations() {
        let request = supergraph.request(Method::POST, service, None);
        let request = request.header("authorization", format!("Service {token}"));
        let request = request.json(&json!({ "query": field.document(), "variables": sdl.minimal(&field) }));
        let answer = supergraph.send(request).await.body;
        let open = field.operation == "query" || ["login", "refreshToken"].contains(&&*field.name);
        assert!(
            open || code(&answer) == Some("FORBIDDEN"),
            "a service uses {} of {service}: {answer:#}",
            field.name
        );
    }
    let bearer = supergraph.direct("leads", Some(&token), "{ leads { id } }", json!({})).await;
    assert_eq!(code(&bearer), Some("UNAUTHENTICATED"), "a call is no bearer token: {bearer:#}");
}

async fn refusals_reach_the_client_through_the_router(supergraph: Supergraph) {
    let rep = supergraph.user("rep", Role::SalesRep).await;
    let before = supergraph.row_counts().await;
    for (token, expected) in [(None, "UNAUTHENTICATED"), (Some(&*rep.token), "FORBIDDEN")] {
        let refused = supergraph.graphql(token, "mutation { removeLead(id: 1) }", json!({})).await;
        assert_eq!(code(&refused), Some(expected), "{refused:#}");
        assert_eq!(refused["errors"][0]["extensions"]["service"], "leads");
    }
    // Not behind a fragment or an alias either, nor beside something that is allowed
    let hidden = "mutation { updateLead(updateLeadInput: {id: 1}) { id } ...F } fragment F on Mutation { a: removeLead(id: 1) }";
    let refused = supergraph.graphql(Some(&rep.token), hidden, json!({})).await;
    assert_eq!(code(&refused), Some("FORBIDDEN"), "{refused:#}");
    assert_eq!(supergraph.row_counts().await, before);
}
