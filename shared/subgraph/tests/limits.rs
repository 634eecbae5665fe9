//! Who asks too often is told when to come back, wherever the asking happens.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_graphql::{EmptyMutation, EmptySubscription, Object};
use migrations::Chassis;
use poem::{EndpointExt, endpoint::make_sync};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use subgraph::{Clock, Policy, Role, Running, Subgraph, token::sign_call};
use tempfile::TempDir;
use testkit::{TestKeys, mint};

const KEY: &str = "the service key of the tests, long enough for anybody";
const ENTITIES: &str = "{ _entities(representations: [{__typename: \"Thing\", id: 1}]) { __typename } }";

struct Thing;

#[Object]
impl Thing {
    /// Its id.
    async fn id(&self) -> i32 {
        1
    }
}

#[derive(Default)]
struct Query;

#[Object]
impl Query {
    /// Says hello.
    async fn hello(&self) -> &str {
        "hello"
    }

    /// Says nothing to strangers.
    async fn whisper(&self) -> &str {
        "psst"
    }

    /// A thing.
    #[graphql(entity)]
    async fn thing(&self, id: i32) -> Thing {
        let _ = id;
        Thing
    }
}

/// A running service behind a proxy on this machine.
struct Stage {
    running: Running,
    client: Client,
    _folder: TempDir,
}

impl Stage {
    async fn start(limits: &[&str]) -> Self {
        let policy = Policy::default().public(&["hello"]).read(Role::SalesRep, &["whisper", "_entities"]);
        let subgraph =
            Subgraph::new::<Query, EmptyMutation, EmptySubscription, Chassis>("greetings", 0, policy)
                .routes(|_| vec![("/more", make_sync(|_| "more").map_to_response().boxed())]);
        let folder = tempfile::tempdir().unwrap();
        TestKeys::shared().install(folder.path(), "greetings");
        let own = [
            format!("--data-dir={}", folder.path().display()),
            format!("--service-key={KEY}"),
            "--port=0".into(),
            "--trusted-proxies=127.0.0.1".into(),
        ];
        let flags = own.into_iter().chain(limits.iter().map(|limit| (*limit).to_owned()));
        let running = subgraph.start(subgraph.config_from(flags).unwrap()).await.unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { running, client, _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr)
    }

    fn ask(&self, query: &str, from: &str) -> RequestBuilder {
        let request = self.client.post(self.url("/graphql")).json(&json!({ "query": query }));
        if from.is_empty() { request } else { request.header("x-forwarded-for", from) }
    }

    /// How many are answered before one is refused, of a hundred; and how that is told.
    async fn answered(&self, request: impl Fn() -> RequestBuilder) -> (usize, Value) {
        for count in 0..100 {
            let answer: Value = request().send().await.unwrap().json().await.unwrap();
            if let Some(error) = answer["errors"].get(0).filter(|e| e["extensions"]["code"] == "RATE_LIMITED")
            {
                return (count, error.clone());
            }
        }
        (100, Value::Null)
    }

    async fn limited_by(&self, by: &str) -> bool {
        let text = self.client.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let counter = format!("leadgraph_rate_limited_total{{by=\"{by}\",subgraph=\"greetings\"}}");
        let count = text.lines().find_map(|line| line.strip_prefix(&counter)?.trim().parse::<u32>().ok());
        count.unwrap_or_else(|| panic!("no {counter} in\n{text}")) > 0
    }
}

fn token(user: i32) -> String {
    mint(Role::SalesRep, user, Clock::System.now())
}

/// As many as there are at once; one more for each second that passes meanwhile.
fn about(count: usize) -> std::ops::Range<usize> {
    count..count + 20
}

#[tokio::test]
async fn each_user_has_a_limit_wherever_they_are() {
    let stage = Stage::start(&["--rate-limit-user=1/s:5"]).await;
    let of = |user: i32, from: &'static str| {
        let (stage, token) = (&stage, token(user));
        move || stage.ask("{ whisper }", from).bearer_auth(&token)
    };
    let (count, error) = stage.answered(of(1, "192.0.2.1")).await;
    assert!(about(5).contains(&count), "{count}");
    assert_eq!(error["extensions"]["retryAfter"], 1);
    assert_eq!(error["message"], "Too many attempts; try again in 1 s");
    let (count, _) = stage.answered(of(1, "192.0.2.2")).await;
    assert!(count < 5, "{count} from another address");
    let (count, _) = stage.answered(of(2, "192.0.2.1")).await;
    assert!(about(5).contains(&count), "{count} of another user");
    assert_eq!(stage.answered(|| stage.ask("{ hello }", "192.0.2.1")).await.0, 100, "nobody is no user");
    assert!(stage.limited_by("user").await && !stage.limited_by("address").await);
}

#[tokio::test]
async fn each_address_has_a_limit_whoever_asks() {
    let stage = Stage::start(&["--rate-limit-address=1/s:5"]).await;
    let (count, _) = stage.answered(|| stage.ask("{ hello }", "6.6.6.6, 192.0.2.1")).await;
    assert!(about(5).contains(&count), "{count}");
    let token = token(1);
    let (count, _) =
        stage.answered(|| stage.ask("{ whisper }", "6.6.6.7, 192.0.2.1").bearer_auth(&token)).await;
    assert!(count < 5, "{count} with a token, and another invention before the address");
    let (count, _) = stage.answered(|| stage.ask("{ hello }", "192.0.2.2")).await;
    assert!(about(5).contains(&count), "{count} from another");
    assert_eq!(stage.answered(|| stage.ask("{ hello }", "")).await.0, 100, "a proxy that says nothing");
    assert!(stage.limited_by("address").await && !stage.limited_by("user").await);
}

#[tokio::test]
async fn what_is_refused_otherwise_counts_too() {
    let stage = Stage::start(&["--rate-limit-address=1/s:5"]).await;
    for (i, query) in ["{ nonsense }", "{", "query a { hello } query b { hello }"].into_iter().enumerate() {
        let from = format!("192.0.2.{i}");
        let (count, _) = stage.answered(|| stage.ask(query, &from)).await;
        assert!(about(5).contains(&count), "{count}: {query}");
    }
}

#[tokio::test]
async fn entities_count_as_a_tenth() {
    let stage = Stage::start(&["--rate-limit-user=1/s:3"]).await;
    let token = token(1);
    let (count, _) = stage.answered(|| stage.ask(ENTITIES, "").bearer_auth(&token)).await;
    assert!((30..90).contains(&count), "{count}");
}

#[tokio::test]
async fn services_and_health_are_not_counted() {
    let stage = Stage::start(&["--rate-limit-user=1/s:1", "--rate-limit-address=1/s:1"]).await;
    let call = format!("Service {}", sign_call("leads", KEY, Clock::System.now()).unwrap());
    let asked = || stage.ask(ENTITIES, "192.0.2.1").header("authorization", &call);
    assert_eq!(stage.answered(asked).await.0, 100);
    for path in ["/health/live", "/health/ready", "/version"] {
        for _ in 0..10 {
            let asked = stage.client.get(stage.url(path)).header("x-forwarded-for", "192.0.2.1");
            assert_eq!(asked.send().await.unwrap().status(), StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test]
async fn other_routes_answer_429() {
    let stage = Stage::start(&["--rate-limit-address=1/s:2"]).await;
    let ask = || stage.client.get(stage.url("/more")).header("x-forwarded-for", "192.0.2.1").send();
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    for _ in 0..20 {
        let answer = ask().await.unwrap();
        if answer.status() == StatusCode::OK {
            continue;
        }
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "rate_limited");
        return;
    }
    panic!("never refused");
}

#[tokio::test]
async fn in_development_nothing_is_limited() {
    let stage = Stage::start(&[]).await;
    let token = token(1);
    let asked = || stage.ask("{ whisper }", "192.0.2.1").bearer_auth(&token);
    for _ in 0..6 {
        assert_eq!(stage.answered(asked).await.0, 100);
    }
}

#[tokio::test]
async fn in_production_there_are_limits_by_themselves() {
    let stage = Stage::start(&["--environment=production"]).await;
    let mut refused = false;
    let token = token(1);
    for _ in 0..20 {
        // More at once than a page ever asks, and more than fill up meanwhile
        let asked =
            (0..100).map(|_| stage.answered_once(stage.ask("{ whisper }", "192.0.2.1").bearer_auth(&token)));
        refused |= futures_util::future::join_all(asked).await.into_iter().any(|limited| limited);
    }
    assert!(refused);
}

impl Stage {
    /// Whether this request is refused.
    async fn answered_once(&self, request: RequestBuilder) -> bool {
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    }
}
