//! A server that has no file descriptors left says so and goes on when some come back. Alone in its file: the bound
//! is the process's.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod greetings;

use greetings::greetings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs::File, io::Write, iter::repeat_with, sync::Mutex, time::Duration};
use testkit::TestKeys;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Takes every file descriptor that is left under a low bound.
fn take_all() -> Vec<File> {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..limits }).unwrap();
    repeat_with(|| File::open("/dev/null")).map_while(Result::ok).collect()
}

#[tokio::test]
async fn a_server_without_file_descriptors_waits_for_some() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(|| Log).init();
    let folder = tempfile::tempdir().unwrap();
    TestKeys::shared().install(folder.path(), "greetings");
    let subgraph = greetings();
    let flags = [
        format!("--data-dir={}", folder.path().display()),
        format!("--database-url=sqlite://{}/own.sqlite?mode=rwc", folder.path().display()),
    ];
    let running = subgraph.start(subgraph.config_from(flags).unwrap()).await.unwrap();

    let mut taken = take_all();
    drop(taken.pop());
    // Takes the last one: there is none for the server's end
    let mut client = TcpStream::connect(running.addr).await.unwrap();
    client.write_all(b"GET /health/live HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut status = [0; 15];
    assert!(timeout(Duration::from_millis(1500), client.read_exact(&mut status)).await.is_err());
    let warnings = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    // One at once and one after a second, though it has tried thirty times
    assert!((1..=2).contains(&warnings.matches("cannot accept connections").count()), "{warnings}");
    drop(taken);
    timeout(Duration::from_secs(20), client.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    running.stop().await.unwrap();
}
