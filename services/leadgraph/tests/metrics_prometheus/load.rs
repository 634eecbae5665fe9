//! The running system, and something of everything that it counts.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{
    Client, Supergraph, free_port,
    provider::{Provider, Reply, Request},
};

/// The running system with a language model and a subscriber.
pub struct Load {
    pub supergraph: Supergraph,
    /// Where the router tells its metrics.
    pub router_metrics: u16,
    token: String,
    _subscriber: Client,
    _provider: Provider,
}

impl Load {
    /// Starts everything.
    pub async fn start() -> Self {
        let (provider, router_metrics) = (Provider::start(answer).await, free_port());
        let more = [
            ("LLM_BASE_URL", provider.url()),
            ("LLM_MODEL", "a-model".to_owned()),
            ("ROUTER_METRICS", "true".to_owned()),
            ("ROUTER_METRICS_LISTEN", format!("127.0.0.1:{router_metrics}")),
        ];
        let supergraph = Supergraph::sqlite_with(&more).await;
        let token = supergraph.admin().await;
        let url = supergraph.url("notifications").replacen("http", "ws", 1);
        let query = "subscription { notificationCreated { sequence title } }";
        let options = json!({ "token": token, "query": query }).to_string();
        let mut subscriber = Client::start("graphql-ws.mjs", [url, options]);
        assert_eq!(subscriber.next().await["on"], "connected");
        Self { supergraph, router_metrics, token, _subscriber: subscriber, _provider: provider }
    }

    /// Does something of everything.
    pub async fn run(&self) {
        let create = "mutation($input: CreateLeadInput!) { createLead(input: $input) { id } }";
        let email = format!("{}@example.com", subgraph::Clock::System.now().timestamp_micros());
        let lead = json!({ "input": { "firstName": "John", "lastName": "Doe", "email": email } });
        let id = self.data(create, lead.clone()).await["createLead"]["id"].clone();
        let id: i32 = id.as_str().and_then(|id| id.parse().ok()).expect("a lead's id");
        self.supergraph.settled().await;
        // A second time with this e-mail is a conflict
        let taken = self.supergraph.graphql(Some(&self.token), create, lead).await;
        assert_eq!(testkit::supergraph::code(&taken), Some("CONFLICT"));
        self.happen(id).await;
        self.data("{ leads(limit: 5) { id tasks { id } score { current } owner { id } } }", json!({})).await;
        let not_json = self.supergraph.request(Method::POST, "leads", Some(&self.token)).body("{}");
        assert_eq!(self.supergraph.send(not_json).await.status, 415);
        self.supergraph.settled().await;
    }

    async fn happen(&self, lead: i32) {
        let note = "mutation($input: CreateInteractionInput!) { createInteraction(createInteractionInput: $input) { id } }";
        let now = subgraph::Clock::System.now().to_rfc3339();
        self.data(note, json!({ "input": { "leadId": lead, "type": "MEETING", "date": now } })).await;
        let id = json!({ "id": lead });
        let job = "mutation($id: Int!) { requestTaskRecommendations(leadId: $id) { id } }";
        self.data(job, id.clone()).await;
        self.data("mutation { regenerateSummaries { id } }", json!({})).await;
        self.data("mutation($id: Int!) { generateSummary(leadId: $id) { id } }", id).await;
    }

    async fn data(&self, query: &str, variables: Value) -> Value {
        self.supergraph.data(&self.token, query, variables).await
    }
}

/// What a model says that does its work.
fn answer(request: &Request) -> Reply {
    let Some(kind) = request.data["allowedKinds"][0].as_str() else {
        return Reply::answer(&json!({ "summary": "John wants an offer this week." }));
    };
    let task = json!({ "kind": kind, "title": "Call", "description": "Soon.", "reasoning": "They asked.",
        "priority": "HIGH", "dueInDays": 2 });
    Reply::answer(&json!({ "recommendations": [task] }))
}
