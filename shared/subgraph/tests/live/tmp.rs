//! Temporary.
use crate::{client::Client, stage::{Stage, token}};
use serde_json::json;
use std::time::{Duration, Instant};
use futures_util::StreamExt;

fn rss(pid: &str) -> u64 {
    let s = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let l = s.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    l.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore]
async fn tmp_server() {
    let stage = Stage::new().await;
    std::fs::write("/tmp/p/live-addr", format!("{} {} {}", stage.running.addr, std::process::id(), token())).unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore]
async fn tmp_client() {
    const N: usize = 5000;
    let text = std::fs::read_to_string("/tmp/p/live-addr").unwrap();
    let mut parts = text.split(' ');
    let (addr, pid, t) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap().to_owned());
    let addr: std::net::SocketAddr = addr.parse().unwrap();
    let before = rss(pid);
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..N {
        let mut c = Client::connect(addr).await.welcomed(&t).await;
        c.subscribe("1", "subscription { said { sequence text } }", json!({})).await;
        clients.push(c);
    }
    eprintln!("connected {:?} {:.0}/s", began.elapsed(), N as f64 / began.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(2)).await;
    eprintln!("rss {} -> {}: {:.2} kB each", before, rss(pid), (rss(pid) - before) as f64 / N as f64);
    let readers: Vec<_> = clients.into_iter().map(|mut c| tokio::spawn(async move {
        let mut n = 0u64;
        while n < 21 { if let Some(Ok(m)) = c.socket.next().await { if m.is_text() { n += 1; } } }
        c
    })).collect();
    let say = async |times: usize| {
        let body = json!({"query": "mutation($t: Int!) { say(text: \"hello hello hello hello hello\", times: $t) }", "variables": {"t": times}});
        subgraph::http_client().unwrap().post(format!("http://{addr}/graphql")).bearer_auth(&t).json(&body).send().await.unwrap();
    };
    say(1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    eprintln!("after one: {:.2} kB each", (rss(pid) - before) as f64 / N as f64);
    let began = Instant::now();
    say(20).await;
    let mut kept = Vec::new();
    for r in readers { kept.push(r.await.unwrap()); }
    let took = began.elapsed();
    eprintln!("20 x {N} in {took:?}: {:.0} frames/s", 20.0 * N as f64 / took.as_secs_f64());
    eprintln!("after burst: {:.2} kB each", (rss(pid) - before) as f64 / N as f64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore]
async fn tmp_raw() {
    use futures_util::SinkExt;
    use tokio_tungstenite::tungstenite::{Utf8Bytes, Message, protocol::WebSocketConfig};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    std::fs::write("/tmp/p/raw-addr", format!("{} {}", listener.local_addr().unwrap(), std::process::id())).unwrap();
    let tx = tokio::sync::broadcast::Sender::<Utf8Bytes>::new(64);
    let t2 = tx.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Ok(n) = std::fs::read_to_string("/tmp/p/raw-go") {
                std::fs::remove_file("/tmp/p/raw-go").unwrap();
                let n: usize = n.parse().unwrap();
                let text = Utf8Bytes::from(r#"{"id":"1","type":"next","payload":{"data":{"said":{"sequence":1,"text":"hello hello hello hello hello"}}}}"#.to_owned());
                for _ in 0..n { t2.send(text.clone()).unwrap(); }
            }
        }
    });
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut rx = tx.subscribe();
        tokio::spawn(async move {
            let c = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0).max_write_buffer_size(65536);
            let mut ws = tokio_tungstenite::accept_async_with_config(stream, Some(c)).await.unwrap();
            loop { tokio::select! {
                t = rx.recv() => { let Ok(t) = t else { return }; if ws.send(Message::Text(t)).await.is_err() { return } }
                m = ws.next() => { if !matches!(m, Some(Ok(_))) { return } }
            } }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore]
async fn tmp_rawclient() {
    const N: usize = 5000;
    let text = std::fs::read_to_string("/tmp/p/raw-addr").unwrap();
    let (addr, pid) = text.split_once(' ').unwrap();
    let before = rss(pid);
    let mut readers = Vec::new();
    for _ in 0..N {
        let s = tokio::net::TcpStream::connect(addr).await.unwrap();
        let (mut ws, _) = tokio_tungstenite::client_async(format!("ws://{addr}/"), s).await.unwrap();
        readers.push(tokio::spawn(async move {
            let mut n = 0;
            while n < 21 { if let Some(Ok(m)) = ws.next().await { if m.is_text() { n += 1; } } }
            ws
        }));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    eprintln!("raw {:.2} kB each", (rss(pid) - before) as f64 / N as f64);
    std::fs::write("/tmp/p/raw-go", "1").unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    std::fs::write("/tmp/p/raw-go.tmp", "20").unwrap();
    std::fs::rename("/tmp/p/raw-go.tmp", "/tmp/p/raw-go").unwrap();
    while std::path::Path::new("/tmp/p/raw-go").exists() { tokio::time::sleep(Duration::from_millis(1)).await; }
    let began = Instant::now();
    let mut kept = Vec::new();
    for r in readers { kept.push(r.await.unwrap()); }
    let took = began.elapsed();
    eprintln!("raw 20 x {N} in {took:?}: {:.0} frames/s", 20.0 * N as f64 / took.as_secs_f64());
}
