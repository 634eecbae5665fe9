//! The clients that people use, from npm: the programs in `clients/`, run by Node.js. Each prints what happens to it
//! as lines of JSON.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fmt::Write};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use tokio::time::sleep;

use crate::Service;
use crate::process::POLL;

/// The folder with the programs and with what they need.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
/// What takes longer than this to be told does not come any more.
const DEADLINE: Duration = Duration::from_secs(30);

/// A client that runs, and is killed when this is dropped.
#[derive(Debug)]
pub struct Client {
    service: Service,
    /// How many bytes of its log were taken.
    taken: u64,
}

impl Client {
    /// Starts a program of `clients/`, such as `socket-io.mjs`.
    ///
    /// # Panics
    /// When Node.js is missing, or npm cannot install what it needs.
    pub fn start<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Self {
        let program = Path::new(SOURCE).join(program).into_os_string();
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        let clients = clients().join("package.json");
        let service = Service::spawn("node", [program].into_iter().chain(args), [("CLIENTS", clients)]);
        Self { service, taken: 0 }
    }

    /// The next line that it prints.
    ///
    /// # Panics
    /// When there is none within half a minute, or it is not JSON: then it is an error of Node.js.
    pub async fn next(&mut self) -> Value {
        let begin = Instant::now();
        loop {
            let mut line = Vec::new();
            self.log().read_until(b'\n', &mut line).expect("its log can be read");
            // What is not ended by a line break is still being written
            if line.ends_with(b"\n") {
                self.taken += line.len() as u64;
                return self.parsed(&line);
            }
            assert!(begin.elapsed() < DEADLINE, "the client says no more; it said:\n{}", self.service.log());
            sleep(POLL).await;
        }
    }

    /// All lines that it has printed and that were not taken yet. They stay.
    ///
    /// # Panics
    /// When one is not JSON.
    #[must_use]
    pub fn rest(&self) -> Vec<Value> {
        let lines = self.log().split(b'\n').map(|line| line.expect("its log can be read"));
        lines.map(|line| self.parsed(&line)).collect()
    }

    /// What it has printed and was not taken yet.
    fn log(&self) -> BufReader<File> {
        let mut log = File::open(self.service.folder().join("log")).expect("it has a log");
        log.seek(SeekFrom::Start(self.taken)).expect("its log can be read");
        BufReader::new(log)
    }

    fn parsed(&self, line: &[u8]) -> Value {
        serde_json::from_slice(line).unwrap_or_else(|_| panic!("the client failed:\n{}", self.service.log()))
    }
}

/// The folder with the clients' `node_modules`, which npm fills where that was not done before.
fn clients() -> PathBuf {
    let lock = fs::read(Path::new(SOURCE).join("package-lock.json")).expect("the clients have a lock file");
    let hash = digest(&SHA256, &lock).as_ref()[..8].iter().fold(String::new(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    });
    let folder = cache().join(format!("clients-{hash}"));
    fs::create_dir_all(&folder).expect("a cache folder");
    // Tests in other processes may want it at the same moment
    let claim = File::create(folder.join(".lock")).expect("a file in the cache folder");
    claim.lock().expect("a file lock");
    let done = folder.join(".done");
    if !done.exists() {
        install(&folder);
        File::create(done).expect("a file in the cache folder");
    }
    folder
}

fn install(folder: &Path) {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(Path::new(SOURCE).join(file), folder.join(file)).expect("a copy in the cache folder");
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
    let output = npm.output().expect("npm is installed; ./test installs it");
    assert!(output.status.success(), "npm ci failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Where a second run finds what need not be made again; the same as in `.ci/cache.sh`.
fn cache() -> PathBuf {
    let xdg = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || Path::new(&env::var_os("HOME").expect("a home folder")).join(".cache");
    xdg.unwrap_or_else(home).join("leadgraph")
}
