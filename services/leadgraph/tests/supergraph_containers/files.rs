//! The files around the containers agree with the list of subgraphs, with the programs and with each other.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use leadgraph::supergraph::SupergraphConfig;
use leadgraph::{provision, services};
use serde_json::Value;

use crate::resolved::{self, Condition, Resolved};
use crate::{programs, read, root};

/// What is there beside the services.
const OTHERS: [&str; 5] = ["live", "migrate", "nats", "postgres", "router"];
const FILES: [&str; 3] =
    ["docker-compose.yml", "docker-compose.override.yml", "docker-compose.production.yml"];
/// Read by OpenTelemetry's library and by the router themselves.
const FOREIGN: [&str; 2] = ["OTEL_", "APOLLO_"];

fn subgraphs() -> SupergraphConfig {
    SupergraphConfig::load(&root().join("supergraph.yaml")).expect("the list of subgraphs")
}

fn names() -> BTreeSet<String> {
    subgraphs().subgraphs.into_iter().map(|subgraph| subgraph.name).collect()
}

/// The variables without which production is refused.
pub fn required() -> Vec<&'static str> {
    static FILE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| read(FILES[2]));
    let names = FILE.split("${").skip(1).filter_map(|rest| Some(rest.split_once(":?")?.0));
    let names: BTreeSet<_> = names.filter(|name| is_variable(name)).collect();
    names.into_iter().collect()
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn of_production() -> Resolved {
    let given: Vec<_> = required().into_iter().map(|name| (name, "given".to_owned())).collect();
    resolved::production(&given)
}

#[test]
fn there_is_a_container_for_each_subgraph_and_no_other() {
    let expected: BTreeSet<String> = names().into_iter().chain(OTHERS.map(str::to_owned)).collect();
    for resolved in [resolved::development(&[]), of_production()] {
        let services: BTreeSet<_> = resolved.services.keys().cloned().collect();
        assert_eq!(services, expected, "docker-compose.yml and supergraph.yaml");
        for name in names() {
            let entry = &resolved.services[&name];
            assert_eq!(entry.command, [name.as_str(), "serve"]);
            let check = entry.healthcheck.as_ref().expect("a health check");
            assert_eq!(check.test, ["CMD", &name, "healthcheck"]);
            assert_eq!(entry.restart, "unless-stopped");
            assert_eq!(entry.depends_on["migrate"].condition, Condition::ServiceCompletedSuccessfully);
        }
    }
}

#[test]
fn the_router_and_the_services_look_for_each_subgraph_where_it_is() {
    let router: Value = serde_norway::from_str(&read("router/router.yaml")).expect("YAML");
    let resolved = resolved::development(&[]);
    let overridden = router["override_subgraph_url"].as_object().expect("override_subgraph_url");
    assert_eq!(overridden.keys().cloned().collect::<BTreeSet<_>>(), names());
    for subgraph in subgraphs().subgraphs {
        let (name, variable) = (&subgraph.name, format!("{}_URL", subgraph.name.to_uppercase()));
        let default = format!("${{env.{variable}:-{}}}", subgraph.routing_url);
        assert_eq!(overridden[name], default, "router/router.yaml: {name}: {default}");
        let inside = format!("http://{name}:{}/graphql", subgraph.port());
        for (of, entry) in &resolved.services {
            let given = entry.environment.get(&variable).cloned().flatten();
            assert!(
                OTHERS.contains(&of.as_str()) && of != "router" || given.as_ref() == Some(&inside),
                "{of}: {given:?}"
            );
        }
    }
}

/// Builds of one tag side by side get in each other's way.
#[test]
fn the_image_is_built_once() {
    for resolved in [resolved::development(&[]), of_production()] {
        let ours = resolved.services.iter().filter(|(_, entry)| entry.image == "leadgraph:local");
        assert_eq!(ours.clone().count(), names().len() + 1);
        let built: Vec<_> = resolved.services.iter().filter(|(_, entry)| entry.build.is_some()).collect();
        assert!(matches!(built[..], [(name, _)] if name == "migrate"), "{built:?}");
    }
}

/// With nothing filled in, as it is copied: the router takes an empty value as it is.
#[test]
fn the_example_changes_nothing_in_development() {
    let (without, with) =
        (resolved::development(&[]), resolved::development_with(&root().join(".env.example")));
    let router = |resolved: &Resolved| resolved.services["router"].environment.clone();
    assert_eq!(router(&with), router(&without));
    assert!(router(&with).values().flatten().all(|value| !value.is_empty()));
    let origins = router(&with)["ROUTER_CORS_ORIGINS"].clone().expect("a pattern");
    assert!(
        read("router/router.yaml").contains(&format!(":-{}}}\"]", origins.replace('\\', "\\\\"))),
        "{origins}"
    );
}

#[test]
fn only_this_machine_reaches_what_is_published() {
    let ports = |resolved: &Resolved| {
        let published = resolved.services.values().flat_map(|entry| entry.ports.clone());
        published.map(|port| port.trim_end_matches("/tcp").to_owned()).collect::<BTreeSet<_>>()
    };
    let here = |port: u16| format!("127.0.0.1:{port}:{port}");
    let entrances: BTreeSet<_> = [4000, 4006, 8088].map(here).into();
    assert_eq!(ports(&of_production()), entrances);
    let services = subgraphs().subgraphs.into_iter().map(|subgraph| here(subgraph.port()));
    assert_eq!(ports(&resolved::development(&[])), entrances.into_iter().chain(services).collect());
}

/// What is given and not known would be without effect, in silence.
#[test]
fn every_variable_is_known_to_the_program_that_gets_it() {
    let router = read("router/router.yaml");
    for resolved in [resolved::development(&[]), of_production()] {
        for service in services::all() {
            let command = service.cli();
            let known: BTreeSet<_> =
                command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
            let given = resolved.services[service.name()].environment.keys();
            let urls: BTreeSet<_> =
                names().into_iter().map(|name| format!("{}_URL", name.to_uppercase())).collect();
            let foreign =
                |name: &&String| FOREIGN.iter().any(|it| name.starts_with(it)) || *name == "RUST_LOG";
            let unknown = given.filter(|name| !foreign(name) && !urls.contains(*name));
            let unknown: Vec<_> = unknown.filter(|name| !known.contains(name.as_str())).collect();
            assert!(unknown.is_empty(), "{} does not know {unknown:?}", service.name());
        }
        for name in resolved.services["router"].environment.keys() {
            let foreign = FOREIGN.iter().any(|it| name.starts_with(it));
            assert!(
                foreign || router.contains(&format!("${{env.{name}:-")),
                "the router does not know {name}"
            );
        }
    }
}

#[test]
fn the_example_documents_every_variable() {
    let mut used = BTreeSet::new();
    for text in FILES.map(read) {
        let asked = text.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next());
        used.extend(asked.map(str::to_owned));
        // Those without a value are passed on
        let passed = text.lines().filter_map(|line| line.trim().strip_suffix(':'));
        used.extend(passed.map(str::to_owned));
    }
    used.retain(|name| is_variable(name));
    let example = read(".env.example");
    let lines = example.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    let documented: BTreeSet<_> =
        lines.map(|(name, _)| name.to_owned()).filter(|name| is_variable(name)).collect();
    // Compose's own
    used.insert("COMPOSE_FILE".to_owned());
    assert_eq!(documented, used, ".env.example and what the compose files use");
    let to_set = example.lines().filter_map(|line| line.strip_suffix('='));
    let to_set: BTreeSet<_> = to_set.filter(|name| is_variable(name)).collect();
    assert_eq!(
        to_set,
        required().into_iter().collect(),
        "what .env.example wants a value for, and what production wants"
    );
}

#[test]
fn versions_are_pinned_and_those_that_are_tested() {
    let compose = read(FILES[0]);
    assert!(compose.contains(&format!("image: ghcr.io/apollographql/router:v{}\n", provision::VERSION)));
    let test = read("test");
    let nats = test.lines().find_map(|line| line.strip_prefix("nats_version=")).expect("the version of NATS");
    assert!(compose.contains(&format!("image: nats:{nats}-alpine\n")), "the same NATS as in ./test: {nats}");
    for entry in resolved::development(&[]).services.values() {
        let tag = entry.image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest"), "{}", entry.image);
    }
    let manifest = read("Cargo.toml");
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    assert!(
        read("Dockerfile").contains(&format!("FROM rust:{}-bookworm AS chef\n", rust.expect("a version")))
    );
}

#[test]
fn the_image_has_every_program() {
    let dockerfile = read("Dockerfile");
    for name in names().into_iter().chain(["leadgraph".to_owned()]) {
        assert!(dockerfile.contains(&format!("/build/target/release/{name} \\\n")), "COPY of {name}");
        let words: Vec<_> = dockerfile.split_whitespace().collect();
        let built = words.windows(2).filter(|pair| *pair == ["--package", name.as_str()]).count();
        assert_eq!(built, 2, "--package {name} in both builds");
    }
    let (user, shell) =
        (dockerfile.contains("\nUSER 10001:10001\n"), dockerfile.contains("\nCMD [\"leadgraph\""));
    assert!(user && shell && dockerfile.contains("\nSTOPSIGNAL SIGTERM\n"));
}

#[test]
fn every_service_has_its_role_and_schema() {
    let roles = read("deploy/postgres/roles.sql");
    let production = of_production();
    for name in names() {
        let variable = format!("{}_DB_PASSWORD", name.to_uppercase());
        for line in [
            format!("\\getenv {name}_password {variable}\n"),
            format!("ALTER ROLE {name} PASSWORD :'{name}_password';\n"),
            format!("CREATE SCHEMA IF NOT EXISTS {name} AUTHORIZATION {name};\n"),
        ] {
            assert!(roles.contains(&line), "deploy/postgres/roles.sql: {line}");
        }
        assert!(roles.contains(&format!("'{name}'")), "deploy/postgres/roles.sql makes no role {name}");
        let variable = format!("{}_DATABASE_URL", name.to_uppercase());
        let url = Some(format!("postgres://{name}:given@postgres:5432/leadgraph"));
        assert_eq!(production.services[&name].environment[&variable], url);
        assert_eq!(production.services["migrate"].environment[&variable], url);
    }
}

#[test]
fn the_linters_have_nothing_to_say() {
    let haproxy = root().join("deploy/haproxy.cfg");
    succeeds(&programs::tool("HAPROXY"), &["-c", "-f", &haproxy.display().to_string()]);
    succeeds(&programs::tool("HADOLINT"), &[&root().join("Dockerfile").display().to_string()]);
    let scripts =
        ["deploy/http-ok.sh", "deploy/postgres/init.sh", "deploy/systemd/dump.sh", "deploy/systemd/run.sh"];
    let scripts = scripts.map(|it| root().join(it).display().to_string());
    succeeds(&programs::tool("SHELLCHECK"), &scripts.each_ref().map(String::as_str));
    // With everything that it includes
    let nats = root().join("nats/container.conf").display().to_string();
    succeeds(&programs::tool("NATS_SERVER"), &["-t", "-c", &nats]);
}

fn succeeds(program: &Path, args: &[&str]) {
    let mut command = Command::new(program);
    // One that is a number without the quotes, of which the files add a pair
    command.args(args).env("NATS_PASSWORD", "\"12345\"");
    let output = command.output().expect("the program runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {args:?}:\n{out}{err}", program.display());
}
