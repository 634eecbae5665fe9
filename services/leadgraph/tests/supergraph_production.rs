//! Production as an operator starts it: what works, what is refused and in which words, and what is not shown.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::supergraph::{ROUTER, SERVICES, code, router_binary};
use testkit::{PortRow, Service, Supergraph, TestKeys, binary};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// From an empty folder to the table of URLs, in a debug build on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_mins(1);
/// What takes longer than this does not happen.
const SOON: Duration = Duration::from_secs(20);
const ADMIN: (&str, &str) = ("boss@example.com", "correct horse battery");
const ORIGIN: &str = "https://crm.example.com";
const KEY: &str = "3f9c2b7a51e84d06b8fa0c6d9e21573f";

/// What a browser may not do with any answer.
const HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// `leadgraph up` in production.
struct Production {
    launcher: Service,
    ports: PortRow,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Production {
    async fn start() -> Self {
        let (ports, folder) = (PortRow::free(), folder());
        // Made as the documents say, by a program that is not there everywhere
        TestKeys::shared().install(folder.path(), "keys");
        let key = folder.path().join("jwt-signing-key.pem");
        let environment = [
            ("LEADGRAPH_ENV", "production".into()),
            ("APOLLO_ROUTER", router_binary().display().to_string()),
            ("SERVICE_KEY", KEY.into()),
            ("JWT_PRIVATE_KEY_FILE", key.display().to_string()),
            ("ADMIN_EMAIL", ADMIN.0.into()),
            ("ADMIN_PASSWORD", ADMIN.1.into()),
            ("CORS_ORIGINS", ORIGIN.into()),
        ];
        let program: PathBuf = env!("CARGO_BIN_EXE_leadgraph").into();
        let launcher = Service::spawn(program, ports.up(&folder.path().join("data")), environment);
        let client = reqwest::Client::builder().timeout(SOON).no_proxy().build().unwrap();
        let mut started = Self { launcher, ports, client, _folder: folder };
        let began = Instant::now();
        while !started.launcher.log().contains("Leadgraph is running") {
            assert!(started.launcher.is_running(), "{}", started.launcher.log());
            assert!(began.elapsed() < STARTED_WITHIN, "{}", started.launcher.log());
            sleep(Duration::from_millis(50)).await;
        }
        started
    }

    /// The router's address, or that of a service by its place in the list.
    fn url(&self, service: Option<u16>) -> String {
        let port = service.map_or(self.ports.router(), |place| self.ports.router() + 1 + place);
        format!("http://127.0.0.1:{port}/graphql")
    }

    fn urls(&self) -> impl Iterator<Item = String> {
        [None].into_iter().chain((0..6).map(Some)).map(|place| self.url(place))
    }

    fn post(&self, url: &str, token: &str, query: &str) -> RequestBuilder {
        let request = self.client.post(url).json(&json!({ "query": query }));
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    async fn ask(&self, token: &str, query: &str) -> Value {
        json(self.post(&self.url(None), token, query)).await
    }

    async fn data(&self, token: &str, query: &str) -> Value {
        let mut answer = self.ask(token, query).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer:#}");
        answer["data"].take()
    }

    async fn login(&self, email: &str, password: &str) -> Value {
        let input = format!("{{email: \"{email}\", password: \"{password}\"}}");
        self.ask("", &format!("mutation {{ login(input: {input}) {{ token }} }}")).await
    }
}

async fn json(request: RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("leadgraph-production-").tempdir().unwrap()
}

#[tokio::test]
async fn people_work_in_production_and_strangers_learn_nothing() {
    let mut production = Production::start().await;
    let login = production.login(ADMIN.0, ADMIN.1).await;
    let token = login["data"]["login"]["token"].as_str().unwrap_or_else(|| panic!("{login:#}")).to_owned();
    they_work(&production, &token).await;
    nothing_is_shown(&production, &token).await;
    nothing_is_suggested(&production, &token).await;
    browsers_are_told(&production).await;
    let log = production.launcher.log();
    assert!(!log.contains("demo login"), "{log}");
    assert_eq!(production.launcher.terminate().await.code(), Some(0), "{}", production.launcher.log());
}

async fn they_work(production: &Production, token: &str) {
    let mut heard = subscribe(&production.url(Some(5)), token).await;
    let create = "mutation { createLead(input: {firstName: \"John\", lastName: \"Doe\", email: \"john@example.com\"}) \
                  { id version } }";
    assert_eq!(production.data(token, create).await["createLead"]["id"], "1", "no demo data");
    let told = timeout(SOON, heard.next()).await.unwrap().unwrap().unwrap().into_text().unwrap();
    assert!(told.contains("John Doe added to pipeline"), "{told}");
    let update = "mutation { updateLead(updateLeadInput: {id: 1, lastName: \"Roe\"}) { lastName } }";
    assert_eq!(production.data(token, update).await["updateLead"]["lastName"], "Roe");
    let read = "{ lead(id: 1) { lastName interactions { id } tasks { id } } me { role } }";
    let expected =
        json!({"lead": {"lastName": "Roe", "interactions": [], "tasks": []}, "me": {"role": "ADMIN"}});
    assert_eq!(production.data(token, read).await, expected);
    assert_eq!(production.data(token, "mutation { removeLead(id: 1) }").await["removeLead"], true);
    let demo = production.login("test@example.com", "password").await;
    assert_eq!(code(&demo), Some("UNAUTHENTICATED"), "{demo}");
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A subscription to new notifications.
async fn subscribe(url: &str, token: &str) -> Socket {
    let mut request = url.replace("http:", "ws:").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let query = "subscription { notificationCreated { message } }";
    let said = [
        json!({"type": "connection_init", "payload": {"token": token}}),
        json!({"type": "ping"}),
        json!({"type": "subscribe", "id": "1", "payload": {"query": query}}),
        json!({"type": "ping", "payload": {"after": "subscribe"}}),
    ];
    for (message, answers) in said.into_iter().zip([1, 1, 0, 1]) {
        socket.send(Message::text(message.to_string())).await.unwrap();
        for _ in 0..answers {
            let answer = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap().into_text().unwrap();
            assert!(answer.contains("connection_ack") || answer.contains("pong"), "{answer}");
        }
    }
    // It is opened in a task of its own
    sleep(Duration::from_millis(500)).await;
    socket
}

/// Neither the schema nor pages nor traces.
async fn nothing_is_shown(production: &Production, token: &str) {
    for url in production.urls() {
        for query in ["{ __schema { types { name } } }", "{ __type(name: \"Query\") { name } }"] {
            for token in ["", token] {
                let answer = json(production.post(&url, token, query)).await;
                let refused = ["FORBIDDEN", "INTROSPECTION_DISABLED"].map(Some);
                assert!(refused.contains(&code(&answer)), "{url}: {answer}");
            }
        }
        let page = production.client.get(&url).header("accept", "text/html").send().await.unwrap();
        assert!(page.status().is_client_error(), "{url}: {}", page.status());
        let answer = json(production.post(&url, token, "{ __typename }")).await;
        assert_eq!(answer, json!({"data": {"__typename": "Query"}}), "{url}: and no extensions");
    }
    for place in 0..6 {
        for path in ["/docs", "/openapi.json"] {
            let url = production.url(Some(place)).replace("/graphql", path);
            assert_eq!(
                production.client.get(&url).send().await.unwrap().status(),
                StatusCode::NOT_FOUND,
                "{url}"
            );
        }
    }
    let service = json(production.post(&production.url(Some(1)), token, "{ _service { sdl } }")).await;
    assert_eq!(code(&service), Some("FORBIDDEN"), "{service}");
}

/// Names that are almost right are just unknown.
async fn nothing_is_suggested(production: &Production, token: &str) {
    let lead = r#"firstName: "A", lastName: "B", email: "a@example.org""#;
    let create = format!("mutation {{ createLead(input: {{{lead}, budge: 1}}) {{ id }} }}");
    for (query, right) in [
        ("{ lead(id: 1) { id firstNam } }", "firstName"),
        ("{ leads(limitt: 1) { id } }", "\"limit\""),
        ("{ getUnreadCoun }", "getUnreadCount"),
        (create.as_str(), "budget"),
    ] {
        // The router, and leads or notifications
        for place in [None, Some(if right == "getUnreadCount" { 5 } else { 1 })] {
            let answer = json(production.post(&production.url(place), token, query)).await;
            assert!(code(&answer).is_some(), "{query}: {answer}");
            let said = answer.to_string();
            assert!(!said.contains("Did you mean") && !said.contains(right), "{query}: {said}");
        }
    }
}

async fn browsers_are_told(production: &Production) {
    for url in production.urls() {
        for origin in [ORIGIN, "https://evil.example", "http://localhost:3000"] {
            let ask = production.post(&url, "", "{ __typename }").header("origin", origin);
            let answer = ask.send().await.unwrap();
            let allowed = answer.headers().get("access-control-allow-origin").is_some_and(|it| it == ORIGIN);
            assert_eq!(allowed, origin == ORIGIN, "{url}: {origin}");
            is_guarded(&answer);
        }
        let malformed = production.client.post(&url).header("content-type", "application/json").body("{");
        is_guarded(&malformed.send().await.unwrap());
    }
}

fn is_guarded(answer: &Response) {
    for (name, value) in HEADERS {
        let found = answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(found, Some(value), "{}: {name}", answer.url());
    }
}

/// A program in production with these settings and no others.
fn run(program: &Path, arguments: &[String], settings: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("LEADGRAPH_ENV", "production")
        .env("APOLLO_ROUTER", router_binary());
    let Output { status, stdout, stderr } = command.envs(settings.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

#[test]
fn the_launcher_says_all_that_it_refuses_at_once() {
    let folder = folder();
    let data = folder.path().join("data");
    let open = [
        ("LISTEN_ADDR", "0.0.0.0"),
        ("LEADGRAPH_DEMO", "true"),
        ("ADMIN_EMAIL", "boss@example.com"),
        ("ADMIN_PASSWORD", "password"),
        ("DATABASE_URL", "postgres://crm:crm@db.example.com/crm"),
    ];
    let program = Path::new(env!("CARGO_BIN_EXE_leadgraph"));
    let (status, stdout, stderr) = run(program, &PortRow::free().up(&data), &open);
    assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
    let mut lines = stderr.lines().filter(|line| !line.contains("WARN"));
    let first = lines.next().unwrap();
    assert_eq!(first, "leadgraph: production refuses to start (LEADGRAPH_ENV=production):");
    for start in [
        "SERVICE_KEY is not set, and production makes none by itself: set the same for all services; make one with \
         `openssl rand -hex 32`",
        "demo data is refused in production: unset LEADGRAPH_DEMO",
        "DATABASE_URL has a password that everybody tries first: ",
        "LISTEN_ADDR is 0.0.0.0, which others reach, and CORS_ORIGINS is not set: ",
        "JWT_PRIVATE_KEY_FILE is not set, and production makes no key by itself: make it with `openssl genpkey ",
        "ADMIN_PASSWORD has fewer than 12 characters: make one with `openssl rand ",
    ] {
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with(&format!("  - {start}")), "{line}\n{stderr}");
    }
    assert_eq!(lines.next(), None, "each once");
    assert!(!data.exists(), "nothing was begun");
}

#[test]
fn each_service_refuses_to_serve_without_secrets_and_does_all_else() {
    for service in SERVICES {
        let folder = folder();
        let data = folder.path().join("data");
        let settings = [("LEADGRAPH_DATA_DIR", data.to_str().unwrap()), ("PORT", "1")];
        let run = |arguments: &[String]| run(&binary(service), arguments, &settings);
        let (status, _, said) = run(&words(["serve"]));
        assert_eq!(status, Some(1), "{service}: {said}");
        assert!(said.contains("\n  - SERVICE_KEY is not set"), "{service}: {said}");
        assert_eq!(said.contains("JWT_PRIVATE_KEY_FILE"), service == "accounts", "{said}");
        assert!(!data.join("service.key").exists(), "{service}: a key was made");
        assert_eq!(run(&words(["schema"])).0, Some(0), "{service}");
        for what in ["up", "status"] {
            let (status, _, said) = run(&words(["migrate", what]));
            assert_eq!(status, Some(0), "{service} migrate {what}: {said}");
        }
        let (status, _, said) = run(&words(["healthcheck"]));
        assert_eq!(status, Some(1), "{service}");
        assert!(said.contains("nothing answers at http://127.0.0.1:1/health/ready"), "{service}: {said}");
        let names =
            fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| name.starts_with(&format!("{service}.sqlite"))), "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_reaches_who_asks_too_often_through_the_router_and_nobody_else() {
    let limits =
        [("TRUSTED_PROXIES", "127.0.0.1"), ("RATE_LIMIT_ADDRESS", "1/s:20"), ("RATE_LIMIT_USER", "off")];
    let supergraph = Supergraph::sqlite_with(&limits.map(|(name, value)| (name, value.to_owned()))).await;
    let token = supergraph.admin().await;
    // The page asks leads once, and the others for entities
    let page =
        json!({ "query": "{ leads(limit: 5) { id interactions { id } tasks { id } score { current } } }" });
    let ask = async |from: &str| {
        let request = supergraph.request(Method::POST, ROUTER, Some(&token)).header("x-forwarded-for", from);
        supergraph.send(request.json(&page)).await
    };
    let mut answered = 0;
    let refusal = loop {
        let answer = ask("6.6.6.6, 192.0.2.1").await;
        if answer.code().is_some() {
            break answer.body;
        }
        answered += 1;
        assert!(answered < 100, "never refused");
    };
    assert!(answered >= 20, "{answered}: entities hardly count");
    let error = &refusal["errors"][0]["extensions"];
    assert_eq!((&error["code"], &error["service"]), (&json!("RATE_LIMITED"), &json!("leads")), "{refusal:#}");
    assert!(error["retryAfter"].as_u64().is_some(), "{refusal:#}");
    assert_eq!(ask("192.0.2.2").await.code(), None, "another client of the same router");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_decides_nobody_sends() {
    let supergraph = Supergraph::sqlite().await;
    let admin = supergraph.admin().await;
    let before = supergraph.row_counts().await;
    let lead = "firstName: \"A\", lastName: \"B\", email: \"a@example.org\"";
    let mut sent = Vec::new();
    for field in
        ["id: 7", "version: 9", "activityScore: 100", "createdAt: \"2020-01-01T00:00:00Z\"", "summary: \"x\""]
    {
        sent.push(("leads", format!("createLead(input: {{{lead}, {field}}}) {{ id }}")));
        sent.push((
            "interactions",
            format!(
                "createInteraction(createInteractionInput: {{leadId: 1, type: CALL, date: \
                                            \"2026-01-01T00:00:00Z\", {field}}}) {{ id }}"
            ),
        ));
        sent.push(("tasks", format!("createTask(input: {{leadId: 1, title: \"x\", {field}}}) {{ id }}")));
    }
    for field in ["id: \"7\"", "passwordHash: \"x\"", "active: true", "version: 9"] {
        let user = "email: \"b@example.org\", role: SALES_REP, password: \"12345678\"";
        sent.push(("accounts", format!("createUser(input: {{{user}, {field}}}) {{ id }}")));
    }
    sent.push((
        "accounts",
        "changePassword(currentPassword: \"x\", newPassword: \"12345678\", userId: 2)".into(),
    ));
    for (service, mutation) in sent {
        let answer =
            supergraph.direct(service, Some(&admin), &format!("mutation {{ {mutation} }}"), json!({})).await;
        assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{mutation}: {answer}");
    }
    for secret in ["passwordHash", "password", "salt", "refreshToken"] {
        let answer = supergraph
            .direct("accounts", Some(&admin), &format!("{{ users {{ {secret} }} }}"), json!({}))
            .await;
        assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{secret}: {answer}");
    }
    assert_eq!(supergraph.row_counts().await, before);
}
