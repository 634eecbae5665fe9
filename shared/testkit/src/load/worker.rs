//! One worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::ledger::{Ledger, State};
use crate::stack::{Client, actions::id};

/// Between two changes, at most.
const PAUSE_MS: u64 = 30;
/// Between two attempts at the same change.
const RETRY: Duration = Duration::from_millis(100);
/// How long a worker that was told to stop still asks what became of its last change.
const LAST_ANSWER: Duration = Duration::from_secs(30);
/// Why one that refuses in the end did not: the attempt before was done, and nobody heard.
const DONE_BEFORE: &str = "NOT_FOUND";

const CREATE_LEAD: &str = "mutation($input: CreateLeadInput!, $key: String!) {
    createLead(input: $input, idempotencyKey: $key) { id location } }";
const CREATE_LEADS: &str = "mutation($input: [CreateLeadInput!]!, $key: String!) {
    createLeads(input: $input, idempotencyKey: $key) { lead { id location } error { message } } }";
const UPDATE_LEAD: &str = "mutation($input: UpdateLeadInput!) { updateLead(updateLeadInput: $input) { id } }";
const REMOVE_LEAD: &str = "mutation($id: Int!) { removeLead(id: $id) }";
const CREATE_INTERACTION: &str = "mutation($input: CreateInteractionInput!, $key: String!) {
    createInteraction(createInteractionInput: $input, idempotencyKey: $key) { id } }";
const UPDATE_INTERACTION: &str = "mutation($input: UpdateInteractionInput!) {
    updateInteraction(updateInteractionInput: $input) { id } }";
const REMOVE_INTERACTION: &str = "mutation($id: Int!) { removeInteraction(id: $id) }";
const CREATE_TASK: &str = "mutation($input: CreateTaskInput!, $key: String!) {
    createTask(input: $input, idempotencyKey: $key) { id } }";
const COMPLETE_TASK: &str = "mutation($id: Int!) { completeTask(id: $id) { id } }";
const REMOVE_TASK: &str = "mutation($id: Int!) { removeTask(id: $id) }";
const NEWEST: &str = "{ getNotifications(limit: 5) { id } }";
const MARK_AS_READ: &str = "mutation($id: String!) { markAsRead(id: $id) { id } }";
const DELETE_NOTIFICATION: &str = "mutation($id: String!) { deleteNotification(id: $id) }";

/// What became of a change.
enum Outcome {
    Done(Value),
    /// It had been done by an attempt without an answer.
    DoneBefore,
    /// Nobody knows.
    Unknown,
}

/// Something of a lead's.
#[derive(Clone, Copy)]
struct Belonging {
    id: i32,
    lead: i32,
}

pub(super) struct Worker {
    client: Client,
    rng: StdRng,
    name: String,
    count: u32,
    stop: watch::Receiver<bool>,
    stopped: Option<Instant>,
    total: Arc<AtomicU64>,
    ledger: Ledger,
    leads: Vec<i32>,
    interactions: Vec<Belonging>,
    tasks: Vec<Belonging>,
}

impl Worker {
    pub fn new(
        client: Client,
        seed: u64,
        number: u32,
        stop: watch::Receiver<bool>,
        total: Arc<AtomicU64>,
    ) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number.into()));
        // Unlike that of a worker of an earlier load on the same services
        let name = format!("load {seed:x}.{number}.{:x}", subgraph::Clock::System.now().timestamp_micros());
        let (leads, interactions, tasks) = (Vec::new(), Vec::new(), Vec::new());
        let ledger = Ledger::default();
        let (count, stopped) = (0, None);
        Self { client, rng, name, count, stop, stopped, total, ledger, leads, interactions, tasks }
    }

    pub async fn work(mut self) -> Ledger {
        while !*self.stop.borrow() {
            self.something().await;
            sleep(Duration::from_millis(self.rng.random_range(0..=PAUSE_MS))).await;
        }
        self.ledger
    }

    async fn something(&mut self) {
        let dice = self.rng.random_range(0..100);
        match dice {
            _ if self.leads.is_empty() => self.create_lead().await,
            0..20 => self.create_lead().await,
            20..24 => self.create_leads().await,
            24..42 => self.update_lead().await,
            42..48 => self.remove_lead().await,
            48..63 => self.create_interaction().await,
            63..70 => self.update_interaction().await,
            70..73 => self.remove_interaction().await,
            73..84 => self.create_task().await,
            84..91 => self.complete_task().await,
            91..94 => self.remove_task().await,
            _ => self.touch_notification().await,
        }
    }

    /// A text unlike all others.
    fn text(&mut self) -> String {
        self.count += 1;
        format!("{} {}", self.name, self.count)
    }

    fn lead(&mut self) -> i32 {
        self.leads[self.rng.random_range(0..self.leads.len())]
    }

    fn lead_input(&mut self) -> (Value, String) {
        let text = self.text();
        let email = format!("{}@example.com", text.replace(' ', "-"));
        let budget = f64::from(self.rng.random_range(0..100_000));
        (
            json!({ "firstName": "Load", "lastName": "Test", "email": email, "budget": budget, "location": text }),
            text,
        )
    }

    async fn create_lead(&mut self) {
        let (input, text) = self.lead_input();
        if let Outcome::Done(answer) =
            self.change("leads", CREATE_LEAD, json!({ "input": input, "key": text })).await
        {
            self.has_lead(&answer["createLead"]);
        }
    }

    async fn create_leads(&mut self) {
        let inputs: Vec<_> = (0..self.rng.random_range(1..8)).map(|_| self.lead_input().0).collect();
        let key = self.text();
        let variables = json!({ "input": inputs, "key": key });
        if let Outcome::Done(answer) = self.change("leads", CREATE_LEADS, variables).await {
            for row in answer["createLeads"].as_array().into_iter().flatten() {
                if row["lead"].is_null() {
                    self.ledger.surprises.push(format!("leads: a row of createLeads was refused: {row}"));
                } else {
                    self.has_lead(&row["lead"]);
                }
            }
        }
    }

    fn has_lead(&mut self, lead: &Value) {
        let new = id(&lead["id"]);
        self.leads.push(new);
        self.ledger.leads.insert(new, State::There(lead["location"].as_str().unwrap_or_default().into()));
    }

    async fn update_lead(&mut self) {
        let (id, text) = (self.lead(), self.text());
        let statuses = ["NEW", "CONTACTED", "QUALIFIED", "WON", "LOST"];
        let status = statuses[self.rng.random_range(0..statuses.len())];
        let input = json!({ "input": { "id": id, "location": text, "status": status } });
        let outcome = self.change("leads", UPDATE_LEAD, input).await;
        let state = if matches!(outcome, Outcome::Done(_)) { State::There(text) } else { State::Unknown };
        self.ledger.leads.insert(id, state);
    }

    /// What belongs to it goes with it; until then nobody else asks for it.
    async fn remove_lead(&mut self) {
        let index = self.rng.random_range(0..self.leads.len());
        let id = self.leads.swap_remove(index);
        let state = removed(&self.change("leads", REMOVE_LEAD, json!({ "id": id })).await);
        for it in self.interactions.extract_if(.., |it| it.lead == id) {
            self.ledger.interactions.insert(it.id, state.clone());
        }
        for it in self.tasks.extract_if(.., |it| it.lead == id) {
            self.ledger.tasks.insert(it.id, state.clone());
        }
        self.ledger.leads.insert(id, state);
    }

    async fn create_interaction(&mut self) {
        let (lead, text) = (self.lead(), self.text());
        let input = json!({ "type": "CALL", "date": "2026-01-15T10:00:00Z", "notes": text, "leadId": lead });
        let variables = json!({ "input": input, "key": text });
        if let Outcome::Done(answer) = self.change("interactions", CREATE_INTERACTION, variables).await {
            let new = id(&answer["createInteraction"]["id"]);
            self.interactions.push(Belonging { id: new, lead });
            self.ledger.interactions.insert(new, State::There(text));
        }
    }

    async fn update_interaction(&mut self) {
        if self.interactions.is_empty() {
            return;
        }
        let (id, text) =
            (self.interactions[self.rng.random_range(0..self.interactions.len())].id, self.text());
        let input = json!({ "input": { "id": id, "notes": text } });
        let outcome = self.change("interactions", UPDATE_INTERACTION, input).await;
        let state = if matches!(outcome, Outcome::Done(_)) { State::There(text) } else { State::Unknown };
        self.ledger.interactions.insert(id, state);
    }

    async fn remove_interaction(&mut self) {
        if let Some(Belonging { id, .. }) = self.interactions.pop() {
            let outcome = self.change("interactions", REMOVE_INTERACTION, json!({ "id": id })).await;
            self.ledger.interactions.insert(id, removed(&outcome));
        }
    }

    async fn create_task(&mut self) {
        let (lead, text) = (self.lead(), self.text());
        let variables =
            json!({ "input": { "title": text, "leadId": lead, "priority": "HIGH" }, "key": text });
        if let Outcome::Done(answer) = self.change("tasks", CREATE_TASK, variables).await {
            let new = id(&answer["createTask"]["id"]);
            self.tasks.push(Belonging { id: new, lead });
            self.ledger.tasks.insert(new, State::There(text));
        }
    }

    async fn complete_task(&mut self) {
        let Some(Belonging { id, .. }) = self.tasks.last().copied() else { return };
        let outcome = self.change("tasks", COMPLETE_TASK, json!({ "id": id })).await;
        let state = match (outcome, self.ledger.tasks.get(&id)) {
            (Outcome::Done(_), Some(State::There(title))) => {
                State::There(format!("{} (done)", title.trim_end_matches(" (done)")))
            }
            _ => State::Unknown,
        };
        self.ledger.tasks.insert(id, state);
    }

    async fn remove_task(&mut self) {
        if let Some(Belonging { id, .. }) = self.tasks.pop() {
            let outcome = self.change("tasks", REMOVE_TASK, json!({ "id": id })).await;
            self.ledger.tasks.insert(id, removed(&outcome));
        }
    }

    /// Notifications are everybody's: another worker may have deleted it meanwhile.
    async fn touch_notification(&mut self) {
        let Ok(newest) = self.client.ask("notifications", NEWEST, json!({})).await else { return };
        let some = newest["getNotifications"].as_array().cloned().unwrap_or_default();
        if some.is_empty() {
            return;
        }
        let id = some[self.rng.random_range(0..some.len())]["id"].as_str().unwrap_or_default().to_owned();
        let delete = self.rng.random_bool(0.3);
        let mutation = if delete { DELETE_NOTIFICATION } else { MARK_AS_READ };
        let outcome = self.attempt("notifications", mutation, json!({ "id": id }), true).await;
        let Ok(id) = id.parse() else { return };
        match outcome {
            Outcome::Done(_) if !delete => self.ledger.notified(id, State::There("read".into())),
            Outcome::Done(_) | Outcome::DoneBefore => self.ledger.notified(id, State::Gone),
            Outcome::Unknown => self.ledger.notified(id, State::Unknown),
        }
    }

    async fn change(&mut self, service: &str, mutation: &str, variables: Value) -> Outcome {
        self.attempt(service, mutation, variables, false).await
    }

    /// Asks again and again until there is an answer, or nobody wants one any more.
    async fn attempt(
        &mut self,
        service: &str,
        mutation: &str,
        variables: Value,
        mut doubtful: bool,
    ) -> Outcome {
        loop {
            let failure = match self.client.ask(service, mutation, variables.clone()).await {
                Ok(answer) => {
                    self.ledger.acknowledged += 1;
                    self.total.fetch_add(1, Ordering::Relaxed);
                    return Outcome::Done(answer);
                }
                Err(failure) => failure,
            };
            if failure.is(DONE_BEFORE) && doubtful {
                return Outcome::DoneBefore;
            }
            if !failure.is_passing() {
                self.ledger.surprises.push(format!("{service}: {mutation} {variables}: {failure}"));
                return Outcome::Unknown;
            }
            doubtful = true;
            if *self.stop.borrow() && self.stopped.get_or_insert_with(Instant::now).elapsed() > LAST_ANSWER {
                return Outcome::Unknown;
            }
            sleep(RETRY).await;
        }
    }
}

fn removed(outcome: &Outcome) -> State {
    if matches!(outcome, Outcome::Unknown) { State::Unknown } else { State::Gone }
}
