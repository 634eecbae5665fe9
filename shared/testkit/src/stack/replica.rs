//! One process of a service.

use std::process::ExitStatus;

use crate::{Service, binary};

/// One process of a service, or the place where it ran.
#[derive(Debug)]
pub struct Replica {
    name: &'static str,
    port: u16,
    environment: Vec<(String, String)>,
    process: Option<Service>,
}

impl Replica {
    pub(super) fn new(name: &'static str, port: u16, environment: &[(String, String)]) -> Self {
        let mut environment = environment.to_owned();
        environment.push(("PORT".into(), port.to_string()));
        Self { name, port, environment, process: None }
    }

    /// The service.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it answers, also after it was started again.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it; [`Replica::wait_ready`] waits until it serves.
    ///
    /// # Panics
    /// When there is no such program.
    pub fn spawn(&mut self) {
        self.process = Some(Service::spawn(binary(self.name), ["serve"], self.environment.clone()));
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// When it ends instead, or was not started.
    pub async fn wait_ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/health/ready", self.port);
        self.running().wait_ready(&url).await;
    }

    /// Ends it at once, as a power cut would (SIGKILL). Where it has ended already, nothing happens.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it does not, or was not started.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.running().terminate().await
    }

    /// All it has written since it was last started.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map_or_else(|| "was never started".into(), Service::log)
    }

    /// Its process.
    ///
    /// # Panics
    /// When it was not started.
    pub fn running(&mut self) -> &mut Service {
        self.process.as_mut().unwrap_or_else(|| panic!("{} was not started", self.name))
    }
}
