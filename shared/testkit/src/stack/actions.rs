//! What tests ask for most.

use serde_json::{Value, json};

use super::{Client, Failure};

impl Client {
    /// Creates a lead with this first name, which is unlike those of all others; its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create_lead(&self, name: &str) -> i32 {
        self.try_create_lead(name).await.unwrap_or_else(|failure| panic!("no lead {name}: {failure}"))
    }

    /// As [`Client::create_lead`], of what may fail.
    ///
    /// # Errors
    /// When it does.
    ///
    /// # Panics
    /// When a service answers without an id.
    pub async fn try_create_lead(&self, name: &str) -> Result<i32, Failure> {
        let create = "mutation($input: CreateLeadInput!) { createLead(input: $input) { id } }";
        let email = format!("{}@example.com", name.to_lowercase());
        let input = json!({ "input": { "firstName": name, "lastName": "Doe", "email": email } });
        Ok(id(&self.ask("leads", create, input).await?["createLead"]["id"]))
    }

    /// Moves a lead to another place.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn move_lead(&self, id: i32, location: &str) {
        let update = "mutation($input: UpdateLeadInput!) { updateLead(updateLeadInput: $input) { id } }";
        self.data("leads", update, json!({ "input": { "id": id, "location": location } })).await;
    }

    /// Removes a lead.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn remove_lead(&self, id: i32) {
        self.data("leads", "mutation($id: Int!) { removeLead(id: $id) }", json!({ "id": id })).await;
    }

    /// Notes something about a lead; the interaction's id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn note(&self, lead: i32, notes: &str) -> i32 {
        let create = "mutation($input: CreateInteractionInput!) {
            createInteraction(createInteractionInput: $input) { id } }";
        let input = json!({ "type": "CALL", "date": "2026-01-15T10:00:00Z", "notes": notes, "leadId": lead });
        let answer = self.data("interactions", create, json!({ "input": input })).await;
        id(&answer["createInteraction"]["id"])
    }

    /// Makes a task about a lead and completes it; the task's id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn complete_task(&self, lead: i32, title: &str) -> i32 {
        let create = "mutation($input: CreateTaskInput!) { createTask(input: $input) { id } }";
        let answer = self.data("tasks", create, json!({ "input": { "title": title, "leadId": lead } })).await;
        let id = id(&answer["createTask"]["id"]);
        self.data("tasks", "mutation($id: Int!) { completeTask(id: $id) { id } }", json!({ "id": id })).await;
        id
    }
}

/// Ids are strings in some answers and numbers in others.
pub(crate) fn id(value: &Value) -> i32 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|_| panic!("{value} is no id"))
}
