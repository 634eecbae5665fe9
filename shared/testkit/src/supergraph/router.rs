//! The real Apollo Router over the services of one test.

use std::env;
use std::path::{Path, PathBuf};

use super::{Ports, subgraph_urls};
use crate::Service;

/// The router as it is shipped; only the addresses are the test's.
pub(super) fn spawn(ports: &Ports, more: &[(&str, String)]) -> Service {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../router");
    let [.., port, health_port] = ports;
    let file = |name: &str| shipped.join(name).display().to_string();
    let mut environment = vec![
        ("APOLLO_TELEMETRY_DISABLED".to_owned(), "1".to_owned()),
        ("ROUTER_LISTEN".to_owned(), format!("127.0.0.1:{port}")),
        ("ROUTER_HEALTH_LISTEN".to_owned(), format!("127.0.0.1:{health_port}")),
        ("ROUTER_RHAI".to_owned(), file("rhai")),
    ];
    environment.extend(subgraph_urls(ports));
    // With the addresses of receivers it refuses to start: it has ROUTER_OTLP_ENDPOINT
    let more = more.iter().filter(|(name, _)| !name.starts_with("OTEL_EXPORTER_OTLP_"));
    environment.extend(more.map(|(name, value)| ((*name).to_owned(), value.clone())));
    let (config, supergraph) = (file("router.yaml"), file("supergraph.graphql"));
    Service::spawn(router_binary(), ["--config", &config, "--supergraph", &supergraph], environment)
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
