//! `leadgraph events`: how far the services are with telling each other, and what could not be applied.
//!
//! It works on the databases, whether the services run or not.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use events::{cursor, inbox::parked, outbox};
use serde_json::{Value, json};
use subgraph::{Clock, Db, Subgraph};
use uuid::Uuid;

use crate::{
    services,
    table::{plain, print, table},
};

/// What `leadgraph events` can be told.
#[derive(Args, Clone, Debug)]
pub struct EventsArgs {
    /// Folder of the SQLite files; other databases are configured as for `up`
    #[arg(long, env = "LEADGRAPH_DATA_DIR", default_value = "./data", global = true)]
    pub data_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub what: Events,
}

/// What to do about events.
#[derive(Clone, Debug, Subcommand)]
pub enum Events {
    /// Shows what waits to be published, how far each service has read, and how much is parked
    Status(ShowArgs),
    /// Shows the events that could not be applied, and why
    Parked(ShowArgs),
    /// Has parked events tried again, by the services when they run
    Replay(ReplayArgs),
}

/// What to show, and how.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// Which service [default: all]
    pub service: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to try again.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Which service [default: all]
    pub service: Option<String>,
    /// This event
    #[arg(long, required_unless_present = "all", conflicts_with = "all")]
    pub id: Option<Uuid>,
    /// All that are parked
    #[arg(long)]
    pub all: bool,
}

/// Does it and prints what there is to say.
///
/// # Errors
/// There is no such service or event, or a database cannot be opened.
pub async fn events(EventsArgs { data_dir, what }: &EventsArgs) -> Result<()> {
    let (Events::Status(ShowArgs { service, .. })
    | Events::Parked(ShowArgs { service, .. })
    | Events::Replay(ReplayArgs { service, .. })) = what;
    let mut databases = Vec::new();
    for service in services::named(service.as_deref())? {
        let config = service.config_from([format!("--data-dir={}", data_dir.display())])?;
        let db = service.migrations().open(service.name(), &config).await?;
        databases.push((service, db));
    }
    let lines = match what {
        Events::Status(ShowArgs { json, .. }) => status(&databases, *json).await?,
        Events::Parked(ShowArgs { json, .. }) => parked(&databases, *json).await?,
        Events::Replay(replay) => self::replay(&databases, replay).await?,
    };
    print(&lines).context("cannot print")?;
    Ok(())
}

/// A service and its database, where it has one yet.
type Database = (Subgraph, Option<Db>);

async fn status(databases: &[Database], json: bool) -> Result<Vec<String>> {
    let now = Clock::System.now();
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for (service, db) in databases {
        let Some(db) = db else {
            let none = || "-".to_owned();
            rows.push([service.name().into(), "no database yet".into(), none(), none(), none(), none()]);
            values.push(json!({ "service": service.name(), "database": false }));
            continue;
        };
        let backlog = outbox::backlog(db.read(), now).await?;
        let age = backlog.oldest.map(|oldest| (now - oldest).num_seconds());
        let (parked, read) =
            (parked::count(db.read()).await?, cursor::get(db.read(), cursor::READ_FROM).await?);
        let (log, position) = read.map(|read| (read.log, read.position)).unzip();
        values.push(json!({
            "service": service.name(), "database": true, "unpublished": backlog.depth, "oldestSeconds": age,
            "parked": parked, "log": log, "position": position,
        }));
        rows.push([
            service.name().into(),
            backlog.depth.to_string(),
            age.map_or_else(|| "-".into(), |age| format!("{age} s")),
            parked.to_string(),
            position.map_or_else(|| "-".into(), |position| position.to_string()),
            log.unwrap_or_else(|| "-".into()),
        ]);
    }
    let head = ["SERVICE", "UNPUBLISHED", "OLDEST", "PARKED", "POSITION", "LOG"];
    Ok(if json { vec![format!("{:#}", Value::Array(values))] } else { table(head, &rows) })
}

async fn parked(databases: &[Database], json: bool) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for (service, db) in databases {
        if let Some(db) = db {
            all.extend(parked::list(db.read()).await?.into_iter().map(|event| (service.name(), event)));
        }
    }
    if json {
        let all = all.into_iter().map(|(service, event)| value(service, event)).collect();
        return Ok(vec![format!("{:#}", Value::Array(all))]);
    }
    if all.is_empty() {
        return Ok(vec!["nothing is parked".into()]);
    }
    let rows: Vec<_> = all.iter().map(|(service, event)| row(service, event)).collect();
    Ok(table(["SERVICE", "ID", "TYPE", "SUBJECT", "ATTEMPTS", "SINCE", "REASON"], &rows))
}

fn row(service: &str, event: &parked::Model) -> [String; 7] {
    let word = |text: &str| if text.is_empty() { "-".into() } else { plain(text) };
    let asked = if event.replay_at.is_some() { " (to be tried again)" } else { "" };
    [
        service.into(),
        event.event_id.to_string(),
        word(&event.kind),
        word(&event.subject),
        event.attempts.to_string(),
        seconds(event.parked_at),
        format!("{}{asked}", plain(&event.reason)),
    ]
}

fn value(service: &str, event: parked::Model) -> Value {
    let envelope = serde_json::from_str(&event.envelope).unwrap_or(Value::String(event.envelope));
    json!({
        "service": service, "id": event.event_id, "type": event.kind, "subject": event.subject,
        "attempts": event.attempts, "since": event.parked_at, "reason": event.reason,
        "replayAt": event.replay_at, "envelope": envelope,
    })
}

fn seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn replay(databases: &[Database], replay: &ReplayArgs) -> Result<Vec<String>> {
    let (mut lines, now) = (Vec::new(), Clock::System.now());
    for (service, db) in databases {
        let Some(db) = db else { continue };
        let asked = parked::ask_replay(db.write(), replay.id, now).await?;
        if asked > 0 {
            let them = if asked == 1 { "event is" } else { "events are" };
            lines.push(format!("{}: {asked} {them} tried again as soon as it runs", service.name()));
        }
    }
    ensure!(!lines.is_empty() || replay.all, "no such event is parked; see `leadgraph events parked`");
    if lines.is_empty() {
        lines.push("nothing is parked".into());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_on_its_line() {
        let event = parked::Model {
            event_id: Uuid::nil(),
            kind: String::new(),
            subject: String::new(),
            envelope: "no JSON".into(),
            reason: "bad\nworse\u{1b}[2J".into(),
            attempts: 5,
            parked_at: DateTime::UNIX_EPOCH,
            replay_at: Some(DateTime::UNIX_EPOCH),
        };
        let row = row("leads", &event);
        assert_eq!(row[2..], ["-", "-", "5", "1970-01-01T00:00:00Z", "bad worse [2J (to be tried again)"]);
        assert_eq!(value("leads", event)["envelope"], "no JSON");
    }
}
