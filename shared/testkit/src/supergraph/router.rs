//! The real Apollo Router over the services of one test.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Ports, SERVICES};
use crate::Service;

/// The router as it is shipped; only the addresses are the test's.
pub(super) fn spawn(data_dir: &Path, ports: &Ports) -> Service {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../router");
    let supergraph = data_dir.join("supergraph.graphql");
    let committed = fs::read_to_string(shipped.join("supergraph.graphql")).expect("the committed supergraph");
    fs::write(&supergraph, routed(&committed, ports)).expect("a folder of the test's own");
    let [.., port, health_port] = ports;
    let text = |path: &Path| path.display().to_string();
    let config = text(&shipped.join("router.yaml"));
    let environment = [
        ("APOLLO_TELEMETRY_DISABLED", "1".to_owned()),
        ("ROUTER_LISTEN", format!("127.0.0.1:{port}")),
        ("ROUTER_HEALTH_LISTEN", format!("127.0.0.1:{health_port}")),
        ("ROUTER_RHAI", text(&shipped.join("rhai"))),
    ];
    Service::spawn(router_binary(), ["--config", &config, "--supergraph", &text(&supergraph)], environment)
}

/// The supergraph with the URLs at which this test's services answer.
fn routed(supergraph: &str, ports: &[u16]) -> String {
    SERVICES.iter().zip(ports).fold(supergraph.to_owned(), |text, (name, port)| {
        let entry = format!("@join__graph(name: \"{name}\", url: \"");
        let (before, after) = text
            .split_once(&entry)
            .unwrap_or_else(|| panic!("the supergraph has no {name}; run `cargo compose`"));
        let (_, after) = after.split_once('"').expect("a URL ends");
        format!("{before}{entry}http://127.0.0.1:{port}/graphql\"{after}")
    })
}

/// The Apollo Router's binary.
///
/// # Panics
/// When the tests run without one.
#[must_use]
pub fn router_binary() -> PathBuf {
    let named = env::var_os("APOLLO_ROUTER").map(PathBuf::from).unwrap_or_default();
    assert!(
        named.is_file(),
        "APOLLO_ROUTER names no Apollo Router: run ./test, which finds or builds one, or set it to what \
         `cargo run -p leadgraph -- router install` prints"
    );
    named
}
