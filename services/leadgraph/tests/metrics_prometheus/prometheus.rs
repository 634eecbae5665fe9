//! Prometheus as Debian has it, and its tool.

use std::{
    env, fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use testkit::{Service, Supergraph, free_port, supergraph::SERVICES};

/// A running Prometheus, which ends when this is dropped.
pub struct Prometheus {
    // Before its folder
    process: Service,
    url: String,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it with this configuration and the shipped rules.
    pub async fn start(config: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("leadgraph-prometheus-").tempdir().expect("a folder");
        let (file, port) = (folder.path().join("prometheus.yml"), free_port());
        fs::write(&file, config).expect("a file");
        fs::copy(super::documents::RULES, folder.path().join("alerts.yml")).expect("the shipped rules");
        let flags = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let url = format!("http://127.0.0.1:{port}");
        let mut process = Service::spawn(program("prometheus"), flags, [("NO_PROXY", "*")]);
        process.wait_ready(&format!("{url}/-/ready")).await;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { process, url, client, _folder: folder }
    }

    /// What an expression gives now.
    pub async fn ask(&self, expression: &str) -> Vec<Value> {
        let mut answer = self.get("query", &[("query", expression)]).await;
        match answer["result"].take() {
            Value::Array(samples) => samples,
            other => panic!("{expression}: {other}"),
        }
    }

    /// What it reads.
    pub async fn targets(&self) -> Vec<Value> {
        self.get("targets", &[]).await["activeTargets"].as_array().expect("a list").clone()
    }

    /// The rules, and what became of them.
    pub async fn rules(&self) -> Vec<Value> {
        let answer = self.get("rules", &[]).await;
        let groups = answer["groups"].as_array().expect("a list").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("a list").clone()).collect()
    }

    async fn get(&self, what: &str, query: &[(&str, &str)]) -> Value {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{what}", self.url)).expect("an address");
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.client.get(url).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}\n{}", self.process.log()));
        let mut answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["status"], "success", "{what} {query:?}: {answer}");
        answer["data"].take()
    }
}

/// The shipped configuration with the addresses of this test, read every second.
pub fn configuration(supergraph: &Supergraph, router: u16) -> String {
    let usual = |service: &str| supergraph_port(service);
    let mut moves: Vec<_> =
        SERVICES.iter().map(|service| (usual(service), supergraph.port(service))).collect();
    moves.push((9092, router));
    let shipped = super::documents::read("deploy/prometheus.yml");
    let text = moves.into_iter().fold(shipped, |text, (usual, port)| {
        replaced(&text, &format!("127.0.0.1:{usual}"), &format!("127.0.0.1:{port}"))
    });
    quick(&text)
}

/// The same configuration, which reads and judges every second.
pub fn quick(config: &str) -> String {
    replaced(
        &replaced(config, "scrape_interval: 15s", "scrape_interval: 1s"),
        "evaluation_interval: 15s",
        "evaluation_interval: 1s",
    )
}

/// The text with one thing replaced that it must have.
pub fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "there is no {from} in\n{text}");
    text.replace(from, to)
}

/// The port that a service has where nobody chooses another.
fn supergraph_port(service: &str) -> u16 {
    let all = leadgraph::services::all();
    all.iter().find(|it| it.name() == service).expect("a service of the product").port()
}

/// Runs `promtool`, which must be content.
pub fn check(args: &[&str], input: Option<&str>) {
    let mut tool = Command::new(program("promtool"));
    tool.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = tool.spawn().expect("promtool");
    let mut stdin = running.stdin.take().expect("a pipe");
    stdin.write_all(input.unwrap_or_default().as_bytes()).expect("it reads its input");
    drop(stdin);
    let output = running.wait_with_output().expect("its output");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && (input.is_none() || said.is_empty()), "promtool {args:?}: {said}");
}

/// Prometheus or a program that lies beside it.
fn program(name: &str) -> PathBuf {
    let named = env::var_os("PROMETHEUS").map(PathBuf::from).unwrap_or_default();
    let program = named.with_file_name(name);
    assert!(
        named.is_file() && program.is_file(),
        "PROMETHEUS names no prometheus with its {name}: run ./test, which gets it, or set it to one of your own"
    );
    program
}
