//! How long a service takes to start, and how much memory it needs when nothing happens.
//!
//! `cargo bench -p leads --bench start [-- ROUNDS]` starts the release binary `leads` on an up-to-date SQLite file,
//! ten times unless told otherwise. Start is from exec until the first answer with rows of the database, to a signed
//! query over a raw TCP connection. Memory is the resident set two seconds later. Each is set beside a floor from the
//! same run: the same binary printing its schema and ending, and waiting for an answer without database or server.
//! The files are in the page cache. Fails when a median is over its limit.

use chrono::{DateTime, Utc};
use std::{
    env, fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};
use subgraph::Role;
use testkit::{TestKeys, free_port};

/// From exec to the first answer, in milliseconds.
const MAX_START: f64 = 150.0;
/// Resident memory when idle, in MB of 10^6 bytes.
const MAX_MEMORY: f64 = 45.0;
const ROUNDS: usize = 10;
/// When a service that has started is idle.
const SETTLE: Duration = Duration::from_secs(2);
/// A service that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(30);
/// Between two attempts to connect: short against what is measured, and lets the other process run.
const PROBE: Duration = Duration::from_micros(200);
const QUERY: &str = r#"{"query":"{ leads(limit: 1) { id } }"}"#;

/// The numbers of all rounds.
#[derive(Default)]
struct Samples {
    start: Vec<f64>,
    process: Vec<f64>,
    memory: Vec<f64>,
    waiting: Vec<f64>,
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only where it has ended already
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(folder: &Path, args: &[&str]) -> io::Result<Self> {
        leads(folder, args).spawn().map(Self)
    }

    /// The resident set, in MB.
    fn memory(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.ok_or_else(|| io::Error::other("no VmRSS"))? * 1024.0 / 1e6)
    }

    /// Ends it as an operator would, so that it closes its database.
    fn stop(mut self) -> io::Result<()> {
        let sent = Command::new("kill").arg(self.0.id().to_string()).status()?;
        let ended = self.0.wait()?;
        if sent.success() && ended.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("ended with {ended}")))
        }
    }
}

fn leads(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leads"));
    command.args(args).arg("--data-dir").arg(folder);
    command.env_clear().env("RUST_LOG", "warn");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    command
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Starts the service and waits for its first answer; hands back how long that took.
fn serve(folder: &Path, token: &str) -> io::Result<(Running, f64)> {
    let port = free_port();
    let begin = Instant::now();
    let service = Running::start(folder, &["serve", "--port", &port.to_string()])?;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => {
                ask(stream, token)?;
                return Ok((service, millis(begin)));
            }
            Err(error) if begin.elapsed() > DEADLINE => return Err(error),
            Err(_) => sleep(PROBE),
        }
    }
}

/// One query over one connection; fails for anything but rows.
fn ask(mut stream: TcpStream, token: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let length = QUERY.len();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: leads\r\nconnection: close\r\ncontent-type: application/json\r\n\
         authorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{QUERY}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let fine = answer.starts_with("HTTP/1.1 200") && answer.contains(r#""leads":[{"id""#);
    if fine { Ok(()) } else { Err(io::Error::other(format!("answered {answer}"))) }
}

/// The floor of a start: the same program, made to print its schema and end.
fn process(folder: &Path) -> io::Result<f64> {
    let begin = Instant::now();
    let status = leads(folder, &["schema"]).status()?;
    if status.success() { Ok(millis(begin)) } else { Err(io::Error::other(format!("schema: {status}"))) }
}

/// The floor of memory: the same program, asking for its health where nobody answers.
fn waiting(folder: &Path) -> io::Result<f64> {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = nobody.local_addr()?.port().to_string();
    let asking = Running::start(folder, &["healthcheck", "--port", &port])?;
    // It asks for three seconds
    sleep(Duration::from_millis(500));
    asking.memory()
}

fn measure(folder: &Path, rounds: usize) -> io::Result<Samples> {
    TestKeys::shared().install(folder, "leads");
    let token = TestKeys::shared().mint(Role::SalesRep, 3, DateTime::<Utc>::from(SystemTime::now()));
    // Migrates and loads the demo data
    serve(folder, &token)?.0.stop()?;
    let mut samples = Samples::default();
    for _ in 0..rounds {
        samples.process.push(process(folder)?);
        let (service, start) = serve(folder, &token)?;
        samples.start.push(start);
        sleep(SETTLE);
        samples.memory.push(service.memory()?);
        service.stop()?;
    }
    samples.waiting.push(waiting(folder)?);
    Ok(samples)
}

/// Median, least and most.
fn spread(samples: &[f64]) -> (f64, f64, f64) {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1])
}

/// Prints one measure beside its floor; whether it keeps its limit.
fn report(name: &str, unit: &str, samples: &[f64], floor: (&str, &[f64]), limit: f64) -> bool {
    let (median, least, most) = spread(samples);
    let (floor_median, ..) = spread(floor.1);
    let verdict = if median <= limit { "ok" } else { "OVER THE LIMIT" };
    let ratio = median / floor_median;
    println!(
        "{name:<8} median {median:6.1} {unit}, {least:.1} to {most:.1}; limit {limit:.0} {unit}: {verdict}"
    );
    println!("         floor  {floor_median:6.1} {unit} ({}); ratio {ratio:.1}", floor.0);
    median <= limit
}

fn run(folder: &Path) -> io::Result<bool> {
    // cargo adds --bench to what the user says
    let rounds = env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS).max(1);
    let samples = measure(folder, rounds)?;
    println!("{rounds} starts of {} on SQLite", env!("CARGO_BIN_EXE_leads"));
    let Samples { start, process, memory, waiting } = &samples;
    let start = report("start", "ms", start, ("`leads schema`, start to end", process), MAX_START);
    let memory = report("memory", "MB", memory, ("`leads healthcheck`, waiting", waiting), MAX_MEMORY);
    Ok(start && memory)
}

fn main() -> ExitCode {
    let folder: PathBuf = env::temp_dir().join(format!("leadgraph-bench-{}", std::process::id()));
    let outcome = run(&folder);
    let _ = fs::remove_dir_all(&folder);
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("start: {error}");
            ExitCode::FAILURE
        }
    }
}
