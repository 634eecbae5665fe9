//! A lead that cannot be calculated is named and counted, and does not keep the others.

use crate::{
    chance::Chance,
    stage::{PATIENCE, Stage, beginning},
    stored::{Truth, fill, scores},
};
use scoring::model::ScoreModel;
use sea_orm::DbBackend;
use serde_json::{Value, json};
use subgraph::{Clock, Role};
use testkit::{Service, TestDatabase, binary, free_port, mint};

/// Leads, not all of them in a row.
const LEADS: [i32; 12] = [1, 2, 3, 5, 6, 7, 8, 9, 40, 41, 42, 43];

const REFUSE: (&[&str], &[&str]) = (
    &[
        "CREATE TRIGGER seven_new BEFORE INSERT ON lead_score WHEN NEW.lead_id = 7 \
         BEGIN SELECT RAISE(ABORT, 'not the seventh'); END",
        "CREATE TRIGGER seven BEFORE UPDATE ON lead_score WHEN NEW.lead_id = 7 \
         BEGIN SELECT RAISE(ABORT, 'not the seventh'); END",
    ],
    &["DROP TRIGGER seven_new", "DROP TRIGGER seven"],
);
const REFUSE_POSTGRES: (&[&str], &[&str]) = (
    &[
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql \
         AS 'BEGIN RAISE EXCEPTION ''not the seventh''; END'",
        "CREATE TRIGGER seven BEFORE INSERT OR UPDATE ON lead_score FOR EACH ROW WHEN (NEW.lead_id = 7) \
         EXECUTE FUNCTION refuse()",
    ],
    &["DROP TRIGGER seven ON lead_score"],
);

/// The service in a process of its own, whose log can be read.
struct Process {
    process: Service,
    url: String,
}

impl Process {
    async fn start(stage: &Stage) -> Self {
        let port = free_port();
        let mut process = Service::spawn(binary("scoring"), stage.flags(port), [("", ""); 0]);
        process.wait_ready(&format!("http://127.0.0.1:{port}/health/ready")).await;
        Self { process, url: format!("http://127.0.0.1:{port}/graphql") }
    }

    async fn recalculate(&self) -> Value {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        let request = client.post(&self.url).bearer_auth(mint(Role::Manager, 2, Clock::System.now()));
        let query = json!({ "query": "mutation { recalculateAllScores { count failed } }" });
        let answer: Value = request.json(&query).send().await.unwrap().json().await.unwrap();
        answer["data"]["recalculateAllScores"].clone()
    }
}

#[tokio::test]
async fn a_lead_that_fails_is_named_and_counted_and_the_others_are_saved() {
    for database in TestDatabase::both() {
        let mut stage = Stage::with(database, Clock::System, &[]).await;
        let mut chance = Chance::new(7);
        let leads = LEADS.map(|id| chance.lead(id, beginning()));
        let happened: Vec<_> =
            LEADS.iter().map(|id| chance.interaction(*id, *id, stage.clock.now())).collect();
        fill(&stage, &leads, &happened).await;
        stage.stop().await;
        let refuse = if stage.backend() == DbBackend::Postgres { REFUSE_POSTGRES } else { REFUSE };
        for statement in refuse.0 {
            stage.execute(statement).await;
        }
        let service = Process::start(&stage).await;
        for _ in ["new rows", "rows that are there"] {
            assert_eq!(service.recalculate().await, json!({ "count": 11, "failed": 1 }));
            assert_eq!(stored(&stage).await, [1, 2, 3, 5, 6, 8, 9, 40, 41, 42, 43]);
        }
        let log = service.process.log();
        let named: Vec<_> =
            log.lines().filter(|line| line.contains("cannot calculate the score of a lead")).collect();
        assert!(named.len() == 2 && named.iter().all(|line| line.contains("lead=7")), "{log}");
        for statement in refuse.1 {
            stage.execute(statement).await;
        }
        assert_eq!(service.recalculate().await, json!({ "count": 12, "failed": 0 }));
        assert_eq!(stored(&stage).await, LEADS);
        drop(service);
        stage.strike().await;
    }
}

/// The leads that have scores, all of which are right.
async fn stored(stage: &Stage) -> Vec<i32> {
    let (truth, scores) = (Truth::read(stage, ScoreModel::default()).await, scores(stage).await);
    truth.check_all(&scores);
    let mut leads: Vec<_> = scores.into_keys().collect();
    leads.sort_unstable();
    leads
}
