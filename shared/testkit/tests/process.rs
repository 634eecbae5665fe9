//! Processes that belong to one test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Service, free_port};

const NO_VARIABLES: [(&str, &str); 0] = [];

fn shell(script: &str) -> Service {
    Service::spawn("sh", ["-c", script], NO_VARIABLES)
}

/// Waits until `happened`, and fails when it does not happen, also on a busy machine.
#[track_caller]
fn until(mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < deadline, "it does not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A server that answers with each of these status lines in turn, one per connection.
fn answering(statuses: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("a bound address"));
    thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 1024]).expect("a request");
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .expect("an answer");
        }
    });
    url
}

#[tokio::test]
async fn ready_is_the_first_200() {
    let mut service = shell("exec sleep 600");
    service.wait_ready(&answering(&["503 Service Unavailable", "200 OK"])).await;
}

#[tokio::test]
#[should_panic(expected = "exit status: 3 before")]
async fn a_process_that_ends_is_not_waited_for() {
    let mut service = shell("echo no such database >&2; exit 3");
    service.wait_ready(&format!("http://127.0.0.1:{}/", free_port())).await;
}

#[tokio::test]
async fn terminate_lets_it_finish_and_kill_does_not() {
    const SCRIPT: &str = "trap 'echo stopping; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let (mut asked, mut killed) = (shell(SCRIPT), shell(SCRIPT));
    for service in [&asked, &killed] {
        until(|| service.log().contains("ready"));
    }

    assert_eq!(asked.terminate().await.code(), Some(5));
    assert!(asked.log().contains("stopping"));
    assert_eq!(killed.kill().signal(), Some(9));
    assert!(!killed.log().contains("stopping"));
}

#[tokio::test]
async fn it_sees_what_it_is_given_and_nothing_of_the_test() {
    let mut service = Service::spawn("env", [""; 0], [("GIVEN", "yes")]);
    until(|| !service.is_running());
    let mut names: Vec<_> =
        service.log().lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    names.retain(|name| !["PATH", "HOME", "TMPDIR"].contains(&name.as_str()));
    assert_eq!(names, ["GIVEN"]);
}

/// The process dies with the test's process, not with the thread of the test that started it.
#[test]
fn it_outlives_the_thread_that_started_it() {
    let mut service = thread::spawn(|| {
        let mut service = shell("echo started; exec sleep 600");
        until(|| service.log().contains("started"));
        assert!(service.is_running());
        service
    })
    .join()
    .expect("the thread does not panic");
    assert!(service.is_running());
}

#[test]
fn it_is_gone_when_it_is_dropped() {
    let service = shell("exec sleep 600");
    let (id, folder) = (service.id(), service.folder().to_owned());
    drop(service);
    assert!(
        rustix::process::Pid::from_raw(id.cast_signed())
            .is_none_or(|id| rustix::process::test_kill_process(id).is_err())
    );
    assert!(!folder.exists());
}

#[test]
fn a_free_port_has_no_listener() {
    assert!(TcpStream::connect(("127.0.0.1", free_port())).is_err());
}
