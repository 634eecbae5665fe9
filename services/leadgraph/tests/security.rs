//! `docs/security.md` names a test for each threat: there is one of that name.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of a page's tables whose last column is called Tests: the threat, and the names in that column.
fn threats(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    let mut is_about_tests = false;
    for line in page.lines() {
        let cells: Vec<_> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
        match (line.starts_with('|'), cells.last()) {
            (false, _) => is_about_tests = false,
            (true, Some(&"Tests")) => is_about_tests = true,
            (true, Some(tests)) if is_about_tests && !tests.starts_with("---") => {
                let names = tests.split('`').skip(1).step_by(2).map(str::to_owned);
                rows.insert(cells[0].to_owned(), names.collect());
            }
            _ => {}
        }
    }
    rows
}

/// The names of all tests in a file: those with the attribute, and those that a macro makes of a list.
fn tests(text: &str) -> Vec<String> {
    let lists = text.split("on_both_databases!(").skip(1).filter_map(|rest| rest.split(')').next());
    let mut found: Vec<_> =
        lists.flat_map(|list| list.split(',')).map(|name| name.trim().to_owned()).collect();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let function = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ");
        if let Some(function) = function {
            let name = function.split('(').next().unwrap_or_default();
            found.extend(is_test.then(|| name.to_owned()));
            is_test = false;
        }
    }
    found
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_threat_has_a_test_that_exists() {
    let mut files = Vec::new();
    for folder in ["services", "shared", "migrations"] {
        rust_files(&root().join(folder), &mut files);
    }
    let there: BTreeSet<_> =
        files.iter().flat_map(|file| tests(&fs::read_to_string(file).unwrap())).collect();
    let threats = threats(&fs::read_to_string(root().join("docs/security.md")).unwrap());
    let of_the_top_ten = threats.keys().filter(|threat| threat.starts_with("API")).count();
    assert_eq!(of_the_top_ten, 10, "{threats:#?}");
    let mut wrong = Vec::new();
    for (threat, names) in &threats {
        if names.is_empty() {
            wrong.push(format!("{threat}: no test"));
        }
        wrong.extend(
            names.iter().filter(|name| !there.contains(*name)).map(|name| format!("{threat}: no {name}")),
        );
    }
    assert!(wrong.is_empty(), "docs/security.md names tests that do not exist: {wrong:#?}");
}

#[test]
fn rows_and_tests_are_found() {
    let page = "| Threat | What | Tests |\n| --- | --- | --- |\n| A | b `c` | `d`, `e` |\n| B | c | none |\n\n| A | `x` |";
    let expected = [("A".to_owned(), vec!["d".to_owned(), "e".to_owned()]), ("B".to_owned(), vec![])];
    assert_eq!(threats(page), expected.into());
    let text = "testkit::on_both_databases!(\n    listed, too\n);\nfn helper() {}\n#[test]\nfn plain() {}\n\
                #[tokio::test(flavor = \"multi_thread\")]\nasync fn slow() {}\nasync fn other() {}";
    assert_eq!(tests(text), ["listed", "too", "plain", "slow"]);
}
