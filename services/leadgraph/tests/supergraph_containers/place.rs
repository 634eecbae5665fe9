//! Where the addresses and folders of a container are when it is a process of this machine: the one place that knows.
//!
//! Each container has an address of its own in 127.0.0.0/8, so that every port stays as the files have it. In what a
//! container is given, and in the files that are mounted into it, these are replaced:
//!
//! | In the container | Here |
//! | --- | --- |
//! | another container's name, in an address with a port | that one's address; the first replica's, where there are several |
//! | 127.0.0.1 and 0.0.0.0 | its own address |
//! | 127.0.0.11:53, Docker's DNS | the test's (`names.rs`) |
//! | where a volume or a file is mounted | a folder of the test |
//!
//! What is published on this machine is asked at the container's own address.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// What Docker's DNS is replaced by.
const NAMES: (u8, u16) = (2, 5_053);
/// Held on a network's first address while somebody uses it.
const CLAIM: u16 = 4_999;

/// 256 addresses of this machine that nobody else uses.
#[derive(Debug)]
pub struct Network {
    prefix: [u8; 2],
    _claim: TcpListener,
}

impl Network {
    pub fn claim() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Tests in other processes begin elsewhere
        let numbers = (0..512).map(|_| process::id().wrapping_add(NEXT.fetch_add(4_099, Ordering::Relaxed)));
        let mut claimed = numbers.filter_map(|number| {
            let [third, second, ..] = number.to_le_bytes();
            let prefix = [64 + second % 128, third];
            let claim = TcpListener::bind((Ipv4Addr::new(127, prefix[0], prefix[1], 1), CLAIM)).ok()?;
            Some(Self { prefix, _claim: claim })
        });
        claimed.next().expect("addresses in 127.0.0.0/8, which Linux has")
    }

    /// The address of a container by its number.
    pub fn host(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.prefix[0], self.prefix[1], number)
    }

    /// Where names are looked up.
    pub fn names(&self) -> SocketAddr {
        (self.host(NAMES.0), NAMES.1).into()
    }
}

/// What is replaced by what.
#[derive(Clone, Debug)]
struct Rule {
    from: String,
    to: String,
    /// Where it stands: a name before a port, or anything else where no longer word has it as a part.
    is_name: bool,
}

impl Rule {
    fn applies(&self, before: Option<char>, rest: &str) -> bool {
        let Some(after) = rest.strip_prefix(&self.from) else { return false };
        let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.is_name {
            // After the name of a user comes a password, and then an @
            let port = after.trim_start_matches(|c: char| c.is_ascii_digit());
            return port.len() < after.len() && !port.starts_with(|c| in_word(c) || c == '@');
        }
        !before.is_some_and(in_word) && !after.starts_with(in_word)
    }
}

/// One container's place.
#[derive(Clone, Debug)]
pub struct Place {
    pub address: Ipv4Addr,
    rules: Vec<Rule>,
    mounts: Vec<Mount>,
}

/// What is mounted where.
#[derive(Clone, Debug)]
struct Mount {
    target: String,
    at: PathBuf,
    /// Of a file or folder of the checkout.
    copy: bool,
}

impl Place {
    /// The place of a container with this address among these others.
    pub fn new(network: &Network, address: Ipv4Addr, others: &[(String, Ipv4Addr)]) -> Self {
        let whole = |from: &str, to: String| Rule { from: from.into(), to, is_name: false };
        let mut rules = vec![
            whole("127.0.0.11:53", network.names().to_string()),
            whole("127.0.0.1", address.to_string()),
            whole("0.0.0.0", address.to_string()),
        ];
        for (name, at) in others {
            let named = ["//", "@"].map(|mark| (format!("{mark}{name}:"), format!("{mark}{at}:")));
            rules.extend(named.map(|(from, to)| Rule { from, to, is_name: true }));
        }
        Self { address, rules, mounts: Vec::new() }
    }

    /// Mounts a folder of the test's, which stays as it is.
    pub fn mount_volume(&mut self, target: &str, folder: PathBuf) {
        fs::create_dir_all(&folder).expect("a folder");
        self.mount(target, folder, false);
    }

    /// Mounts a copy, made in `folder`; [`Place::settle`] replaces what there is to replace in it.
    pub fn mount_copy(&mut self, source: &Path, target: &str, folder: &Path) {
        let copy = folder.join(target.trim_start_matches('/').replace('/', "_"));
        copied(source, &copy);
        self.mount(target, copy, true);
    }

    fn mount(&mut self, target: &str, at: PathBuf, copy: bool) {
        let rule = Rule { from: target.to_owned(), to: at.display().to_string(), is_name: false };
        self.rules.push(rule);
        self.mounts.push(Mount { target: target.to_owned(), at, copy });
        // The longest first: a mount may lie inside another
        self.rules.sort_by_key(|rule| std::cmp::Reverse(rule.from.len()));
    }

    /// Replaces in all copies, once everything is mounted.
    pub fn settle(&self) {
        self.mounts.iter().filter(|mount| mount.copy).for_each(|mount| self.translate_files(&mount.at));
    }

    fn translate_files(&self, path: &Path) {
        if path.is_dir() {
            let entries = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
            return entries.for_each(|entry| self.translate_files(&entry));
        }
        let text = fs::read_to_string(path).expect("text");
        fs::write(path, self.translate(&text)).expect("a copy of the test's own");
    }

    /// What is mounted below this folder of the container.
    pub fn mounted_below(&self, folder: &str) -> impl Iterator<Item = &Path> {
        let below = self.mounts.iter().filter(move |mount| mount.target.starts_with(folder));
        below.map(|mount| mount.at.as_path())
    }

    /// A text of the container as it has to be here.
    pub fn translate(&self, text: &str) -> String {
        let (mut translated, mut rest, mut before) = (String::new(), text, None);
        while let Some(next) = rest.chars().next() {
            let rule = self.rules.iter().find(|rule| rule.applies(before, rest));
            let length = rule.map_or(next.len_utf8(), |rule| rule.from.len());
            translated.push_str(rule.map_or(&rest[..length], |rule| &rule.to));
            before = rest[..length].chars().next_back();
            rest = &rest[length..];
        }
        translated
    }
}

fn copied(source: &Path, to: &Path) {
    if !source.is_dir() {
        fs::copy(source, to).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        return;
    }
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(source).expect("a folder").map(|entry| entry.expect("an entry")) {
        copied(&entry.path(), &to.join(entry.file_name()));
    }
}

#[test]
fn addresses_and_folders_are_replaced_and_nothing_else() {
    let network = Network::claim();
    let (own, other) = (network.host(10), network.host(11));
    let mut place = Place::new(&network, own, &[("leads".to_owned(), other)]);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("volume");
    place.mount_volume("/data", data.clone());
    let data = data.display();
    for (given, here) in [
        ("http://leads:4002/graphql", format!("http://{other}:4002/graphql")),
        ("postgres://leads:12@leads:5432/leads", format!("postgres://leads:12@{other}:5432/leads")),
        ("0.0.0.0:4000", format!("{own}:4000")),
        ("http://127.0.0.1:8222/", format!("http://{own}:8222/")),
        ("127.0.0.11:53", network.names().to_string()),
        ("127.0.0.12 10.0.0.0.0", "127.0.0.12 10.0.0.0.0".to_owned()),
        ("/data/key.pem", format!("{data}/key.pem")),
        ("/var/lib/data /database", "/var/lib/data /database".to_owned()),
    ] {
        assert_eq!(place.translate(given), here);
    }
}
