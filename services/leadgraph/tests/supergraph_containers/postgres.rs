//! What the entry point of PostgreSQL's image does: a cluster and a database where there is none, the scripts that are
//! mounted for it, then the server. Passwords are asked for from other machines, not on the socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Service;

use crate::place::Place;
use crate::programs::of_postgres;

/// Where the image expects its data, and the scripts of the first start.
const DATA: &str = "/var/lib/postgresql/data";
const SCRIPTS: &str = "/docker-entrypoint-initdb.d";
/// What the image adds to the rules of who may come in.
const FROM_ANYWHERE: &str = "\nhost all all all scram-sha-256\n";

/// Starts it with this environment.
pub fn start(place: &Place, environment: &[(String, String)]) -> Service {
    let data = PathBuf::from(place.translate(DATA));
    let cluster = data.join("pgdata");
    if !cluster.exists() {
        first_start(place, &data, environment);
    }
    let mut args = unprivileged();
    let program = of_postgres("postgres");
    args.extend(["--pdeathsig", "INT", "--"].map(str::to_owned));
    args.push(program.display().to_string());
    let address = place.address.to_string();
    args.extend(["-D", &text(&cluster), "-h", &address, "-k", &text(&data)].map(str::to_owned));
    Service::spawn("setpriv", args, environment.iter().cloned())
}

fn first_start(place: &Place, data: &Path, environment: &[(String, String)]) {
    let value = |name: &str| {
        let found = environment.iter().find(|(it, _)| it == name);
        found.unwrap_or_else(|| panic!("postgres has no {name}")).1.clone()
    };
    let (user, database) = (value("POSTGRES_USER"), value("POSTGRES_DB"));
    let (cluster, password) = (text(&data.join("pgdata")), data.join("password"));
    fs::write(&password, value("POSTGRES_PASSWORD")).expect("a file of the test's own");
    if rustix::process::geteuid().is_root() {
        succeed(Command::new("chown").args(["-R", "postgres:", &text(data)]));
    }
    let auth = [
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ];
    succeed(tool("initdb").args(auth).args(["-U", &user, "--pwfile", &text(&password), "-D", &cluster]));
    let rules = data.join("pgdata/pg_hba.conf");
    let kept = fs::read_to_string(&rules).expect("the rules of a new cluster");
    fs::write(rules, kept + FROM_ANYWHERE).expect("the rules of a new cluster");

    // On the socket alone, until all is made
    let only_socket = format!("-c listen_addresses= -k {}", text(data));
    let log = text(&data.join("first.log"));
    succeed(tool("pg_ctl").args(["-D", &cluster, "-o", &only_socket, "-l", &log, "-w", "start"]));
    succeed(tool("createdb").args(["-h", &text(data), "-U", &user, &database]));
    for script in place.mounted_below(SCRIPTS) {
        let mut command = Command::new(script);
        succeed(command.envs(environment.iter().cloned()).env("PGHOST", data));
    }
    succeed(tool("pg_ctl").args(["-D", &cluster, "-m", "fast", "-w", "stop"]));
}

/// A program of PostgreSQL under its own account, which it insists on.
fn tool(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(unprivileged()).arg("--").arg(of_postgres(name)).current_dir("/");
    command
}

fn unprivileged() -> Vec<String> {
    let account = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"];
    let account = account.map(str::to_owned).to_vec();
    if rustix::process::geteuid().is_root() { account } else { Vec::new() }
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("the program is there");
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
