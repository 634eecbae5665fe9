//! The folder that a backup becomes: whole, or not there.
//!
//! It is filled as `DIR.partial` and gets its name last. What a killed backup left there is removed by the next one of
//! that name; anything else is not touched.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::MANIFEST;

/// Marks a folder that is being filled; locked meanwhile.
const MARK: &str = "in-progress";

/// A backup that is being made. Dropping it removes it.
pub struct Folder {
    name: PathBuf,
    partial: PathBuf,
    /// Held as long as this is filled.
    _lock: File,
    finished: bool,
}

impl Folder {
    /// An empty folder for the backup of this name.
    pub fn begin(name: &Path) -> Result<Self> {
        // Without the slash at the end
        let name: PathBuf = name.components().collect();
        let Some(last) = name.file_name() else {
            bail!("{} cannot become a backup; name a folder that is not there yet", name.display());
        };
        let partial = name.with_file_name(format!("{}.partial", last.to_string_lossy()));
        ensure!(is_empty(&name)?.unwrap_or(true), "{} is there already; choose another name", name.display());
        make(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
        let lock = lock(&partial)?;
        let folder = Self { name, partial, _lock: lock, finished: false };
        folder.clear().with_context(|| format!("cannot remove what is in {}", folder.partial.display()))?;
        Ok(folder)
    }

    /// Where it is filled.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives it its name, once all of it is on disk.
    pub fn finish(mut self) -> Result<PathBuf> {
        let rename = || {
            sync(&self.partial)?;
            fs::rename(&self.partial, &self.name)?;
            sync(&parent(&self.name))
        };
        rename().with_context(|| {
            format!("cannot make {} out of {}", self.name.display(), self.partial.display())
        })?;
        self.finished = true;
        // Not before: without it, another backup would take the folder for one that was given up
        if let Err(error) = fs::remove_file(self.name.join(MARK)).and_then(|()| sync(&self.name)) {
            tracing::warn!(%error, folder = %self.name.display(), "{MARK} stays in the backup, without effect");
        }
        Ok(self.name.clone())
    }

    /// Removes all but the mark.
    fn clear(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.partial)? {
            let entry = entry?;
            if entry.file_name() != MARK {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_dir_all(&self.partial)
        {
            tracing::warn!(%error, folder = %self.partial.display(), "cannot remove what was begun");
        }
    }
}

/// Makes the folder for its owner alone. One that is there must be a backup's.
fn make(partial: &Path) -> Result<()> {
    fs::create_dir_all(parent(partial))?;
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(partial) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let ours = [MARK, MANIFEST].iter().any(|file| partial.join(file).is_file());
            ensure!(ours || is_empty(partial)? == Some(true), "it is there, and no backup made it");
            Ok(())
        }
        made => Ok(made?),
    }
}

fn lock(partial: &Path) -> Result<File> {
    let file =
        File::create(partial.join(MARK)).with_context(|| format!("cannot write {}", partial.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!("another backup is writing {}", partial.display()),
        Err(fs::TryLockError::Error(error)) => Err(error).context("cannot lock the folder of the backup"),
    }
}

/// Whether a folder has nothing in it; nothing when it is not there.
fn is_empty(folder: &Path) -> Result<Option<bool>> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(Some(entries.next().is_none())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", folder.display())),
    }
}

/// Gets the names in a folder onto the disk.
fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn parent(path: &Path) -> PathBuf {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn it_is_there_only_when_it_is_finished() {
        let temp = tempfile::tempdir().unwrap();
        let name = temp.path().join("a/backup/");
        let folder = Folder::begin(&name).unwrap();
        fs::write(folder.path().join("file"), "x").unwrap();
        assert!(!name.exists());
        let busy = Folder::begin(&name).err().unwrap().to_string();
        assert!(busy.starts_with("another backup is writing"), "{busy}");
        assert_eq!(folder.finish().unwrap(), temp.path().join("a/backup"));
        assert_eq!(names(&name), ["file"]);
        let there = Folder::begin(&name).err().unwrap().to_string();
        assert!(there.ends_with("is there already; choose another name"), "{there}");
        assert_eq!(names(&temp.path().join("a")), ["backup"]);
    }

    /// Where it is not, somebody else begins to fill the folder, which is empty when it gets its name.
    #[test]
    fn it_is_marked_as_long_as_it_has_no_name() {
        let temp = tempfile::tempdir().unwrap();
        for number in 0..50 {
            let name = temp.path().join(number.to_string());
            let folder = Folder::begin(&name).unwrap();
            let (partial, mark) = (folder.path().to_owned(), folder.path().join(MARK));
            let watched = std::thread::spawn(move || {
                while mark.exists() {}
                partial.exists()
            });
            folder.finish().unwrap();
            assert!(!watched.join().unwrap(), "without a mark, and without a name");
            assert_eq!(names(&name), [""; 0]);
        }
    }

    #[test]
    fn what_was_given_up_goes_and_what_is_not_its_own_stays() {
        let temp = tempfile::tempdir().unwrap();
        let (name, partial) = (temp.path().join("backup"), temp.path().join("backup.partial"));
        drop(Folder::begin(&name).unwrap());
        assert!(!partial.exists());
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join("mine"), "x").unwrap();
        assert!(format!("{:#}", Folder::begin(&name).err().unwrap()).ends_with("no backup made it"));
        assert_eq!(names(&partial), ["mine"]);
        // As a killed one leaves it
        fs::write(partial.join(MARK), "").unwrap();
        let folder = Folder::begin(&name).unwrap();
        assert_eq!(names(&partial), [MARK]);
        folder.finish().unwrap();
        assert_eq!(names(temp.path()), ["backup"]);
    }
}
