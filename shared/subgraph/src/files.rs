//! Small files of the data folder: keys and caches.

use anyhow::Context;
use std::{fs, io::Write, path::Path};

/// Writes a file whole or not at all, readable by its owner only.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let temporary = temporary(path, content)?;
    fs::rename(&temporary, path).with_context(|| help(path))
}

/// The content of a file that is made once: when it is not there, `make` says what it holds. When
/// two processes try at once, both get the content of one.
///
/// # Errors
/// When the file cannot be read or made.
pub fn read_or_create(path: &Path, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    if !path.exists() {
        let temporary = temporary(path, make()?.as_bytes())?;
        // A link fails when the name is taken, where a rename would replace the other's file
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary).with_context(|| help(&temporary))?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).context(help(path));
            }
            _ => {}
        }
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn temporary(path: &Path, content: &[u8]) -> anyhow::Result<std::path::PathBuf> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| help(path))?;
    }
    let name = format!("{}.{}-{:x}.tmp", path.display(), std::process::id(), rand::random::<u32>());
    let mut file = private().write(true).create_new(true).open(&name).with_context(|| help(path))?;
    file.write_all(content).and_then(|()| file.sync_all()).with_context(|| help(path))?;
    Ok(name.into())
}

fn help(path: &Path) -> String {
    format!("cannot write {}; check the folder's permissions (LEADGRAPH_DATA_DIR)", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_made_once_keeps_its_content() {
        let folder = std::env::temp_dir().join(format!("leadgraph-files-{}", std::process::id()));
        let path = folder.join("key");
        assert_eq!(read_or_create(&path, || Ok("one".into())).unwrap(), "one");
        assert_eq!(read_or_create(&path, || Ok("two".into())).unwrap(), "one");
        write(&path, b"three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file stays");
        fs::remove_dir_all(folder).unwrap();
    }
}
