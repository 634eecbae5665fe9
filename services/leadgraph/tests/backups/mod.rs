//! Making backups, looking into them, and typing what the documentation says about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sea_orm::FromQueryResult;
use testkit::{binary, stack::Databases, supergraph::SERVICES};
use uuid::Uuid;

/// The program.
pub fn command() -> PathBuf {
    env!("CARGO_BIN_EXE_leadgraph").into()
}

/// What it is told.
pub fn args(data: &Path, to: &Path) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    vec!["backup".into(), text(to), "--data-dir".into(), text(data)]
}

fn run(data: &Path, to: &Path, more: &[(&str, &str)]) -> Output {
    let mut command = Command::new(command());
    command.args(args(data, to)).env_clear().envs(more.iter().copied());
    command.output().expect("the program runs")
}

/// Makes a backup; what the program prints.
pub fn backup(data: &Path, to: &Path) -> String {
    let output = run(data, to, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A backup that must not be made, with a reason that holds this.
pub fn says_no(data: &Path, to: &Path, more: &[(&str, &str)], why: &str) {
    let output = run(data, to, more);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("leadgraph: ") && said.contains(why), "{said:?} has no {why:?}");
}

/// What a program says that cannot write files of more than 40 kB.
pub fn with_small_files(data: &Path, to: &Path) -> String {
    let script = "trap '' XFSZ; ulimit -f 40; exec \"$@\"";
    let mut shell = Command::new("bash");
    shell.args(["-c", script, "-"]).arg(command()).args(args(data, to)).env_clear();
    let output = shell.output().expect("bash");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The shell commands under this heading of the documentation's section on backups.
pub fn documented(heading: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let page = fs::read_to_string(page).expect("docs/operations.md");
    let (_, section) = page.split_once("\n## Backup\n").expect("a section on backups");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (_, part) =
        section.split_once(&format!("\n#### {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let part = part.split("\n###").next().unwrap_or_default();
    let blocks = part.split("```sh\n").skip(1).filter_map(|it| it.split("```").next());
    let script: String = blocks.collect();
    assert!(!script.is_empty(), "{heading} has no commands");
    script
}

/// Types commands in a folder, with the programs of this build in the `PATH`.
pub fn type_in(folder: &Path, script: &str, more: &[(&str, &str)]) {
    let programs = binary("leadgraph").parent().expect("a folder").to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path))).expect("a PATH");
    let mut shell = Command::new("bash");
    shell.args(["-ec", script]).current_dir(folder).env_clear().env("PATH", path);
    let typed = shell.envs(more.iter().copied()).output().expect("bash");
    let said = String::from_utf8_lossy(&typed.stderr);
    assert!(typed.status.success(), "{script}\n{}{said}", String::from_utf8_lossy(&typed.stdout));
}

/// What the databases of a backup know of each other.
pub struct Moment {
    /// How many events they have told.
    pub events: usize,
    told: BTreeSet<Uuid>,
    heard: Vec<(&'static str, Uuid)>,
    leads: BTreeMap<i32, i32>,
    removed: BTreeSet<i32>,
    belongings: Vec<(&'static str, i32, i32)>,
    views: Vec<(&'static str, i32, i32)>,
}

#[derive(FromQueryResult)]
struct Event {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct Pair {
    id: i32,
    other: i32,
}

#[derive(FromQueryResult)]
struct Removed {
    id: String,
}

impl Moment {
    /// Reads a backup as it is.
    pub async fn load(folder: &Path) -> Self {
        // What opens them may leave files beside them
        let copies = tempfile::tempdir().expect("a folder");
        for service in SERVICES {
            let file = format!("{service}.sqlite");
            fs::copy(folder.join(&file), copies.path().join(&file)).expect("a database of the backup");
        }
        let databases = Databases::sqlite(copies.path());
        let (mut told, mut heard) = (BTreeSet::new(), Vec::new());
        for service in SERVICES {
            let outbox: Vec<Event> = rows(&databases, service, "SELECT id FROM outbox").await;
            told.extend(outbox.into_iter().map(|it| it.id));
            let inbox: Vec<Event> = rows(&databases, service, "SELECT event_id AS id FROM inbox").await;
            heard.extend(inbox.into_iter().map(|it| (service, it.id)));
        }
        let leads = pairs(&databases, "leads", "SELECT id, version AS other FROM lead").await;
        let gone = "SELECT entity_id AS id FROM audit_log WHERE action = 'lead.removed'";
        let gone: Vec<Removed> = rows(&databases, "leads", gone).await;
        let mut belongings = Vec::new();
        for (service, table) in [("interactions", "interaction"), ("tasks", "task")] {
            let sql = format!("SELECT id, lead_id AS other FROM {table}");
            let found = pairs(&databases, service, &sql).await;
            belongings.extend(found.into_iter().map(|(id, lead)| (service, id, lead)));
        }
        let mut views = Vec::new();
        for service in ["interactions", "tasks", "scoring", "notifications"] {
            let sql = "SELECT id, version AS other FROM lead_view WHERE removed_at IS NULL";
            let found = pairs(&databases, service, sql).await;
            views.extend(found.into_iter().map(|(id, version)| (service, id, version)));
        }
        databases.close().await;
        Self {
            events: told.len(),
            told,
            heard,
            leads: leads.into_iter().collect(),
            removed: gone.into_iter().filter_map(|it| it.id.parse().ok()).collect(),
            belongings,
            views,
        }
    }

    /// What cannot be so at any moment.
    pub fn broken(&self) -> Vec<String> {
        let heard = self.heard.iter().filter(|(_, id)| !self.told.contains(id));
        let mut broken: Vec<_> =
            heard.map(|(service, id)| format!("{service} has applied {id}, which nobody has told")).collect();
        let known = |lead: &i32| self.leads.contains_key(lead) || self.removed.contains(lead);
        let lost = self.belongings.iter().filter(|(.., lead)| !known(lead));
        broken.extend(
            lost.map(|(service, id, lead)| {
                format!("{service}: {id} names the lead {lead}, which is not there")
            }),
        );
        for (service, id, version) in &self.views {
            let owned = self.leads.get(id);
            if !self.removed.contains(id) && owned.is_none_or(|owned| owned < version) {
                broken.push(format!(
                    "{service} sees version {version} of the lead {id}, of which there is {owned:?}"
                ));
            }
        }
        broken
    }
}

async fn rows<T: FromQueryResult>(databases: &Databases, service: &str, sql: &str) -> Vec<T> {
    databases.rows(service, sql).await.unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
}

async fn pairs(databases: &Databases, service: &str, sql: &str) -> Vec<(i32, i32)> {
    let found: Vec<Pair> = rows(databases, service, sql).await;
    found.into_iter().map(|it| (it.id, it.other)).collect()
}
