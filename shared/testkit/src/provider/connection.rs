//! One connection to the provider: requests in, answers as they were scripted out.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::reply::Delivery;
use super::{Reply, Request, Script, Seen};

/// How long a client gets to read what came before a reset, which would otherwise overtake it.
const BEFORE_RESET: Duration = Duration::from_millis(2);

/// Answers until the client goes away, or the script ends the connection.
pub(super) async fn serve(stream: TcpStream, seen: Arc<Seen>, script: Arc<Script>) {
    let mut stream = BufReader::new(stream);
    // A client that goes away is what many tests are about
    while let Ok(Some(request)) = read(&mut stream, &seen).await {
        let waiting = seen.waits();
        let reply = script(&request);
        let left = leaves(&mut stream, reply.after).await;
        let sent = if left { Ok(false) } else { send(stream.get_mut(), &reply).await };
        if matches!(reply.delivery, Delivery::Silence(_)) && sent.is_ok() {
            leaves(&mut stream, Duration::MAX).await;
        }
        drop(waiting);
        if !matches!(sent, Ok(true)) {
            return;
        }
    }
}

/// Waits so long; tells whether the client went away meanwhile.
async fn leaves(stream: &mut BufReader<TcpStream>, time: Duration) -> bool {
    let wait = async { if time == Duration::MAX { pending().await } else { sleep(time).await } };
    tokio::select! {
        () = wait => false,
        read = stream.fill_buf() => !read.is_ok_and(|bytes| !bytes.is_empty()),
    }
}

/// The next request; nothing at the end of the connection.
async fn read(stream: &mut BufReader<TcpStream>, seen: &Seen) -> io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let target = lines.first().map(|line| line.trim_end_matches(" HTTP/1.1").to_owned()).unwrap_or_default();
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: Vec<(String, String)> = headers.collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(seen.note(target, headers, body)))
}

/// Sends it as scripted; tells whether the connection can take another request.
async fn send(stream: &mut TcpStream, reply: &Reply) -> io::Result<bool> {
    let first = |length: usize| &reply.bytes[..length.min(reply.bytes.len())];
    match reply.delivery {
        Delivery::Whole => stream.write_all(&reply.bytes).await?,
        Delivery::Closed => {
            stream.write_all(&reply.bytes).await?;
            stream.shutdown().await?;
        }
        Delivery::Reset(length) => {
            stream.write_all(first(length)).await?;
            sleep(BEFORE_RESET).await;
            stream.set_zero_linger()?;
        }
        Delivery::Silence(length) => stream.write_all(first(length)).await?,
        Delivery::Dribble(pause) => {
            let (head, body) = reply.bytes.split_at(reply.head());
            stream.write_all(head).await?;
            for byte in body {
                stream.write_all(&[*byte]).await?;
                sleep(pause).await;
            }
        }
    }
    Ok(matches!(reply.delivery, Delivery::Whole))
}
