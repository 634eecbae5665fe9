use std::{env, time::Instant};

use rustix::process::test_kill_process;
use tokio::time::sleep;

use super::*;
use crate::provision::tests::script;

/// What takes longer than this does not happen, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Options whose router is the shell script `body`.
fn options(test: &str, body: &str) -> RouterOptions {
    let folder = env::temp_dir().join(format!("leadgraph-router-{test}-{}", std::process::id()));
    let binary = folder.join("router");
    script(&binary, body);
    RouterOptions {
        binary,
        config: folder.join("router.yaml"),
        supergraph: folder.join("supergraph.graphql"),
        scripts: folder.join("rhai"),
        traces: None,
        subgraphs: vec![("leads", "http://127.0.0.1:4102/graphql".to_owned())],
        listen: free_address(),
        health: free_address(),
        log: folder.join("router.log"),
        bind_with: None,
        introspection: false,
        cors: None,
        ready_within: DEADLINE,
    }
}

/// Waits until `happened`, and fails when it does not happen.
async fn until(mut happened: impl FnMut() -> bool) {
    let wait = async {
        while !happened() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("it happens in time");
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_router_that_dies_fails_at_once_with_the_end_of_its_log() {
    let started = Instant::now();
    let options = options("dies", "echo \"license violation on $ROUTER_LISTEN\"; exit 3");
    let error = Router::start(&options).await.unwrap_err().to_string();
    assert!(error.contains("exit status: 3") && error.contains("router.log"), "{error}");
    assert!(error.ends_with(&format!("license violation on {}", options.listen)), "{error}");
    assert!(started.elapsed() < options.ready_within);
}

#[tokio::test]
async fn the_router_is_told_where_the_subgraphs_answer() {
    let options = options("told", "echo \"leads: $LEADS_URL\"; exit 3");
    let error = Router::start(&options).await.unwrap_err().to_string();
    assert!(error.ends_with("leads: http://127.0.0.1:4102/graphql"), "{error}");
}

#[tokio::test]
async fn a_router_that_never_gets_ready_is_killed_at_the_deadline() {
    let options = options("hangs", "echo $$; exec sleep 60");
    let options = RouterOptions { ready_within: Duration::from_secs(2), ..options };
    let error = Router::start(&options).await.unwrap_err().to_string();
    assert!(error.contains("is not ready after"), "{error}");
    let id = fs::read_to_string(&options.log).unwrap().trim().parse().expect("the id it prints");
    let id = Pid::from_raw(id).unwrap();
    until(|| test_kill_process(id).is_err()).await;
}

#[tokio::test]
async fn stopping_kills_what_does_not_listen() {
    use std::os::unix::process::ExitStatusExt as _;
    let options = options("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.05; done");
    let child = command(&options).unwrap().spawn().unwrap();
    let router = Router { child, log: options.log.clone() };
    until(|| router.log_end().ends_with("ready")).await;
    let status = router.stop(Duration::from_millis(200)).await.unwrap();
    assert_eq!(status.signal(), Some(9));
}

#[tokio::test]
async fn a_bound_router_is_refused_outside_the_main_thread() {
    let mut options = options("thread", "exit 0");
    options.bind_with = Some(env::current_exe().unwrap());
    let error = Router::start(&options).await.unwrap_err().to_string();
    assert!(error.contains("main thread"), "{error}");
}

#[test]
fn a_taken_port_is_named_with_the_way_to_change_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = ensure_free(address, "the Apollo Router", "--port").unwrap_err().to_string();
    assert!(error.starts_with(&format!("port {} is taken", address.port())), "{error}");
    assert!(error.ends_with("another port with --port"), "{error}");
}

#[test]
fn cors_patterns_take_origins_literally() {
    let pattern = cors_pattern(&["https://crm.example.com", "http://localhost:3000/"]);
    assert_eq!(pattern, r"^(?:https://crm\.example\.com|http://localhost:3000)\z");
}

#[test]
fn an_unspecified_address_is_probed_at_loopback() {
    assert_eq!(reachable("0.0.0.0:8088".parse().unwrap()), "127.0.0.1:8088".parse().unwrap());
    assert_eq!(reachable("[::]:8088".parse().unwrap()), "[::1]:8088".parse().unwrap());
}

#[test]
fn the_tail_of_a_log_is_its_last_lines() {
    let file = env::temp_dir().join(format!("leadgraph-tail-{}", std::process::id()));
    let text: Vec<_> = (0..10_000).map(|line| format!("line {line}")).collect();
    fs::write(&file, text.join("\n")).unwrap();
    assert_eq!(tail(&file).unwrap(), text[10_000 - TAIL.1..].join("\n"));
}
