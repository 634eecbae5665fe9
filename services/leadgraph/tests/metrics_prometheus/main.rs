//! Debian's Prometheus reads the running system: the shipped configuration, rules and dashboard, and the table of
//! metrics in the documentation, hold against what the services and the router really tell.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod documents;
mod load;
mod production;
mod prometheus;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use documents::{Described, dashboard, documented, exposed, metrics_of, rules};
use load::Load;
use prometheus::{Prometheus, check, configuration};
use testkit::{Supergraph, eventually, supergraph::SERVICES};
use tokio::time::sleep;

/// What takes longer than this does not happen, also on a busy machine.
const SOON: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_and_everything_that_is_asked_has_an_answer() {
    let load = Load::start().await;
    let config = configuration(&load.supergraph, load.router_metrics);
    let prometheus = Prometheus::start(&config).await;
    all_targets_are_up(&prometheus).await;
    load.run().await;
    every_metric_is_documented(&load.supergraph).await;
    dashboard_has_data(&prometheus, &load).await;
    rules_have_data_and_nothing_is_wrong(&prometheus).await;
    a_dead_service_is_an_alarm(&prometheus, load).await;
}

#[test]
fn the_shipped_files_are_valid() {
    check(&["check", "config", "--syntax-only", documents::CONFIGURATION], None);
    check(&["check", "rules", documents::RULES], None);
    let alarms = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/metrics_prometheus/alarms.yml");
    check(&["test", "rules", alarms], None);
}

#[test]
fn every_alarm_has_its_entry_in_troubleshooting() {
    let page = documents::read("docs/troubleshooting.md");
    let alarms = page.split("\n## ").find(|section| section.starts_with("Alarms")).expect("a section");
    for rule in rules() {
        assert!(alarms.contains(&format!("- **`{}`**", rule.alert)), "{} has no entry", rule.alert);
        assert!(rule.summary.contains(&format!("troubleshooting: {}", rule.alert)), "{}", rule.summary);
    }
    let entries = alarms.lines().filter(|line| line.starts_with("- **`Leadgraph")).count();
    assert_eq!(entries, rules().len(), "an entry for an alarm that there is no more");
}

async fn all_targets_are_up(prometheus: &Prometheus) {
    let (start, mut targets) = (Instant::now(), Vec::new());
    while start.elapsed() < SOON {
        targets = prometheus.targets().await;
        if targets.len() == SERVICES.len() + 1 && targets.iter().all(|target| target["health"] == "up") {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("not all targets are up: {targets:#?}");
}

/// The names, kinds and labels that the services tell, and those in the documentation, are the same.
async fn every_metric_is_documented(supergraph: &Supergraph) {
    let mut told: BTreeMap<String, Described> = BTreeMap::new();
    for service in SERVICES {
        let text = metrics_of(supergraph, service).await;
        check(&["check", "metrics"], Some(&text));
        for (name, described) in exposed(&text) {
            told.entry(name).or_insert(described);
        }
    }
    let documented = documented();
    for (name, described) in &told {
        assert_eq!(documented.get(name), Some(described), "{name} in docs/operations.md");
    }
    let gone: Vec<_> = documented.keys().filter(|name| !told.contains_key(*name)).collect();
    assert!(gone.is_empty(), "docs/operations.md has what no service tells: {gone:?}");
}

async fn dashboard_has_data(prometheus: &Prometheus, load: &Load) {
    let expressions = dashboard();
    assert!(expressions.len() > 40, "{}", expressions.len());
    let mut empty: Vec<String> = Vec::new();
    for _ in 0..10 {
        empty.clear();
        for (title, expression) in &expressions {
            if prometheus.ask(expression).await.is_empty() {
                empty.push(format!("{title}: {expression}"));
            }
        }
        if empty.is_empty() {
            return;
        }
        // A rate needs a value that changed between two readings
        load.run().await;
    }
    panic!("no data:\n{}", empty.join("\n"));
}

async fn rules_have_data_and_nothing_is_wrong(prometheus: &Prometheus) {
    for rule in rules() {
        for metric in rule.metrics() {
            assert!(!prometheus.ask(&metric).await.is_empty(), "{}: no {metric}", rule.alert);
        }
    }
    let told = prometheus.rules().await;
    assert_eq!(told.len(), rules().len());
    for rule in told {
        assert_eq!((&rule["health"], &rule["state"]), (&"ok".into(), &"inactive".into()), "{rule:#}");
    }
}

async fn a_dead_service_is_an_alarm(prometheus: &Prometheus, mut load: Load) {
    load.supergraph.kill("tasks");
    let noticed = async || {
        let rules = prometheus.rules().await;
        let rule = rules.iter().find(|rule| rule["name"] == "LeadgraphServiceDown").expect("the rule");
        rule["state"] == "pending"
    };
    eventually("the alarm begins", SOON, noticed).await;
}
