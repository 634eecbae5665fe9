//! The official release, for platforms whose archive we know the SHA-256 of.

use std::{
    env::consts::{ARCH, OS},
    fs,
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::VERSION;

/// On a closed network a build should start at once, not after a minute of retries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// About 40 MB over a slow line.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Target triple and SHA-256 (lower-case hex) of `router-v{VERSION}-{target}.tar.gz`. A target that is not here is
/// built from source; nothing is run unverified. ADR 0003 says why the table is empty and how to fill it.
pub const CHECKSUMS: &[(&str, &str)] = &[];

/// Where archives are downloaded from, and what they must hash to.
pub struct Release<'a> {
    /// The folder of the archives, without a slash at the end.
    pub url: &'a str,
    /// As [`CHECKSUMS`].
    pub checksums: &'a [(&'a str, &'a str)],
}

/// The release of [`VERSION`] on GitHub.
pub const RELEASE: Release<'static> =
    Release { url: "https://github.com/apollographql/router/releases/download", checksums: CHECKSUMS };

/// The target triple that this machine's archive is named after, or `None` when Apollo publishes none.
pub fn target() -> Option<&'static str> {
    match (ARCH, OS) {
        ("x86_64", "linux") => Some("x86_64-unknown-linux-gnu"),
        ("aarch64", "linux") => Some("aarch64-unknown-linux-gnu"),
        ("x86_64", "macos") => Some("x86_64-apple-darwin"),
        ("aarch64", "macos") => Some("aarch64-apple-darwin"),
        _ => None,
    }
}

/// Downloads this machine's archive to `binary`; `false` when no checksum is pinned for it.
pub async fn download(release: &Release<'_>, binary: &Path) -> Result<bool> {
    let pinned = target().and_then(|target| release.checksums.iter().find(|(name, _)| *name == target));
    let Some((target, checksum)) = pinned else { return Ok(false) };
    let url = format!("{}/v{VERSION}/router-v{VERSION}-{target}.tar.gz", release.url);
    let archive = get(&url).await.with_context(|| url.clone())?;
    verify(&archive, checksum).with_context(|| url)?;
    unpack(&archive, binary).await?;
    Ok(true)
}

async fn get(url: &str) -> Result<Vec<u8>> {
    let client = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).build()?;
    let response = client.get(url).send().await?.error_for_status()?;
    Ok(response.bytes().await?.to_vec())
}

fn verify(archive: &[u8], expected: &str) -> Result<()> {
    let actual = sha256(archive);
    ensure!(actual == expected, "the archive's SHA-256 is {actual}, not the pinned {expected}: refused");
    Ok(())
}

/// Lower-case hex, as in [`CHECKSUMS`].
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Unpacks beside the final place and renames, so that a half-written binary is never taken for a whole one.
async fn unpack(archive: &[u8], binary: &Path) -> Result<()> {
    let folder = binary.with_file_name("unpacking");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = folder.join("router.tar.gz");
    fs::write(&file, archive)?;
    let status = Command::new("tar")
        .args(["-xzf", "router.tar.gz"])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .status()
        .await
        .context("cannot run tar")?;
    ensure!(status.success(), "tar cannot unpack {}: {status}", file.display());
    fs::rename(folder.join("dist/router"), binary).context("the archive holds no dist/router")?;
    fs::remove_dir_all(&folder)?;
    Ok(())
}
