//! What the original promised its front ends, step by step, against any system that runs.

use std::sync::Arc;
use std::time::Duration;

use events::Bus;
use serde_json::{Value, json};

use crate::settle::Settling;
use crate::stack::Databases;
use crate::{Client, eventually};

mod suggestions;

pub use suggestions::{insert_suggestions, suggest, suggestions_are_decided_on, suggestions_are_made};

/// Longer than what follows from anything that a step does.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// The demo login.
const LOGIN: &str = r#"mutation { login(input: {email: "test@example.com", password: "password"})
    { token user { email } } }"#;

/// A running system, as its clients reach it and its operator looks into it.
#[derive(Debug)]
pub struct System<'a> {
    /// Where the router answers: `http://127.0.0.1:4000/graphql`.
    pub router: String,
    /// Where notifications answers to live clients: `http://127.0.0.1:4006`.
    pub live: String,
    /// The services' databases.
    pub databases: &'a Databases,
    /// What the services tell each other through.
    pub bus: &'a Arc<dyn Bus>,
    /// Asks the router.
    pub http: reqwest::Client,
}

impl System<'_> {
    /// Asks the router.
    ///
    /// # Panics
    /// When there is no answer, or it is no JSON.
    pub async fn graphql(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let request = self.http.post(&self.router).json(&json!({ "query": query, "variables": variables }));
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let answer = request.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        answer.json().await.unwrap_or_else(|error| panic!("no JSON: {error:?}"))
    }

    /// Asks the router for what must succeed; the answer's `data`.
    ///
    /// # Panics
    /// When there are errors.
    pub async fn data(&self, token: &str, query: &str, variables: Value) -> Value {
        let mut answer = self.graphql(Some(token), query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer:#}");
        answer["data"].take()
    }

    /// Waits until every service knows what happened in the others.
    ///
    /// # Panics
    /// When that takes longer than half a minute: a service does not run.
    pub async fn settled(&self) {
        let settling = Settling { databases: self.databases, bus: self.bus };
        settling.settle(SETTLED_WITHIN).await.unwrap_or_else(|why| panic!("it does not settle: {why}"));
    }
}

/// The demo user signs in; the token.
///
/// # Panics
/// When it is not so, as in all steps that follow.
pub async fn the_demo_user_signs_in(system: &System<'_>) -> String {
    let answer = system.graphql(None, LOGIN, json!({})).await;
    assert_eq!(answer["data"]["login"]["user"], json!({ "email": "test@example.com" }), "{answer:#}");
    let token = answer["data"]["login"]["token"].as_str().expect("a token").to_owned();
    let me = system.data(&token, "{ me { id email role active } }", json!({})).await;
    assert_eq!(me["me"], json!({ "id": "1", "email": "test@example.com", "role": "ADMIN", "active": true }));
    token
}

/// John and Jane are the first leads after the demo data.
///
/// # Panics
/// When it is not so.
pub async fn a_lead_is_created_under_both_argument_names(system: &System<'_>, token: &str) {
    let query = r#"mutation { createLead(input: {firstName: "John", lastName: "Doe", email: "john@example.com"})
        { id firstName lastName } }"#;
    let created = system.data(token, query, json!({})).await;
    assert_eq!(created["createLead"], json!({ "id": "16", "firstName": "John", "lastName": "Doe" }));
    let query = r#"mutation { createLead(createLeadInput: {firstName: "Jane", lastName: "Roe", email: "jane@example.com"})
        { id firstName lastName } }"#;
    let created = system.data(token, query, json!({})).await;
    assert_eq!(created["createLead"], json!({ "id": "17", "firstName": "Jane", "lastName": "Roe" }));
    assert_eq!(system.databases.count("leads", "lead").await, 17);
}

/// Creates a John Doe, and gives his id as a number.
///
/// # Panics
/// When it is refused.
pub async fn create_john(system: &System<'_>, token: &str, email: &str) -> Value {
    let query = "mutation($email: String!) {
        createLead(input: {firstName: \"John\", lastName: \"Doe\", email: $email}) { id } }";
    let created = system.data(token, query, json!({ "email": email })).await;
    json!(created["createLead"]["id"].as_str().expect("an id").parse::<i32>().expect("a number"))
}

/// The newest notification, as soon as it is about this lead.
///
/// # Panics
/// When there is none within 10 seconds.
pub async fn newest_notification(system: &System<'_>, token: &str, lead: &Value) -> Value {
    let query = "{ getNotifications { id type title message isRead relatedLeadId createdAt } }";
    let list = async || system.data(token, query, json!({})).await;
    let newest = async || list().await["getNotifications"].get(0).cloned().unwrap_or_default();
    let is_there = async || newest().await["relatedLeadId"] == *lead;
    eventually("a notification about the lead", Duration::from_secs(10), is_there).await;
    newest().await
}

/// What is told of a new lead, and that it was read.
///
/// # Panics
/// When it is not so.
pub async fn a_notification_is_marked_as_read(system: &System<'_>, token: &str, lead: &Value) {
    let newest = newest_notification(system, token, lead).await;
    let shown = json!({
        "type": "LEAD_CREATED", "title": "New Lead Created", "message": "John Doe added to pipeline",
        "isRead": false, "relatedLeadId": lead,
    });
    let shown = shown.as_object().expect("an object");
    assert!(shown.iter().all(|(field, value)| newest[field] == *value), "{newest:#}");
    assert!(newest["createdAt"].as_str().expect("a time").contains('T'), "{newest:#}");

    let query = "mutation($id: String!) { markAsRead(id: $id) { id isRead } }";
    let marked = system.data(token, query, json!({ "id": newest["id"] })).await;
    assert_eq!(marked["markAsRead"], json!({ "id": newest["id"], "isRead": true }));
    // The demo leads may be told of only now
    system.settled().await;
    let unread = system.data(token, "{ getUnreadCount }", json!({})).await;
    let stored = system.databases.count("notifications", "notification WHERE NOT is_read").await;
    assert_eq!(unread["getUnreadCount"], stored);
    assert!(stored > 0, "the demo leads made one");
}

/// A lead of the demo data, with what happened with it.
///
/// # Panics
/// When it is not so.
pub async fn a_lead_is_shown_with_its_interactions(system: &System<'_>, token: &str) {
    let query = "{ lead(id: 1) { id firstName lastName email phone budget location status
        interactions { id type date notes createdAt } } }";
    let mut lead = system.data(token, query, json!({})).await["lead"].take();
    let interactions = lead["interactions"].take();
    let expected = json!({
        "id": "1", "firstName": "Alice", "lastName": "Nguyen", "email": "alice.nguyen@example.com",
        "phone": "+1 555 010 0101", "budget": 12000.0, "location": "Austin, TX", "status": "NEW",
        "interactions": null,
    });
    assert_eq!(lead, expected);
    let interactions = interactions.as_array().expect("a list");
    let stored = system.databases.count("interactions", "interaction WHERE lead_id = 1").await;
    assert!((2..=5).contains(&interactions.len()) && i64::try_from(interactions.len()) == Ok(stored));
    let text = |interaction: &Value, field: &str| interaction[field].as_str().expect("text").to_owned();
    assert!(interactions.is_sorted_by_key(|interaction| std::cmp::Reverse(text(interaction, "date"))));
    for interaction in interactions {
        assert!(["CALL", "EMAIL", "MEETING"].contains(&&*text(interaction, "type")), "{interaction}");
        assert!(text(interaction, "notes").ends_with('.') && text(interaction, "createdAt").contains('T'));
    }
}

/// All `count` leads have a score afterwards.
///
/// # Panics
/// When it is not so.
pub async fn every_lead_is_scored(system: &System<'_>, token: &str, count: usize) {
    system.settled().await;
    let query = "mutation { recalculateAllScores { count failed durationMs } }";
    let run = system.data(token, query, json!({})).await["recalculateAllScores"].take();
    assert_eq!((&run["count"], &run["failed"]), (&json!(count), &json!(0)));
    let leads = system.data(token, "{ leads { id activityScore scoreCalculatedAt } }", json!({})).await;
    let leads = leads["leads"].as_array().expect("a list");
    assert_eq!(leads.len(), count);
    for lead in leads {
        assert!(lead["activityScore"].as_i64().is_some_and(|score| (0..=100).contains(&score)), "{lead:#}");
        assert!(lead["scoreCalculatedAt"].is_string(), "{lead:#}");
    }
}

/// The same for clients of the old gateway, with the library they use.
///
/// # Panics
/// When it is not so.
pub async fn a_socket_io_client_hears_of_a_new_lead(system: &System<'_>, token: &str, email: &str) {
    system.settled().await;
    let options = json!({ "auth": { "token": token } }).to_string();
    let mut client = Client::start("socket-io.mjs", [&system.live, &options]);
    // It polls first, and changes to WebSocket at some moment
    while client.next().await["on"] != "connect" {}
    let lead = create_john(system, token, email).await;
    let said = loop {
        let mut said = client.next().await;
        if said["on"] == "notification:created" {
            break said["data"].take();
        }
    };
    let text = (&said["type"], &said["message"]);
    assert_eq!(text, (&json!("lead_created"), &json!("John Doe added to pipeline")));
    assert_eq!((&said["relatedLeadId"], &said["isRead"]), (&lead, &json!(false)));
    a_stranger_hears_nothing(system).await;
}

async fn a_stranger_hears_nothing(system: &System<'_>) {
    let mut stranger = Client::start("socket-io.mjs", [&system.live, "{}"]);
    loop {
        let said = stranger.next().await;
        assert_ne!(said["on"], "notification:created");
        if ["disconnect", "connect_error"].contains(&said["on"].as_str().expect("a name")) {
            break;
        }
    }
}
