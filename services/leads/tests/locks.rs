//! A SQLite file that the service has open is seen to be open by other processes.
#![cfg(target_os = "linux")]

use std::{fs, os::unix::fs::MetadataExt};
use subgraph::{Clock, Random};

/// POSIX locks go when a process closes any handle of the file. Without them another process that
/// opens and closes the database takes itself for the last one and deletes the log, with every
/// acknowledged change in it.
#[tokio::test]
async fn a_served_sqlite_file_stays_locked() {
    let folder = tempfile::tempdir().unwrap();
    let subgraph = leads::subgraph();
    let flags = [format!("--data-dir={}", folder.path().display())];
    let config = subgraph.config_from(flags).unwrap();
    let endpoint = subgraph.prepare(config, Clock::System, Random::System).await.unwrap();
    for _ in 0..3 {
        endpoint.service().db.read().ping().await.unwrap();
    }
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let held = |name: &str| {
        let file = fs::metadata(folder.path().join(name)).unwrap();
        locks.lines().any(|line| line.contains("POSIX") && line.contains(&format!(":{} ", file.ino())))
    };
    assert!(held("leads.sqlite-shm"), "{locks}");
    assert!(held("leads.sqlite"), "{locks}");
    assert_eq!(fs::metadata(folder.path().join("leads.sqlite")).unwrap().mode() & 0o777, 0o600);
}
