//! `leadgraph backup` in the middle of everything: what it takes is one moment, and becomes a working system again.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod backups;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use backups::{Moment, backup, command, says_no};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Load, Service, Stack, eventually, stack::Databases};

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("leadgraph-backup-").tempdir().expect("a folder")
}

/// The documented commands, typed in a folder of this name, where `data` and `backups` are.
fn type_in(folder: &Path, heading: &str) {
    let script = backups::documented(heading);
    backups::type_in(folder, &script, &[]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Something large, so that a backup takes long enough to be caught.
async fn ballast(databases: &Databases) {
    let sql = "CREATE TABLE ballast AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 96) \
               SELECT randomblob(1048576) AS stone FROM n";
    databases.execute("interactions", sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_under_load_it_is_one_moment_and_starts_again() {
    let folder = folder();
    let data = folder.path().join("data");
    let stack = Stack::embedded_in(&data).await;
    let load = Load::start(stack.client(), 51, 4);
    load.more(30).await;
    for number in 0..6 {
        let taken = folder.path().join(format!("backup-{number}"));
        backup(&data, &taken);
        load.more(10).await;
        let moment = Moment::load(&taken).await;
        assert_eq!(moment.broken(), Vec::<String>::new());
        assert!(moment.events > 100, "{} events", moment.events);
    }
    type_in(folder.path(), "A backup");
    load.more(20).await;
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
    stack.databases().close().await;
    drop(stack);
    let later = fs::read(data.join("leads.sqlite")).unwrap();
    type_in(folder.path(), "Restoring it");
    assert!(fs::read(data.join("leads.sqlite")).unwrap() != later, "it is the one of before");
    let stack = Stack::embedded_in(&data).await;
    stack.verify().await;
    stack.client().create_lead("Afterwards").await;
    stack.verify().await;
}

/// What makes it one moment: copies of several moments are found out.
#[tokio::test(flavor = "multi_thread")]
async fn copies_one_after_the_other_are_no_moment() {
    let folder = folder();
    let data = folder.path().join("data");
    let stack = Stack::embedded_in(&data).await;
    let load = Load::start(stack.client(), 52, 4);
    load.more(10).await;
    let (early, late) = (folder.path().join("early"), folder.path().join("late"));
    backup(&data, &early);
    load.more(60).await;
    load.finish().await;
    stack.verify().await;
    backup(&data, &late);
    for service in ["leads", "interactions"] {
        let file = format!("{service}.sqlite");
        fs::copy(early.join(&file), late.join(&file)).unwrap();
    }
    let broken = Moment::load(&late).await.broken();
    assert!(broken.iter().any(|it| it.contains("names the lead")), "{broken:?}");
    assert!(broken.iter().any(|it| it.contains("which nobody")), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_in_it_and_keeps_it_to_the_owner() {
    let folder = folder();
    let data = folder.path().join("data");
    drop(Stack::embedded_in(&data).await);
    // Nobody is running: the services' variable is their key's only place, so there is no file of it
    let taken = folder.path().join("backups/one");
    let said = backup(&data, &taken);
    let last = said.lines().last().unwrap();
    assert!(last.contains("is complete; writers waited for "), "{said}");
    let manifest: Value = serde_json::from_slice(&fs::read(taken.join("backup.json")).unwrap()).unwrap();
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["keys"], serde_json::json!(["jwt-signing-key.pem"]));
    let databases = manifest["databases"].as_array().unwrap();
    let mut expected = vec!["backup.json".to_owned(), "jwt-signing-key.pem".to_owned()];
    for database in databases {
        let file = database["file"].as_str().unwrap();
        let path = taken.join(file);
        assert_eq!(fs::metadata(&path).unwrap().len(), database["size"].as_u64().unwrap());
        let sum = std::process::Command::new("sha256sum").arg(&path).output().unwrap();
        assert!(sum.stdout.starts_with(database["sha256"].as_str().unwrap().as_bytes()), "{file}");
        expected.push(file.to_owned());
    }
    expected.sort();
    assert_eq!(names(&taken), expected);
    for name in names(&taken) {
        assert_eq!(fs::metadata(taken.join(&name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(&taken).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(databases.len(), 6);
    assert_eq!(databases[1]["migration"], "0012_lead_search");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_leaves_nothing_that_looks_whole() {
    let folder = folder();
    let (data, taken) = (folder.path().join("data"), folder.path().join("backup"));
    let partial = folder.path().join("backup.partial");
    let stack = Stack::embedded_in(&data).await;
    ballast(stack.databases()).await;
    let load = Load::start(stack.client(), 53, 2);
    let copying = || partial.join("interactions.sqlite").exists();
    let mut killed = Service::spawn(command(), backups::args(&data, &taken), [("LANG", "C")]);
    eventually("it copies", Duration::from_secs(20), || async { copying() }).await;
    killed.kill();
    assert!(partial.exists() && !taken.exists(), "{:?}: {}", names(folder.path()), killed.log());
    load.more(10).await;
    // A stop is not a kill: it tidies up
    let other = folder.path().join("other");
    let copying = || folder.path().join("other.partial/interactions.sqlite").exists();
    let mut stopped = Service::spawn(command(), backups::args(&data, &other), [("LANG", "C")]);
    eventually("it copies", Duration::from_secs(20), || async { copying() }).await;
    assert!(!stopped.terminate().await.success());
    assert!(stopped.log().contains("stopped before the backup was complete"), "{}", stopped.log());
    assert_eq!(names(folder.path()), ["backup.partial", "data"]);
    load.more(10).await;
    backup(&data, &taken);
    assert_eq!(names(folder.path()), ["backup", "data"]);
    assert_eq!(Moment::load(&taken).await.broken(), Vec::<String>::new());
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_meanwhile_changes_nothing() {
    let folder = folder();
    let (data, taken) = (folder.path().join("data"), folder.path().join("backup"));
    let partial = folder.path().join("backup.partial");
    let mut stack = Stack::embedded_in(&data).await;
    ballast(stack.databases()).await;
    let load = Load::start(stack.client(), 54, 3);
    load.more(20).await;
    let mut running = Service::spawn(command(), backups::args(&data, &taken), [("LANG", "C")]);
    eventually("it copies", Duration::from_secs(20), || async { partial.join("accounts.sqlite").exists() })
        .await;
    for service in ["leads", "scoring"] {
        stack.kill(service);
    }
    eventually("it ends", Duration::from_secs(40), || {
        let ended = !running.is_running();
        async move { ended }
    })
    .await;
    assert!(taken.join("backup.json").exists(), "{}", running.log());
    for service in ["leads", "scoring"] {
        stack.restart(service).await;
    }
    assert_eq!(Moment::load(&taken).await.broken(), Vec::<String>::new());
    let ledger = load.finish().await;
    stack.verify().await;
    ledger.verify(stack.databases()).await;
    // Restored beside the one that runs
    let restored = folder.path().join("restored");
    fs::create_dir(&restored).unwrap();
    for name in names(&taken) {
        fs::copy(taken.join(&name), restored.join(&name)).unwrap();
    }
    Stack::embedded_in(&restored).await.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_nothing_stays() {
    let folder = folder();
    let (data, taken) = (folder.path().join("data"), folder.path().join("backup"));
    says_no(&data, &taken, &[], &format!("accounts has no database at {}/accounts.sqlite", data.display()));
    drop(Stack::embedded_in(&data).await);
    let postgres = [("TASKS_DATABASE_URL", "postgres://localhost/crm")];
    says_no(&data, &taken, &postgres, "tasks is on Postgres, which has a backup of its own: pg_dump");
    says_no(&data, &data, &[], "is there already; choose another name");
    fs::write(folder.path().join("file"), "").unwrap();
    says_no(&data, &folder.path().join("file"), &[], "cannot read ");
    // As a full disk, of which half a database is written
    let cut = backups::with_small_files(&data, &taken);
    assert!(cut.contains("cannot back up accounts: cannot write "), "{cut}");
    // The last one to close a database brings its log into the file
    backup(&data, &folder.path().join("first"));
    assert!(!data.join("leads.sqlite-wal").exists());
    let whole = fs::read(data.join("leads.sqlite")).unwrap();
    let mut damaged = whole.clone();
    damaged[4096..16384].fill(7);
    for (content, why) in [
        (
            &b"no database at all, and longer than a header of one would be................................"
                [..],
            "cannot read the database of leads, ",
        ),
        (b"", "this is no database of leads: nothing was ever migrated"),
        (&damaged, "cannot back up leads: the database is damaged: "),
    ] {
        fs::write(data.join("leads.sqlite"), content).unwrap();
        says_no(&data, &taken, &[], why);
    }
    assert_eq!(names(folder.path()), ["data", "file", "first"]);
    fs::write(data.join("leads.sqlite"), whole).unwrap();
    backup(&data, &taken);
}
