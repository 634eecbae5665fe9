//! Where the workspace's binaries are.

use std::env;
use std::path::PathBuf;

/// The workspace's binary `name`, of the same build as the running test: `target/<profile>/<name>` beside
/// `target/<profile>/deps/<test>`.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test knows its own path");
    let profile = test
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .expect("a test lies in a target folder");
    let path = profile.join(name).with_extension(env::consts::EXE_EXTENSION);
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build --workspace` first, or `./test`, which does",
        path.display()
    );
    path
}
