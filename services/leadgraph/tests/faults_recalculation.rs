//! Scoring is killed in the middle of a recalculation: it goes on where it was, and what comes of it is as if nothing
//! had been.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Stack, eventually};
use tokio::time::sleep;

/// So many that a run takes seconds.
const LEADS: i32 = 200_000;
/// Longer than the lease of a dead process lasts, and the rest of the run after it.
const PATIENCE: Duration = Duration::from_mins(2);
const RECALCULATE: &str = "mutation { recalculateAllScores { count failed } }";
const RUNNING: &str = "job WHERE kind = 'recalculation' AND status = 'RUNNING'";
const TOLD: &str = "outbox WHERE kind = 'scores.recalculated'";
/// What must not depend on how often a run was interrupted.
const SCORES: &str = "SELECT lead_id, activity_score, rank, fit, closed, model_version FROM lead_score \
                      WHERE lead_id > 1000 ORDER BY lead_id";

/// Whether two runs made the same of a lead; what it is ordered by is rounded.
fn is_same((one, other): (&Value, &Value)) -> bool {
    let rank = |row: &Value| row["rank"].as_f64().unwrap();
    let exact = ["lead_id", "activity_score", "fit", "closed", "model_version"];
    exact.iter().all(|column| one[column] == other[column]) && (rank(one) - rank(other)).abs() < 1e-9
}

/// Leads and interactions of which scoring was told, and nobody else.
async fn fill(stack: &Stack) {
    let numbers = |count| {
        format!("WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {count}) SELECT")
    };
    let leads = format!(
        "INSERT INTO lead_view (id, version, first_name, last_name, status, has_phone) \
         {} 1000 + n, 1, 'Jo', 'Doe', 'NEW', n % 2 = 0 FROM g",
        numbers(LEADS)
    );
    // All within a second: so what they are worth does not depend on when a row of the score is made
    let happened = format!(
        "INSERT INTO interaction_view (id, version, lead_id, kind, at) \
         {} 100000 + n, 1, 1001 + n * 7 % {LEADS}, 'CALL', 1768478400000000 - n FROM g",
        numbers(2 * LEADS)
    );
    // As live scoring leaves it, but wrong: all of it has to be written anew
    let scores = format!(
        "INSERT INTO lead_score (lead_id, activity_score, score_calculated_at, decayed_sum, as_of, rank, model_version) \
         {} 1000 + n, 3, '2026-01-15 12:00:00+00:00', 1.5, 1768478400000000, 1, '1' FROM g",
        numbers(LEADS)
    );
    for sql in [leads, happened, scores] {
        stack.databases().execute("scoring", &sql).await;
    }
}

async fn run_is_at(stack: &Stack, status: &str) -> i64 {
    let sql = format!("SELECT done AS n FROM job WHERE kind = 'recalculation' AND status = '{status}'");
    let rows = stack.databases().rows::<Value>("scoring", &sql).await.unwrap();
    rows.first().and_then(|row| row["n"].as_i64()).unwrap_or_default()
}

/// Kills scoring when the run is this far, or where it is when it has gone further, and starts it again.
async fn kill_at(stack: &mut Stack, done: i64) -> i64 {
    let looking: &Stack = stack;
    eventually("the run is under way", PATIENCE, async || run_is_at(looking, "RUNNING").await >= done).await;
    stack.kill("scoring");
    let at = run_is_at(stack, "RUNNING").await;
    assert!(at >= done && at < LEADS.into(), "it was killed too late: at {at}");
    stack.restart("scoring").await;
    at
}

async fn survives(mut stack: Stack) {
    fill(&stack).await;
    let (client, databases) = (stack.client().clone(), stack.databases().clone());
    // Answers, or is cut off
    let asked = tokio::spawn(async move { client.ask("scoring", RECALCULATE, json!({})).await });
    let first = kill_at(&mut stack, 20_000).await;
    assert!(asked.await.unwrap().is_err(), "nobody answers who is dead");
    let second = kill_at(&mut stack, first + 20_000).await;
    assert!(second > first, "it goes on where it was");
    let finished = || async { run_is_at(&stack, "SUCCEEDED").await > i64::from(LEADS) - 1 };
    eventually("the run ends by itself", PATIENCE, finished).await;
    let log = stack.replica("scoring").log();
    assert!(log.contains("going on with a job") && log.contains("position"), "{log}");
    sleep(Duration::from_millis(300)).await;
    assert_eq!((databases.count("scoring", TOLD).await, databases.count("scoring", RUNNING).await), (1, 0));

    let after = databases.rows::<Value>("scoring", SCORES).await.unwrap();
    assert_eq!(after.len(), 200_000);
    databases
        .execute("scoring", "UPDATE lead_score SET decayed_sum = 1.5, rank = 1, activity_score = 3")
        .await;
    // For a while those who call are told of the run that took so long
    let again = || async {
        let said = stack.client().data("scoring", RECALCULATE, json!({})).await;
        assert_eq!(said["recalculateAllScores"]["failed"], 0);
        sleep(Duration::from_secs(1)).await;
        databases.count("scoring", TOLD).await == 2
    };
    eventually("one clean run", PATIENCE, again).await;
    let clean = databases.rows::<Value>("scoring", SCORES).await.unwrap();
    assert!(
        after.len() == clean.len() && after.iter().zip(&clean).all(is_same),
        "one clean run gives the same"
    );
    assert!(clean.iter().all(|row| row["rank"].as_f64().unwrap() > 1_000.0));
    let changes = "score_change WHERE cause = 'RECALCULATION' AND lead_id > 1000";
    assert_eq!(databases.count("scoring", changes).await, 400_000, "each run changed each score once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalculation_goes_on_after_kills_on_postgres() {
    survives(Stack::networked().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalculation_goes_on_after_kills_on_sqlite() {
    survives(Stack::embedded().await).await;
}
