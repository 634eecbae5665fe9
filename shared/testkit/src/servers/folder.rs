//! A temporary folder for servers.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Waits for the end of its standard input, which is the end of the owner, then removes the folder. More than
/// once, because servers that are still stopping write to it.
const SCRIPT: &str =
    r#"cat; for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && [ "$i" -gt 1 ] && break; sleep 0.1; done"#;

/// A temporary folder that goes when its owner ends, also when that is killed.
#[derive(Debug)]
pub(super) struct Folder {
    // Dropped first: then the janitor has nothing to do
    folder: TempDir,
    _janitor: Janitor,
}

impl Folder {
    pub(super) fn create() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("leadgraph-test-").tempdir()?;
        // PostgreSQL's account has to get through
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        Ok(Self { _janitor: Janitor::of(folder.path())?, folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn remove(self) -> Result<()> {
        let path = self.folder.path().to_owned();
        self.folder.close().with_context(|| format!("{} is left behind", path.display()))
    }
}

#[derive(Debug)]
struct Janitor(Child);

impl Janitor {
    fn of(folder: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "janitor"]).arg(folder);
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.process_group(0).spawn().context("cannot start sh")?))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // Fails only where it has ended already
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
