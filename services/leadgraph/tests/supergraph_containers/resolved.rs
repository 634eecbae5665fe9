//! What docker-compose makes of the compose files: `docker-compose config`, as 1.29 prints it; ./test insists on that one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde::Deserialize;

use crate::root;

/// The files of production; development has those that are read when none is named.
const PRODUCTION: [&str; 4] = ["-f", "docker-compose.yml", "-f", "docker-compose.production.yml"];

/// All containers.
#[derive(Clone, Debug, Deserialize)]
pub struct Resolved {
    pub services: BTreeMap<String, Entry>,
}

/// One container.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub image: String,
    pub build: Option<serde_json::Value>,
    #[serde(default)]
    pub command: Vec<String>,
    /// Null is what is passed on when it is set, and is not set.
    #[serde(default)]
    pub environment: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
    pub healthcheck: Option<Healthcheck>,
    #[serde(default)]
    pub ports: Vec<String>,
    #[serde(default)]
    pub volumes: Vec<String>,
    pub restart: String,
}

/// What has to be before a container starts.
#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    pub condition: Condition,
}

/// When another container is as far as it has to be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    ServiceCompletedSuccessfully,
    ServiceHealthy,
}

/// How a container is asked whether it is well.
#[derive(Clone, Debug, Deserialize)]
pub struct Healthcheck {
    pub test: Vec<String>,
}

/// What it says of the files of development with these variables, and no others.
pub fn development(variables: &[(&str, String)]) -> Resolved {
    parsed(&config(&[], variables))
}

/// The same with a file of variables instead.
pub fn development_with(file: &Path) -> Resolved {
    parsed(&config_with(file, &[], &[]))
}

/// The same with the files of production.
pub fn production(variables: &[(&str, String)]) -> Resolved {
    parsed(&config(&PRODUCTION, variables))
}

/// Why the files of production are refused with these variables.
pub fn production_refusal(variables: &[(&str, String)]) -> String {
    let output = config(&PRODUCTION, variables);
    assert!(!output.status.success(), "it is not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn config(files: &[&str], variables: &[(&str, String)]) -> Output {
    // Without the .env of whoever runs the tests
    let nothing = tempfile::NamedTempFile::new().expect("a temporary file");
    config_with(nothing.path(), files, variables)
}

fn config_with(env_file: &Path, files: &[&str], variables: &[(&str, String)]) -> Output {
    let kept = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut compose = Command::new("docker-compose");
    compose.arg("--env-file").arg(env_file).args(files).arg("config").current_dir(root());
    compose.env_clear().envs(kept).envs(variables.iter().map(|(name, value)| (name, value)));
    compose.output().expect("docker-compose, which ./test installs")
}

fn parsed(output: &Output) -> Resolved {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_norway::from_slice(&output.stdout).expect("what docker-compose prints is of this form")
}
