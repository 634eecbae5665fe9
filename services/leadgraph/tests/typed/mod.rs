//! The guide's commands for folders, secrets and releases are typed, in a folder that stands for the machine. What asks
//! the network, systemd or the users of the machine is replaced by scripts that write down how they were called.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{read, root, services};

/// What is below the machine's folder instead.
const MOVED: [&str; 5] =
    ["/etc/leadgraph", "/etc/systemd/system", "/opt/leadgraph", "/usr/local/", "/var/lib/leadgraph"];
const RECORDED: [&str; 6] = ["cargo", "chgrp", "chown", "systemctl", "systemd-run", "useradd"];

/// A machine, as far as the commands see one.
struct Machine(TempDir);

impl Machine {
    /// With the source, as it is after a build.
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", ".cargo", "etc/systemd/system", "usr/local/bin", "var/lib"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        fs::write(machine.path(".cargo/env"), "").unwrap();
        let log = machine.path("log");
        for name in RECORDED {
            machine.program(
                &format!("bin/{name}"),
                &format!("echo \"${{0##*/}} $*\" | tr '\\n' ' ' >>{0}; echo >>{0}", log.display()),
            );
        }
        // The user and the group are not there
        let install = "kept=()\nwhile [ $# -gt 0 ]; do case $1 in -o|-g) shift 2 ;; *) kept+=(\"$1\"); shift ;; esac; done\n\
                       exec /usr/bin/install \"${kept[@]}\"";
        machine.program("bin/install", install);
        // Each release another one
        let count = machine.path("count").display().to_string();
        machine.program("bin/date", &format!("echo >>{count}; wc -l <{count}"));
        machine.source();
        machine
    }

    fn source(&self) {
        let source = self.path("usr/local/src/leadgraph");
        fs::create_dir_all(source.join("target/release")).unwrap();
        for folder in ["router", "nats", "deploy"] {
            assert!(
                Command::new("cp")
                    .arg("-r")
                    .arg(root().join(folder))
                    .arg(&source)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        fs::create_dir(source.join("docs")).unwrap();
        for name in services().into_keys().chain(["leadgraph".into()]) {
            self.program(&format!("usr/local/src/leadgraph/target/release/{name}"), "echo \"$0\"");
        }
        self.program("usr/local/src/leadgraph/target/nats/it.data/scripts/nats-server", "");
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    fn program(&self, path: &str, script: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// As one types: a command follows the other, whether or not that one has failed.
    fn types(&self, script: &str) -> Output {
        let script = MOVED.iter().fold(script.to_owned(), |it, from| {
            it.replace(from, &format!("{}{from}", self.0.path().display()))
        });
        let path = env::var_os("PATH").unwrap_or_default();
        let own = [self.path("bin"), self.path("usr/local/bin")];
        let path = env::join_paths(own.into_iter().chain(env::split_paths(&path))).unwrap();
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).env_clear().env("PATH", path).env("HOME", self.0.path());
        shell.current_dir(self.path("usr/local/src/leadgraph")).output().unwrap()
    }

    /// What was called, in order.
    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn current(&self) -> PathBuf {
        fs::read_link(self.path("opt/leadgraph/current")).unwrap()
    }
}

/// The commands under these headings of the guide; under an empty one, its beginning.
fn typed(headings: &[&str]) -> String {
    let page = read("docs/operations.md");
    let (_, guide) = page.split_once("\n## Production on Debian\n").unwrap();
    let guide = guide.split("\n## ").next().unwrap();
    let parts = guide.split("\n### ").map(|part| part.split_once('\n').unwrap());
    let parts: Vec<_> =
        parts.enumerate().map(|(i, (heading, text))| (if i == 0 { "" } else { heading }, text)).collect();
    let commands = headings.iter().flat_map(|heading| {
        let (_, text) = parts.iter().find(|(it, _)| it == heading).unwrap_or_else(|| panic!("no {heading}"));
        text.split("```sh\n").skip(1).filter_map(|it| it.split("```").next())
    });
    commands.collect()
}

fn installed() -> Machine {
    let machine = Machine::new();
    let guide = typed(&["", "Users and folders", "Secrets"]);
    succeeds(&machine.types(&format!("set -e\nrouter=target/release/leadgraph\n{guide}")));
    machine
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_secrets_are_for_root_and_the_services() {
    let machine = installed();
    assert_eq!(mode(&machine.path("etc/leadgraph")), 0o750);
    let files = fs::read_dir(machine.path("etc/leadgraph")).unwrap().map(|it| it.unwrap().path());
    let files: Vec<_> = files.collect();
    assert_eq!(files.len(), services().len() + 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o640, "{}", file.display());
    }
    assert_eq!(mode(&machine.path("var/lib/leadgraph/jwt-signing-key.pem")), 0o600);
    // A pair of quotes is systemd's, the other the broker's
    let broker = fs::read_to_string(machine.path("etc/leadgraph/nats.env")).unwrap();
    let password = broker.trim().strip_prefix("NATS_PASSWORD='\"").and_then(|it| it.strip_suffix("\"'"));
    let common = fs::read_to_string(machine.path("etc/leadgraph/leadgraph.env")).unwrap();
    assert!(common.contains(&format!("//leadgraph:{}@", password.expect("quotes"))), "{broker}{common}");
    let router = fs::read_to_string(machine.path("etc/leadgraph/router.env")).unwrap();
    assert!(router.contains("ROUTER_CORS_ORIGINS='^https://crm[.]example[.]com\\z'\n"), "{router}");
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one_once_it_is_whole() {
    let machine = installed();
    let first = machine.current();
    succeeds(&machine.types(&typed(&["A new version, and back"])));
    let second = machine.current();
    assert_ne!(first, second);
    for name in services().into_keys().chain(["leadgraph", "router", "nats-server"].map(str::to_owned)) {
        assert_eq!(mode(&second.join("bin").join(&name)), 0o755, "{name}");
    }
    let log = machine.log();
    let at = |start: &str| {
        log.iter().position(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{log:?}"))
    };
    let (backup, migration) = (at("systemctl start leadgraph-backup.service"), at("systemd-run "));
    assert!(
        backup < migration && migration < at("systemctl restart leadgraph-nats.service leadgraph.target")
    );
    for file in services().into_keys().chain(["leadgraph".into()]) {
        let file = format!("EnvironmentFile=/etc/leadgraph/{file}.env ");
        assert!(log[migration].contains(&file), "{file}: {}", log[migration]);
    }
    assert!(log[migration].ends_with(&format!(" {}/bin/leadgraph migrate up", second.display())), "{log:?}");

    fs::remove_file(machine.path("usr/local/src/leadgraph/target/release/tasks")).unwrap();
    assert!(!machine.types(&typed(&["A new version, and back"])).status.success());
    assert_eq!(
        (machine.current(), machine.log().len()),
        (second, log.len() + 1),
        "cargo was called, and nothing else"
    );
}
