//! One container, as a process.

use std::net::Ipv4Addr;
use std::process::{Output, Stdio};
use std::time::Duration;

use testkit::Service;
use tokio::process::Command;
use tokio::time::timeout;

use crate::place::Place;
use crate::resolved::Entry;
use crate::{postgres, programs};

/// What a health check may take; the engine gives it as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// One container, or the place where it ran.
#[derive(Debug)]
pub struct Container {
    /// The service's, with a number from the second replica on.
    pub name: String,
    pub service: String,
    pub entry: Entry,
    place: Place,
    process: Option<Service>,
}

impl Container {
    pub fn new(name: String, service: &str, entry: Entry, place: Place) -> Self {
        Self { name, service: service.to_owned(), entry, place, process: None }
    }

    pub fn address(&self) -> Ipv4Addr {
        self.place.address
    }

    /// What it is given; `None` is what was not set.
    pub fn environment(&self) -> Vec<(String, String)> {
        let given = self.entry.environment.iter();
        let set = given.filter_map(|(name, value)| Some((name.clone(), value.as_deref()?)));
        set.map(|(name, value)| (name, self.place.translate(value))).collect()
    }

    fn translated(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| self.place.translate(word)).collect()
    }

    /// Starts it, once more where it has ended.
    pub fn start(&mut self) {
        let environment = self.environment();
        let process = if self.entry.image.starts_with("postgres:") {
            postgres::start(&self.place, &environment)
        } else {
            let (program, args) = programs::program(&self.entry.image, &self.translated(&self.entry.command));
            Service::spawn(program, args, environment)
        };
        self.process = Some(process);
    }

    /// What another command says in such a container: `docker compose run`.
    pub async fn run(&self, command: &[&str]) -> Output {
        let words: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
        self.execute(&words).await.expect("the command runs")
    }

    /// Whether it runs and its health check succeeds.
    pub async fn is_healthy(&mut self) -> bool {
        let Some(check) = self.entry.healthcheck.clone() else { return self.is_running() };
        let words = check.test.strip_prefix(&["CMD".to_owned()]).expect("a health check without a shell");
        self.is_running() && self.execute(words).await.is_some_and(|output| output.status.success())
    }

    async fn execute(&self, words: &[String]) -> Option<Output> {
        let (program, args) = words.split_first().expect("a command");
        let program = programs::named(&self.entry.image, &self.place.translate(program));
        let mut command = Command::new(program);
        command.args(self.translated(args)).env_clear().envs(self.environment());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).kill_on_drop(true);
        timeout(PATIENCE, command.output()).await.ok().map(|output| output.expect("the program is there"))
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Service::is_running)
    }

    /// Whether it has done its work and ended.
    pub async fn has_succeeded(&mut self) -> bool {
        let Some(process) = self.process.as_mut() else { return false };
        if process.is_running() {
            return false;
        }
        let status = process.terminate().await;
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, self.log());
        true
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    /// All it has written since it was last started.
    pub fn log(&self) -> String {
        self.process.as_ref().map_or_else(|| "was never started".to_owned(), Service::log)
    }
}
