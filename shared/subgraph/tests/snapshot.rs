//! What a service owns, read by those who keep a view of it, and their views filled again from it.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tokens count from now"
)]

mod coins;

use chrono::Utc;
use coins::{BROKEN, Bank, YOUNG, coin, collector, put};
use reqwest::{Client, Response, StatusCode};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use std::{
    fs,
    sync::Mutex,
    time::{Duration, Instant},
};
use subgraph::{Config, Rebuilt, Role, audit, token::sign_call};
use testkit::{TestDatabase, TestKeys};

const BOTH: [fn() -> TestDatabase; 2] = [TestDatabase::sqlite, TestDatabase::postgres];

async fn get(bank: &Bank, kind: &str, authorization: Option<String>) -> Response {
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("http://{}/internal/snapshot/{kind}", bank.owner.addr));
    let request = match authorization {
        Some(authorization) => request.header("authorization", authorization),
        None => request,
    };
    request.send().await.unwrap()
}

fn service_token(bank: &Bank) -> String {
    let key = fs::read_to_string(bank.folder.path().join("service.key")).unwrap();
    format!("Service {}", sign_call("collector", key.trim(), Utc::now()).unwrap())
}

fn user_token(user: i32) -> String {
    format!("Bearer {}", TestKeys::shared().mint(Role::Admin, user, Utc::now()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_for_services_and_has_every_row() {
    for new in BOTH {
        let bank = Bank::open(new).await;
        put(&bank.owner_db().await, (1..=1_203).map(|id| (id, 1))).await;
        assert_eq!(get(&bank, "coin.changed", None).await.status(), StatusCode::UNAUTHORIZED);
        let user = get(&bank, "coin.changed", Some(user_token(1))).await;
        assert_eq!(user.status(), StatusCode::FORBIDDEN);
        assert!(user.text().await.unwrap().contains(r#""code":"FORBIDDEN""#));
        assert_eq!(get(&bank, "coin.lost", Some(service_token(&bank))).await.status(), StatusCode::NOT_FOUND);
        let snapshot = get(&bank, "coin.changed", Some(service_token(&bank))).await;
        assert_eq!(snapshot.status(), StatusCode::OK);
        let text = snapshot.text().await.unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1_204);
        assert_eq!(lines[0], r#"{"id":1,"version":1}"#);
        assert_eq!(lines[1_202], r#"{"id":1203,"version":1}"#);
        assert_eq!(lines[1_203], r#"{"end":true,"count":1203}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_snapshot_is_whole() {
    let bank = Bank::open(TestDatabase::sqlite).await;
    let text = get(&bank, "coin.changed", Some(service_token(&bank))).await.text().await.unwrap();
    assert_eq!(text, "{\"end\":true,\"count\":0}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_becomes_what_the_owner_has_and_never_goes_backwards() {
    for new in BOTH {
        let bank = Bank::open(new).await;
        let (owner, collector) = (bank.owner_db().await, bank.collector_db().await);
        put(&owner, (1..=1_100).map(|id| (id, 2)).chain([(2_000, YOUNG)])).await;
        // Out of date, newer than the snapshot, a tombstone, gone, and too young for the snapshot
        put(&collector, [(1, 1), (2, 3), (3, 1), (1_500, 1), (2_000, 1)]).await;
        collector.execute_unprepared("UPDATE coin SET lost = true WHERE id = 3").await.unwrap();
        let rebuilt = bank.rebuild(false).await.unwrap();
        assert_eq!((rebuilt.rows, rebuilt.changed, rebuilt.forgotten), (1_100, 1_098, 1));
        let expected = [(1, (2, false)), (2, (3, false)), (3, (1, true)), (1_100, (2, false))];
        let expected = expected.into_iter().chain([(1_500, (1, true)), (2_000, (1, false))]);
        for (id, known) in expected {
            assert_eq!(coin(&collector, id).await, Some(known), "{id}");
        }
        let told = audit::Entity::find().filter(audit::Column::Action.eq("coin.lost"));
        let told = told.all(&collector).await.unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!(
            (&*told[0].actor, &*told[0].request_id, &*told[0].entity_id),
            ("system", "rebuild", "1500")
        );
        let again = bank.rebuild(false).await.unwrap();
        assert_eq!(again, Rebuilt { changed: 0, forgotten: 0, ..rebuilt });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_and_ends_at_the_number_of_rows() {
    let bank = Bank::open(TestDatabase::sqlite).await;
    put(&bank.owner_db().await, (1..=1_100).map(|id| (id, 1))).await;
    let seen = Mutex::new(Vec::new());
    let note = |at: &Rebuilt| seen.lock().unwrap().push((at.kind, at.rows));
    collector().rebuild(bank.config(), false, &note).await.unwrap();
    let coins = seen.into_inner().unwrap().into_iter().filter(|(kind, _)| *kind == "coin.changed");
    let rows: Vec<_> = coins.map(|(_, rows)| rows).collect();
    assert_eq!(rows, [500, 1_000, 1_100, 1_100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_breaks_off_makes_nobody_forget() {
    for new in BOTH {
        let bank = Bank::open(new).await;
        let (owner, collector) = (bank.owner_db().await, bank.collector_db().await);
        put(&owner, (1..=700).map(|id| (id, 1)).chain([(701, BROKEN)])).await;
        put(&collector, [(1_500, 1)]).await;
        let error = format!("{:#}", bank.rebuild(false).await.unwrap_err());
        assert!(error.contains("broke off after 500 rows; try again"), "{error}");
        assert_eq!(coin(&collector, 1_500).await, Some((1, false)));
        // What came is taken in all the same
        assert_eq!(coin(&collector, 500).await, Some((1, false)));
        owner.execute_unprepared("UPDATE coin SET version = 1 WHERE id = 701").await.unwrap();
        let rebuilt = bank.rebuild(false).await.unwrap();
        assert_eq!((rebuilt.rows, rebuilt.changed, rebuilt.forgotten), (701, 201, 1));
        assert_eq!(coin(&collector, 1_500).await, Some((1, true)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_lacks_most_is_not_believed_without_force() {
    let bank = Bank::open(TestDatabase::sqlite).await;
    let (owner, collector) = (bank.owner_db().await, bank.collector_db().await);
    put(&owner, [(1, 1)]).await;
    put(&collector, [(2, 1), (3, 1)]).await;
    let error = format!("{:#}", bank.rebuild(false).await.unwrap_err());
    assert!(error.contains("has 1 and lacks 2") && error.contains("--force"), "{error}");
    assert_eq!(coin(&collector, 2).await, Some((1, false)));
    assert_eq!(bank.rebuild(true).await.unwrap().forgotten, 2);
    assert_eq!(coin(&collector, 2).await, Some((1, true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_said_in_words() {
    let bank = Bank::open(TestDatabase::sqlite).await;
    let config = Config { service_key: Some("another key, but long enough for it".into()), ..bank.config() };
    let error = format!("{:#}", collector().rebuild(config, false, &|_| {}).await.unwrap_err());
    assert!(error.contains("accounts at http://") && error.contains("has another service key"), "{error}");
    let (away, config) = (bank.owner.addr, bank.config());
    bank.owner.stop().await.unwrap();
    let error = format!("{:#}", collector().rebuild(config.clone(), false, &|_| {}).await.unwrap_err());
    assert!(error.contains(&format!("accounts does not answer at http://{away}: start it first")), "{error}");
    let missing = format!("sqlite://{}/none.sqlite", bank.folder.path().display());
    let config = Config { database_url: Some(missing.into()), ..config };
    let error = format!("{:#}", collector().rebuild(config, false, &|_| {}).await.unwrap_err());
    assert!(error.contains("collector has no database yet"), "{error}");
    assert!(!bank.folder.path().join("none.sqlite").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_rebuild_notes_ends_in_the_running_service() {
    for new in BOTH {
        let bank = Bank::open(new).await;
        let url = format!("http://{}/graphql", bank.collector.as_ref().unwrap().addr);
        let client = Client::builder().no_proxy().build().unwrap();
        let ask = async || {
            let request = client.post(&url).header("authorization", user_token(7));
            let request = request.json(&serde_json::json!({ "query": "{ nothing }" }));
            request.send().await.unwrap().text().await.unwrap()
        };
        assert!(ask().await.contains("true"));
        bank.rebuild(false).await.unwrap();
        let started = Instant::now();
        while !ask().await.contains("UNAUTHENTICATED") {
            assert!(started.elapsed() < Duration::from_secs(20), "it still counts");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // What a view shows is recorded by its owner
        let changed = audit::Entity::find().count(&bank.collector_db().await).await.unwrap();
        assert_eq!(changed, 0);
    }
}
