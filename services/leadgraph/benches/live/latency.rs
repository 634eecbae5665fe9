//! From a commit at leads to the frame at a subscriber of notifications.
//!
//! The answer to the mutation is sent right after the commit, so the moment it arrives stands for the commit; the
//! time from sending the request is an upper bound, and is printed, too. On the way the event is made durable twice,
//! on the bus and with the notification: what the disk takes for that is printed beside it.
//!
//! Not measured: services in processes of their own over one folder of SQLite files. They look for each other's
//! events five times a second.

use crate::{
    audience::{self, Socket},
    services::{Fleet, token},
};
use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{Seek, Write},
    path::Path,
    time::{Duration, Instant},
};
use testkit::report::{Report, as_f64, beside, median, quantile, title};
use testkit::servers::{Nats, Postgres};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

/// From commit to frame, in milliseconds.
const MAX_MEDIAN: f64 = 5.0;
/// As [`MAX_MEDIAN`], at 99 of 100.
const MAX_P99: f64 = 50.0;
/// Leads before the first that counts.
const WARM_UP: usize = 30;
/// Between two leads.
const PAUSE: Duration = Duration::from_millis(5);
/// Until what the services do after their start is done.
const SETTLE: Duration = Duration::from_secs(2);
/// A frame that takes longer is lost.
const DEADLINE: Duration = Duration::from_secs(10);
const CREATE: &str = "mutation($email: String!) { createLead(input: {firstName: \"John\", lastName: \"Doe\", \
                      email: $email}) { id } }";

/// All services in one process, over SQLite and the local bus.
pub async fn embedded(leads: usize, report: &mut Report) -> Result<()> {
    let fleet = Fleet::embedded().await;
    title(&format!("latency, embedded: one process, SQLite, local bus; {leads} leads"));
    measure(&fleet, leads, report).await
}

/// Every service in a process of its own, over PostgreSQL and NATS.
pub async fn networked(leads: usize, report: &mut Report) -> Result<()> {
    let (postgres, nats) = tokio::join!(Postgres::start(), Nats::start());
    let fleet = Fleet::networked(postgres.url(), nats.url()).await;
    title(&format!("latency, networked: six processes, PostgreSQL, NATS; {leads} leads"));
    measure(&fleet, leads, report).await
}

/// The times of all leads, in milliseconds.
#[derive(Default)]
struct Samples {
    /// From the answer to the frame.
    since_answer: Vec<f64>,
    /// From the request to the frame.
    since_request: Vec<f64>,
    /// From the request to the answer.
    mutation: Vec<f64>,
    /// What the disk took for a small durable write.
    write: Vec<f64>,
}

async fn measure(fleet: &Fleet, leads: usize, report: &mut Report) -> Result<()> {
    let socket = audience::subscribe(&fleet.live_url("notifications"), &token()).await?;
    let (told, mut frames) = unbounded_channel();
    let listening = tokio::spawn(listen(socket, told));
    sleep(SETTLE).await;
    let creating = Creating { url: fleet.url("leads"), token: token(), client: subgraph::http_client()? };
    let (mut samples, mut disk) = (Samples::default(), Disk::new(fleet.folder(), WARM_UP + leads)?);
    for number in 0..WARM_UP + leads {
        let outcome = creating.one(number, &mut frames).await?;
        sleep(PAUSE).await;
        // In between, so that it meets the same disk
        let write = disk.write()?;
        if number >= WARM_UP {
            samples.add(outcome);
            samples.write.push(write);
        }
    }
    listening.abort();
    samples.print(report);
    Ok(())
}

/// When the frame of a lead came.
type Frame = (i64, Instant);

async fn listen(mut socket: Socket, told: UnboundedSender<Frame>) -> Result<()> {
    loop {
        let message = socket.next().await.context("the server hung up")??;
        let now = Instant::now();
        if let Message::Text(text) = message {
            let frame: Value = serde_json::from_str(&text)?;
            let lead = &frame["payload"]["data"]["notificationCreated"]["relatedLeadId"];
            told.send((lead.as_i64().with_context(|| format!("a frame says {text}"))?, now))?;
        }
    }
}

/// The moments of one lead.
struct Outcome {
    request: Instant,
    answer: Instant,
    frame: Instant,
}

struct Creating {
    url: String,
    token: String,
    client: &'static reqwest::Client,
}

impl Creating {
    /// Creates a lead, and waits until the subscriber is told.
    async fn one(&self, number: usize, frames: &mut UnboundedReceiver<Frame>) -> Result<Outcome> {
        let variables = json!({ "email": format!("lead{number}@example.com") });
        let body = json!({ "query": CREATE, "variables": variables }).to_string();
        let request = self.client.post(&self.url).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json").body(body);
        let begin = Instant::now();
        let answered = request.send().await?.text().await?;
        let answer = Instant::now();
        let answered: Value = serde_json::from_str(&answered)?;
        let id = answered["data"]["createLead"]["id"].as_str().and_then(|id| id.parse::<i64>().ok());
        let id = id.with_context(|| format!("leads answered {answered}"))?;
        let frame =
            timeout(DEADLINE, frames.recv()).await.with_context(|| format!("lead {id} was not told"))?;
        let (lead, frame) = frame.context("the subscriber was cut off")?;
        ensure!(lead == id, "lead {lead} was told in the place of {id}");
        Ok(Outcome { request: begin, answer, frame })
    }
}

impl Samples {
    fn add(&mut self, Outcome { request, answer, frame }: Outcome) {
        self.since_answer.push(millis(frame.saturating_duration_since(answer)));
        self.since_request.push(millis(frame.saturating_duration_since(request)));
        self.mutation.push(millis(answer.saturating_duration_since(request)));
    }

    fn print(&self, report: &mut Report) {
        let Self { since_answer, since_request, mutation, write } = self;
        report.at_most("commit to frame, p50", median(since_answer), MAX_MEDIAN, "ms");
        report.at_most("commit to frame, p99", quantile(since_answer, 0.99), MAX_P99, "ms");
        beside("request to frame, p50", median(since_request), "ms");
        beside("request to frame, p99", quantile(since_request, 0.99), "ms");
        beside("request to answer, the mutation alone, p50", median(mutation), "ms");
        beside("request to frame : request to answer", median(since_request) / median(mutation), "");
        let twice = 2.0 * median(write);
        beside("two durable writes one after the other, p50", twice, "ms");
        beside("commit to frame : two durable writes", median(since_answer) / twice, "");
        let before = as_f64(since_answer.iter().filter(|time| **time <= 0.0).count());
        beside("frames that came before the answer", before, "");
    }
}

/// A file of small durable writes. It has its size before, as a log that is written again from its beginning.
struct Disk {
    file: File,
}

impl Disk {
    const BLOCK: [u8; 4096] = [0; 4096];

    fn new(folder: &Path, writes: usize) -> Result<Self> {
        let mut file = File::create(folder.join("writes"))?;
        file.write_all(&Self::BLOCK.repeat(writes))?;
        file.sync_all()?;
        file.rewind()?;
        Ok(Self { file })
    }

    /// How long one write takes, in milliseconds.
    fn write(&mut self) -> Result<f64> {
        let begin = Instant::now();
        self.file.write_all(&Self::BLOCK)?;
        self.file.sync_data()?;
        Ok(millis(begin.elapsed()))
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
