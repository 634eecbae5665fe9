//! Scenarios: files of operations on a service, and the answers it must give on both databases.
//!
//! A file `tests/queries/<topic>.graphql` begins with a comment that says what it shows. Its steps begin with a
//! line `#> as ROLE` (ADMIN, MANAGER, SALES_REP: users 1, 2, 3; or nobody), then comes one operation. `#> sql`
//! is a statement on the service's own database, for rows that others write; a SELECT shows its rows, and what is
//! in `envelope` as JSON. `#> event` tells what happened in another service, through the bus, and waits until the
//! service has dealt with it. Its text is JSON: `type`, `data` and, where it matters, `subject`, `version`,
//! `actor` (else `user:1`), `batch` (`["UUID", 3]`) and `id` (else one that follows from the step's number). The
//! answer is `applied`, `parked: ` with the reason, or `not consumed`.
//!
//! `; advance 2h` after any of these moves the clock first, which stands at 2026-01-15T12:00:00Z. In a step's text
//! `{{x 256}}` is `x` 256 times, and `{{uuid ..}}` a UUID as the database writes it. `demo.graphql` is played on
//! the service's demo data, every other file on an empty database.

mod event;
mod stage;
mod step;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use insta::{Settings, assert_snapshot};
use subgraph::Subgraph;
use tokio::runtime::Runtime;

use crate::TestDatabase;
use stage::{Peers, Stage};
use step::Step;

/// Plays every scenario of the service in `manifest_dir`, through its HTTP server, on a fresh database of each
/// kind. The answers must be the same on both, and those of `tests/snapshots/<topic>.snap`. The services it asks
/// are real processes with demo data.
///
/// # Panics
/// When an answer differs, a table differs from its entity, or there is no scenario.
pub fn scenarios(subgraph: &Subgraph, manifest_dir: &str) {
    let folder = Path::new(manifest_dir).join("tests/queries");
    let files = files(&folder);
    assert!(!files.is_empty(), "there is no scenario in {}", folder.display());
    let runtime = Runtime::new().expect("a runtime");
    let peers = runtime.block_on(Peers::start(subgraph));
    for database in TestDatabase::both() {
        runtime.block_on(stage::check_tables(subgraph, &database, &peers));
    }
    // One run tells all that is broken
    let failed = files.iter().filter(|file| {
        let play = || verify(subgraph, file, &peers, &runtime);
        catch_unwind(AssertUnwindSafe(play)).is_err()
    });
    let failed: Vec<_> = failed.map(|file| file.display().to_string()).collect();
    assert!(failed.is_empty(), "these scenarios failed, see above:\n{}", failed.join("\n"));
}

/// The scenarios of a service, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "graphql")).collect();
    files.sort();
    files
}

fn verify(subgraph: &Subgraph, file: &Path, peers: &Peers, runtime: &Runtime) {
    let fail = |error: String| -> ! { panic!("{}: {error}", file.display()) };
    let steps = fs::read_to_string(file).map_err(|error| error.to_string()).and_then(|text| Step::all(&text));
    let steps = steps.unwrap_or_else(|error| fail(error));
    let played = |database| {
        let demo = file.ends_with("demo.graphql");
        let stage = Stage::set(subgraph, &database, peers, demo);
        let played = runtime.block_on(async { play(stage.await, &steps).await });
        played.unwrap_or_else(|error| fail(format!("{:?}: {error}", database.backend())))
    };
    let [sqlite, postgres] = [TestDatabase::sqlite(), TestDatabase::postgres()].map(played);
    if let Some(difference) = difference(&sqlite, &postgres) {
        fail(difference);
    }
    compare(file, &sqlite);
}

async fn play(mut stage: Stage, steps: &[Step]) -> Result<String, String> {
    let mut text = String::new();
    for step in steps {
        let answer = stage.play(step).await.map_err(|error| format!("{}\n{error}", step.title()))?;
        text.extend([&step.title(), "\n", &answer, "\n\n"]);
    }
    stage.strike().await;
    Ok(text)
}

/// Where two plays part, with the step it is in.
fn difference(sqlite: &str, postgres: &str) -> Option<String> {
    let (mut ours, mut theirs) = (sqlite.lines(), postgres.lines());
    let mut before = Vec::new();
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return None,
            (Some(one), Some(other)) if one == other => before.push(one),
            (one, other) => {
                let step = before.iter().rposition(|line| line.starts_with("#>")).unwrap_or_default();
                let [one, other] = [one, other].map(|line| line.unwrap_or("(the end)"));
                let shared = before[step..].join("\n");
                return Some(format!("the databases differ:\n{shared}\nSQLite:   {one}\nPostgres: {other}"));
            }
        }
    }
}

/// Compares with the kept snapshot, as insta is told to.
fn compare(file: &Path, text: &str) {
    let (queries, name) = (file.parent().unwrap_or(file), file.file_stem().unwrap_or_default());
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(queries.with_file_name("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_snapshot!(name.to_string_lossy().into_owned(), text));
}

/// Compares `schema.graphql` in `manifest_dir` with the schema that the program has, and brings it up to date.
///
/// # Panics
/// When it was not.
pub fn schema_is_committed(subgraph: &Subgraph, manifest_dir: &str) {
    let path = Path::new(manifest_dir).join("schema.graphql");
    let schema = subgraph.sdl();
    if fs::read_to_string(&path).is_ok_and(|committed| committed == schema) {
        return;
    }
    fs::write(&path, schema).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    panic!("rewrote {}; commit it and run `cargo compose`", path.display());
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_names_its_step() {
        assert_eq!(difference("#> a\n1\n", "#> a\n1\n"), None);
        let said = difference("#> a\n1\n#> b\nx\n2\n", "#> a\n1\n#> b\nx\n3\n").unwrap();
        assert_eq!(said, "the databases differ:\n#> b\nx\nSQLite:   2\nPostgres: 3");
        assert!(difference("1\n", "1\n2\n").unwrap().contains("SQLite:   (the end)"));
    }
}
