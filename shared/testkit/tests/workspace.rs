//! Rules of the workspace that no compiler checks. What fails says which line to write.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The one crate that knows every service.
const ALL_IN_ONE: &str = "leadgraph";

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
});

/// A crate of the workspace.
struct Member {
    name: String,
    /// Its folder from the root, such as `services/leads`.
    folder: String,
    /// The folders of the crates of ours it depends on, also for its tests.
    uses: BTreeSet<String>,
}

fn members() -> Vec<Member> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(&*ROOT);
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(member).collect()
}

fn member(package: &Value) -> Member {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let manifest = text(&package["manifest_path"]).expect("a path");
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    Member {
        name: text(&package["name"]).expect("a name"),
        folder: from_root(Path::new(&manifest).parent().expect("a folder")),
        uses: dependencies
            .iter()
            .filter_map(|it| text(&it["path"]))
            .map(|path| from_root(Path::new(&path)))
            .collect(),
    }
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(&*ROOT).expect("a path in the workspace").display().to_string()
}

fn read(path: &str) -> String {
    fs::read_to_string(ROOT.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of the subgraphs by their folders.
fn services() -> BTreeSet<String> {
    let entries = fs::read_dir(ROOT.join("services")).expect("services/").flatten();
    let folders = entries.filter(|entry| entry.path().join("Cargo.toml").is_file());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != ALL_IN_ONE).collect()
}

/// Every Rust file below `folder`, a path from the root.
fn rust_files(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(ROOT.join(folder)) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = from_root(&entry.path());
        if entry.path().is_dir() {
            files.extend(rust_files(&path));
        } else if entry.path().extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files
}

#[track_caller]
fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn a_service_knows_shared_code_and_its_migrations_but_no_other_service() {
    let allowed = |it: &str| it == "migrations" || it.starts_with("shared/");
    let mut broken = Vec::new();
    for member in members().iter().filter(|member| member.name != ALL_IN_ONE) {
        for other in member.uses.iter().filter(|other| !allowed(other)) {
            broken.push(format!(
                "{}/Cargo.toml: remove {other}; services meet in the graph and in events",
                member.folder
            ));
        }
    }
    assert_none(&broken);
}

#[test]
fn the_all_in_one_binary_knows_every_service() {
    let members = members();
    let all_in_one = members.iter().find(|member| member.name == ALL_IN_ONE).expect("services/leadgraph");
    let missing =
        services().into_iter().filter(|name| !all_in_one.uses.contains(&format!("services/{name}")));
    assert_none(
        &missing
            .map(|name| format!("services/leadgraph/Cargo.toml: add `{name}.workspace = true`"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let has_them = |manifest: &str| {
        manifest
            .lines()
            .skip_while(|line| line.trim() != "[lints]")
            .nth(1)
            .is_some_and(|line| line.trim() == "workspace = true")
    };
    let without = members()
        .into_iter()
        .map(|member| format!("{}/Cargo.toml", member.folder))
        .filter(|path| !has_them(&read(path)));
    assert_none(
        &without.map(|path| format!("{path}: add `[lints]` and `workspace = true`")).collect::<Vec<_>>(),
    );
}

/// A pin on async-graphql alone resolves its siblings to another release, which does not fit.
#[test]
fn async_graphql_is_one_release() {
    let lock = read("Cargo.lock");
    let mut broken = Vec::new();
    for name in ["async-graphql", "async-graphql-derive", "async-graphql-parser", "async-graphql-value"] {
        let mut lines = lock.lines();
        let header = format!("name = \"{name}\"");
        let versions: Vec<_> = std::iter::from_fn(|| {
            lines.find(|line| *line == header)?;
            lines.next()
        })
        .collect();
        if versions != ["version = \"7.0.19\""] {
            broken.push(format!(
                "Cargo.lock holds {name} {versions:?}: run `cargo update -p {name} --precise 7.0.19`"
            ));
        }
    }
    assert_none(&broken);
}

#[test]
fn supergraph_yaml_lists_every_service_and_no_other() {
    let list: Value = serde_norway::from_str(&read("supergraph.yaml")).expect("YAML");
    let listed: BTreeSet<String> =
        list["subgraphs"].as_object().expect("subgraphs").keys().cloned().collect();
    let services = services();
    let missing = services.difference(&listed).map(|name| {
        format!(
            "supergraph.yaml: add\n  {name}:\n    routing_url: http://127.0.0.1:PORT/graphql\n    \
             schema: {{ file: services/{name}/schema.graphql }}"
        )
    });
    let stale = listed
        .difference(&services)
        .map(|name| format!("supergraph.yaml: remove {name}, or add services/{name}"));
    assert_none(&missing.chain(stale).collect::<Vec<_>>());
}

#[test]
fn the_picture_of_the_architecture_shows_every_service() {
    let picture = read("docs/architecture.svg");
    let list: Value = serde_norway::from_str(&read("supergraph.yaml")).expect("YAML");
    let port = |name: &str| {
        let url = list["subgraphs"][name]["routing_url"].as_str().expect("an address");
        url.trim_start_matches("http://127.0.0.1").split('/').next().unwrap_or_default().to_owned()
    };
    let shows = |word: &str| picture.contains(&format!(">{word}</text>"));
    let missing = services().into_iter().filter(|name| !shows(name) || !shows(&port(name)));
    assert_none(&missing.collect::<Vec<_>>());
}

#[test]
fn every_service_has_its_module_of_migrations() {
    let lib = read("migrations/src/lib.rs");
    let declared: BTreeSet<String> = lib
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    let services = services();
    let missing =
        services.difference(&declared).map(|name| format!("migrations/src/lib.rs: add `pub mod {name};`"));
    let stale = declared
        .difference(&services)
        .map(|name| format!("migrations/src/lib.rs: remove `pub mod {name};`, or add services/{name}"));
    assert_none(&missing.chain(stale).collect::<Vec<_>>());
}

/// The chassis is all a subgraph is except its nouns. `task` is a word of the runtime, too: only names that can
/// mean nothing else count.
#[test]
fn the_chassis_holds_no_noun_of_the_product() {
    const WORDS: [&str; 9] = [
        "lead",
        "leads",
        "interaction",
        "interactions",
        "score",
        "scores",
        "scoring",
        "notification",
        "notifications",
    ];
    const NAMES: [&str; 6] = ["Task", "Tasks", "TaskStatus", "TaskType", "task_id", "tasks"];
    let mut broken = Vec::new();
    for path in rust_files("shared/subgraph/src") {
        for (number, line) in (1..).zip(read(&path).lines()) {
            // Prose may say what leads to what
            let code = line.split("//").next().unwrap_or_default();
            let names = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            for name in names.filter(|name| {
                NAMES.contains(name) || words(name).iter().any(|word| WORDS.contains(&word.as_str()))
            }) {
                broken.push(format!("{path}:{number}: `{name}` belongs in a service"));
            }
        }
    }
    assert_none(&broken);
}

/// The words of `a_name` and of `AName`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        words.last_mut().expect("at least one").extend(letter.to_lowercase().filter(|it| *it != '_'));
        after_lower = letter.is_lowercase();
    }
    words
}

#[test]
fn no_file_is_longer_than_450_lines() {
    let mut broken = Vec::new();
    for folder in members().into_iter().map(|member| format!("{}/src", member.folder)) {
        for path in rust_files(&folder) {
            let lines = read(&path).lines().count();
            if lines > 450 {
                broken.push(format!("{path}: {lines} lines, split it by what it is about"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn the_test_supergraph_starts_every_service() {
    let started: BTreeSet<String> = testkit::supergraph::SERVICES.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(started, services(), "SERVICES in shared/testkit/src/supergraph.rs lists every subgraph");
}
