//! What the shipped files and the documentation say, as tests need it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;
use testkit::Supergraph;

/// The shipped configuration of Prometheus.
pub const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/prometheus.yml");
/// The shipped rules.
pub const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/alerts.yml");

/// A file of the checkout.
pub fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is said of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    kind: String,
    /// Its own labels, without those that every metric has.
    labels: BTreeSet<String>,
}

/// The table of metrics in the documentation.
pub fn documented() -> BTreeMap<String, Described> {
    let page = read("docs/operations.md");
    let section = page.split("\n### Metrics\n").nth(1).expect("a section on metrics");
    let section = section.split("\n#").next().unwrap_or(section);
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let (name, rest) = row.split_once('`').expect("a name ends");
        let kind = rest.split('|').nth(1).expect("a column for the kind").trim().to_owned();
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        (name.to_owned(), Described { kind, labels: labels.map(str::to_owned).collect() })
    };
    rows.map(row).collect()
}

/// What a service tells at `/metrics`.
pub async fn metrics_of(supergraph: &Supergraph, service: &str) -> String {
    let url = format!("http://127.0.0.1:{}/metrics", supergraph.port(service));
    let answer = supergraph.send(supergraph.request_at(reqwest::Method::GET, &url, None)).await;
    answer.body.as_str().expect("text").to_owned()
}

/// The metrics in such a text.
pub fn exposed(text: &str) -> BTreeMap<String, Described> {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let described = |(name, kind): (&str, &str)| {
        let labels = text.lines().filter_map(|line| labels(line, name)).flatten().collect();
        (name.to_owned(), Described { kind: kind.to_owned(), labels })
    };
    kinds.map(described).collect()
}

/// The labels of a sample, if it is one of this metric.
fn labels(line: &str, metric: &str) -> Option<Vec<String>> {
    let rest = line.strip_prefix(metric)?;
    let rest = ["_bucket", "_sum", "_count"].iter().find_map(|end| rest.strip_prefix(end)).unwrap_or(rest);
    let (labels, _) = rest.strip_prefix('{')?.rsplit_once('}')?;
    let names = labels.split("\",").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_owned());
    Some(names.filter(|name| !["subgraph", "le"].contains(&name.as_str())).collect())
}

/// The title of each panel of the dashboard, and what it asks, with the variables as Grafana would fill them in.
pub fn dashboard() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/leadgraph.json")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let asked = text(&target["expr"]).replace("$__rate_interval", "1m").replace("$subgraph", ".*");
            assert!(!asked.contains('$'), "a variable that the test does not know: {asked}");
            all.push((text(&panel["title"]), asked));
        }
    }
    all
}

/// A rule that gives an alarm.
#[derive(Debug)]
pub struct Rule {
    pub alert: String,
    pub summary: String,
    expr: String,
}

impl Rule {
    /// The metrics it is about.
    pub fn metrics(&self) -> Vec<String> {
        let words = self.expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_metric =
            |word: &&str| *word == "up" || word.starts_with("leadgraph_") || word.starts_with("process_");
        words.filter(is_metric).map(str::to_owned).collect()
    }
}

/// The shipped rules.
pub fn rules() -> Vec<Rule> {
    let rules: Value = serde_norway::from_str(&read("deploy/alerts.yml")).expect("YAML");
    let groups = rules["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let rule = |rule: &Value| Rule {
        alert: text(&rule["alert"]),
        summary: text(&rule["annotations"]["summary"]),
        expr: text(&rule["expr"]),
    };
    rules.map(rule).collect()
}
