//! Processes that are told what to do in lines, and what the system says about processes.

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    process::{self, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin, Stdout, stdin, stdout},
    process::{ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// What takes longer than this does not come any more.
const DEADLINE: Duration = Duration::from_secs(30);

/// This program in another role. Dropping it, or the end of this process, ends it.
pub struct Child {
    process: tokio::process::Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts it; call this on the main thread.
    pub fn start<I: IntoIterator<Item: Into<String>>>(role: I) -> Result<Self> {
        let mut command: process::Command = testkit::tethered(std::env::current_exe()?, "KILL");
        command.args(role.into_iter().map(Into::into));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Command::from(command).kill_on_drop(true).spawn()?;
        let input = process.stdin.take().context("a pipe")?;
        let output = BufReader::new(process.stdout.take().context("a pipe")?).lines();
        Ok(Self { process, input, output })
    }

    /// Tells it something.
    pub async fn tell(&mut self, line: impl std::fmt::Display) -> Result<()> {
        Ok(self.input.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// What it says next.
    pub async fn hear(&mut self) -> Result<String> {
        let line = timeout(DEADLINE, self.output.next_line()).await;
        line.context("a process of the bench is silent")??.context("a process of the bench ended")
    }

    /// Its process id.
    pub fn id(&self) -> Result<u32> {
        self.process.id().context("a process of the bench ended")
    }
}

/// The other end: what this process is told.
pub struct Orders {
    input: Lines<BufReader<Stdin>>,
    output: Stdout,
}

impl Orders {
    /// From standard input.
    pub fn new() -> Self {
        Self { input: BufReader::new(stdin()).lines(), output: stdout() }
    }

    /// The next order: how many events. Nothing when there are no more orders.
    pub async fn next(&mut self) -> Result<Option<usize>> {
        let line = self.input.next_line().await?;
        Ok(line.map(|line| line.parse()).transpose()?)
    }

    /// Answers.
    pub async fn answer(&mut self, line: impl std::fmt::Display) -> Result<()> {
        self.output.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.output.flush().await?)
    }
}

/// What a process has in memory, in bytes.
pub fn memory(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("no VmRSS")? * 1024.0)
}

/// How long the threads that a process has now have run, in seconds.
pub fn processor_time(process: u32) -> Result<f64> {
    let mut nanos = 0.0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // One that ends meanwhile had nothing to do with what is measured
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanos += text.split_whitespace().next().context("no schedstat")?.parse::<f64>()?;
    }
    ensure!(nanos > 0.0, "the kernel does not count the time of threads");
    Ok(nanos / 1e9)
}
