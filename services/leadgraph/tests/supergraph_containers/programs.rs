//! What an image starts: the programs that are in it, as they are on this machine.

use std::path::{Path, PathBuf};

use testkit::binary;
use testkit::supergraph::router_binary;

/// The program and its arguments for a command in a container of this image, or for one of its health checks.
pub fn program(image: &str, command: &[String]) -> (PathBuf, Vec<String>) {
    // This image has an entry point, which takes the command as arguments
    if image.starts_with("ghcr.io/apollographql/router:") {
        return (router_binary(), command.to_vec());
    }
    let (program, args) = command.split_first().expect("a container has a command");
    (named(image, program), args.to_vec())
}

/// A program by the name that it has in a container of this image.
pub fn named(image: &str, program: &str) -> PathBuf {
    match (image.split([':', '/']).next(), program) {
        (Some("leadgraph"), _) => binary(program),
        (Some("haproxy"), "haproxy") => tool("HAPROXY"),
        (Some("nats"), "nats-server") => tool("NATS_SERVER"),
        // A script that is mounted, or one of the programs that every machine with the tests' has
        _ => PathBuf::from(program),
    }
}

/// A program that ./test finds or installs, by the variable that names it.
pub fn tool(variable: &str) -> PathBuf {
    let program = std::env::var_os(variable).map(PathBuf::from).unwrap_or_default();
    assert!(program.is_file(), "{variable} names no program: run ./test, which finds or installs it");
    program
}

/// The programs of PostgreSQL: in `PATH`, or the newest of Debian's.
pub fn of_postgres(name: &str) -> PathBuf {
    let version = |folder: &PathBuf| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = entries.map(|entry| entry.path()).max_by_key(version);
    newest.map_or_else(|| Path::new(name).to_owned(), |folder| folder.join("bin").join(name))
}
