//! Production asks who reads the metrics: Prometheus gets in with an API key, as the documentation says.

use std::net::{IpAddr, UdpSocket};
use std::{fs, path::Path, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Supergraph, TestKeys, eventually, supergraph::SERVICES};

use crate::{
    documents,
    prometheus::{Prometheus, quick, replaced},
};

/// What takes longer than this does not happen, also on a busy machine.
const SOON: Duration = Duration::from_secs(40);
const ADMIN: (&str, &str) = ("boss@example.com", "correct horse battery staple");

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_lets_prometheus_in_until_it_is_revoked() {
    let keys = tempfile::tempdir().expect("a folder");
    let supergraph = start(keys.path()).await;
    let here = own_address();
    assert_eq!(metrics(&supergraph, here).await, StatusCode::FORBIDDEN);
    assert_eq!(metrics(&supergraph, [127, 0, 0, 1].into()).await, StatusCode::OK);

    let admin = supergraph.login(ADMIN.0, ADMIN.1).await;
    let create = "mutation { createApiKey(input: {name: \"Prometheus\", role: SALES_REP}) { apiKey { id clientId } clientSecret } }";
    let key = supergraph.data(&admin, create, json!({})).await["createApiKey"].clone();
    let secret = tempfile::NamedTempFile::new().expect("a file");
    fs::write(secret.path(), key["clientSecret"].as_str().expect("a secret")).expect("a file");
    let client = key["apiKey"]["clientId"].as_str().expect("an id");
    let config = documented(&supergraph, here, client, &secret.path().display().to_string());
    let prometheus = Prometheus::start(&config).await;
    eventually("all services are read", SOON, async || all(&prometheus, "up").await).await;

    let revoke = "mutation($id: ID!) { revokeApiKey(id: $id) }";
    supergraph.data(&admin, revoke, json!({ "id": key["apiKey"]["id"] })).await;
    eventually("none is read any more", SOON, async || all(&prometheus, "down").await).await;
}

async fn start(keys: &Path) -> Supergraph {
    TestKeys::new().install(keys, "accounts");
    let key = keys.join("jwt-signing-key.pem").display().to_string();
    let settings = [
        ("LEADGRAPH_ENV", "production"),
        ("LISTEN_ADDR", "0.0.0.0"),
        ("CORS_ORIGINS", "https://crm.example.com"),
        ("LEADGRAPH_DEMO", "false"),
        ("ADMIN_EMAIL", ADMIN.0),
        ("ADMIN_PASSWORD", ADMIN.1),
        ("JWT_PRIVATE_KEY_FILE", &key),
    ];
    Supergraph::sqlite_with(&settings.map(|(name, value)| (name, value.to_owned()))).await
}

/// The address of this machine that is not the loopback's: from it, nobody is let in without a token.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Nothing is sent: the system only chooses where from
    socket.connect("192.0.2.1:9").expect("this test needs a network interface beside the loopback's");
    socket.local_addr().expect("an address").ip()
}

async fn metrics(supergraph: &Supergraph, from: IpAddr) -> StatusCode {
    let url = format!("http://{from}:{}/metrics", supergraph.port("leads"));
    supergraph.send(supergraph.request_at(Method::GET, &url, None)).await.status
}

/// The configuration in the documentation, with this test's addresses and key.
fn documented(supergraph: &Supergraph, here: IpAddr, client: &str, secret: &str) -> String {
    let page = documents::read("docs/operations.md");
    let mut blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains("oauth2:")).expect("a configuration with a key");
    let text = quick(block);
    let text = replaced(&text, "client_id: lgk_0123456789abcdef", &format!("client_id: {client}"));
    let text = replaced(&text, "/etc/prometheus/leadgraph.secret", secret);
    SERVICES.iter().zip(4001..).fold(text, |text, (service, usual)| {
        replaced(&text, &format!("10.0.0.5:{usual}"), &format!("{here}:{}", supergraph.port(service)))
    })
}

async fn all(prometheus: &Prometheus, health: &str) -> bool {
    let targets: Vec<Value> = prometheus.targets().await;
    targets.len() == SERVICES.len() && targets.iter().all(|target| target["health"] == health)
}
