//! What the services had to do, from their own counters.

use std::collections::BTreeMap;

use super::{SERVICES, Supergraph};

/// What one service did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// GraphQL requests answered.
    pub requests: u64,
    /// SQL statements run.
    pub statements: u64,
}

/// What each service did, by name.
pub type RequestLog = BTreeMap<&'static str, Load>;

impl Supergraph {
    /// What each service did since it started.
    ///
    /// # Panics
    /// When a service does not tell.
    pub async fn request_log(&self) -> RequestLog {
        let mut log = RequestLog::new();
        for service in SERVICES {
            let url = format!("http://127.0.0.1:{}/metrics", self.port(service));
            let response =
                self.client.get(&url).send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            let text = response.text().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            let requests = sum(&text, "leadgraph_graphql_requests_total", "");
            // A service also reads its outbox, whether anybody asks for anything or not
            let statements = sum(&text, "leadgraph_sql_statements_total", r#"for="requests""#);
            log.insert(service, Load { requests, statements });
        }
        log
    }

    /// Runs `work` and tells what it cost: only services that did something are in the log.
    pub async fn cost<T>(&self, work: impl Future<Output = T>) -> (T, RequestLog) {
        let before = self.request_log().await;
        let result = work.await;
        let mut cost = self.request_log().await;
        for (service, load) in &mut cost {
            load.requests -= before[service].requests;
            load.statements -= before[service].statements;
        }
        cost.retain(|_, load| *load != Load::default());
        (result, cost)
    }
}

/// The sum of a counter over all its labels among which is this one; a counter that was never used is not in the text.
fn sum(metrics: &str, counter: &str, label: &str) -> u64 {
    let samples =
        metrics.lines().filter_map(|line| line.strip_prefix(counter)?.strip_prefix('{')?.rsplit_once(' '));
    let samples = samples.filter(|(labels, _)| labels.contains(label));
    samples.map(|(_, value)| value.parse::<u64>().unwrap_or_else(|_| panic!("{counter} is {value}"))).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_counter_is_the_sum_over_its_labels() {
        let text = "# HELP a_total x\na_total{k=\"1\"} 2\na_total{k=\"2\"} 3\na_total_other{k=\"1\"} 9\n";
        assert_eq!(super::sum(text, "a_total", ""), 5);
        assert_eq!(super::sum(text, "a_total", "k=\"2\""), 3);
        assert_eq!(super::sum(text, "b_total", ""), 0);
    }
}
