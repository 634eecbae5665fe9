//! Servers of one test's own, and what can be done to them.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use testkit::servers::{Nats, Postgres};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a client of NATS reads after it has sent these lines.
async fn talk(url: String, lines: &str, until: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(url.replace("nats://", "")).await.expect("a connection");
    stream.write_all(format!("CONNECT {{\"verbose\":false}}\r\n{lines}").as_bytes()).await.expect("sent");
    let (mut said, start) = (String::new(), Instant::now());
    let mut buffer = [0; 4096];
    while !said.contains(until) {
        assert!(start.elapsed() < Duration::from_secs(20), "no {until} in {said}");
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await;
        let length = read.expect("an answer").expect("a connection");
        assert!(length > 0, "it hangs up after {said}");
        said.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    said
}

/// A request of JetStream's interface and its answer.
async fn ask(nats: &Nats, subject: &str, body: &str) -> String {
    let lines = format!("SUB answer 1\r\nPUB {subject} answer {}\r\n{body}\r\n", body.len());
    talk(nats.url(), &lines, "\"type\":").await
}

const STREAM: &str = r#"{"name":"S","subjects":["s"],"storage":"file","retention":"limits"}"#;

#[tokio::test]
async fn nats_runs_the_shipped_configuration_and_keeps_its_data_until_it_is_wiped() {
    let mut nats = Nats::start().await;
    let url = nats.url();
    let info = talk(nats.url(), "PING\r\n", "PONG").await;
    assert!(info.contains("\"max_payload\":8388608") && info.contains("\"jetstream\":true"), "{info}");
    ask(&nats, "$JS.API.STREAM.CREATE.S", STREAM).await;

    nats.kill();
    assert!(TcpStream::connect(url.replace("nats://", "")).is_err(), "nobody listens");
    nats.restart().await;
    assert_eq!(nats.url(), url);
    let kept = ask(&nats, "$JS.API.STREAM.INFO.S", "").await;
    assert!(kept.contains("\"name\":\"S\""), "{kept}");

    nats.kill();
    nats.wipe();
    nats.restart().await;
    let wiped = ask(&nats, "$JS.API.STREAM.INFO.S", "").await;
    assert!(wiped.contains("stream not found"), "{wiped}");
}

#[tokio::test]
async fn paused_nats_answers_when_it_is_resumed() {
    let mut nats = Nats::start().await;
    nats.pause();
    let pong = talk(nats.url(), "PING\r\n", "PONG");
    tokio::pin!(pong);
    let early = tokio::time::timeout(Duration::from_millis(500), &mut pong).await;
    assert!(early.is_err(), "it answers while it is paused");
    nats.resume();
    pong.await;
    // And it can be removed while it is
    nats.pause();
}

async fn connect(postgres: &Postgres) -> DatabaseConnection {
    Database::connect(postgres.url()).await.expect("a connection")
}

async fn setting(connection: &DatabaseConnection, name: &str) -> String {
    let row = connection.query_one_raw(sea_orm::Statement::from_string(
        sea_orm::DbBackend::Postgres,
        format!("SELECT current_setting('{name}')"),
    ));
    row.await.expect("an answer").expect("a row").try_get_by_index(0).expect("a text")
}

#[tokio::test]
async fn postgres_is_durable_and_keeps_its_data() {
    let mut postgres = Postgres::start().await;
    let url = postgres.url();
    let connection = connect(&postgres).await;
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(setting(&connection, name).await, "on", "{name}");
    }
    connection.execute_unprepared("CREATE TABLE kept (id int)").await.expect("a table");

    for crash in [false, true] {
        if crash {
            postgres.kill();
        }
        postgres.restart().await;
        assert_eq!(postgres.url(), url);
        let insert = connect(&postgres).await.execute_unprepared("INSERT INTO kept VALUES (1)").await;
        insert.expect("the table is there");
    }
}

#[tokio::test]
async fn postgres_ends_every_session() {
    let postgres = Postgres::start().await;
    let mut options = sea_orm::ConnectOptions::new(postgres.url());
    options.max_connections(1).min_connections(1).test_before_acquire(false);
    let connection = Database::connect(options).await.expect("a connection");
    connection.execute_unprepared("SELECT 1").await.expect("an answer");

    postgres.terminate_all().await;

    let error = connection.execute_unprepared("SELECT 1").await.expect_err("the session is gone");
    assert!(error.to_string().contains("terminating connection"), "{error}");
    connection.execute_unprepared("SELECT 1").await.expect("a new session");
}
