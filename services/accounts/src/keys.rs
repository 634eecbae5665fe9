//! The keys that sign tokens: ES256, in one PEM file.
//!
//! The first key of the file signs; all are published, so that tokens signed before a rotation
//! stay valid. A running service notices when the file changes, so no restart is needed. When it
//! becomes unreadable, the keys read before stay in use.

use anyhow::{Context, bail, ensure};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{
    EncodingKey,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};
use subgraph::{Config, LocalKeys, token::ALGORITHM};

/// The flag that names the file.
pub(crate) const FILE_FLAG: &str = "jwt-private-key-file";
/// The file where none is configured, in the data folder.
const FILE_NAME: &str = "jwt-signing-key.pem";
/// Old keys that a rotation keeps.
const KEPT: usize = 2;
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const HELP: &str = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`, or remove the file \
                    and let accounts make it";

/// One key pair.
pub(crate) struct SigningKey {
    /// RFC 7638 thumbprint of the public key, by which tokens name it.
    pub(crate) kid: String,
    /// The private key.
    pub(crate) private: EncodingKey,
    public: Jwk,
    pem: String,
}

/// What the file held when it looked like `stamp`.
struct Read {
    stamp: Option<(SystemTime, u64)>,
    keys: Arc<[SigningKey]>,
}

/// The keys in the file, read again when it changes.
pub(crate) struct SigningKeys {
    path: PathBuf,
    read: RwLock<Read>,
}

impl SigningKeys {
    /// The keys in the configured file, which is made when it is not there.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let path = path(config);
        let read = Read { stamp: stamp(&path), keys: read_or_create(&path)? };
        Ok(Self { path, read: RwLock::new(read) })
    }

    /// The keys of the file as it is now; never empty, the first signs.
    pub(crate) fn current(&self) -> Arc<[SigningKey]> {
        let stamp = stamp(&self.path);
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        if read.stamp == stamp {
            return read.keys.clone();
        }
        drop(read);
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        read.stamp = stamp;
        match fs::read_to_string(&self.path).map_err(Into::into).and_then(|text| parse(&text)) {
            Ok(keys) => read.keys = keys,
            Err(error) => {
                let file = self.path.display();
                tracing::error!(error = format!("{error:#}"), %file, "the keys read before stay in use");
            }
        }
        read.keys.clone()
    }

    /// The public halves, for those who check tokens.
    pub(crate) fn public(&self) -> JwkSet {
        JwkSet { keys: self.current().iter().map(|key| key.public.clone()).collect() }
    }
}

impl SigningKey {
    fn from_pem(pem: &str) -> anyhow::Result<Self> {
        let private = EncodingKey::from_ec_pem(pem.as_bytes())?;
        let mut public = Jwk::from_encoding_key(&private, ALGORITHM)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { kid, private, public, pem: format!("{}\n", pem.trim()) })
    }
}

/// Why the file is refused in production: it must be there, so that two instances never make one each, and be for
/// nobody but its owner.
pub(crate) fn fault(config: &Config) -> Option<String> {
    let how = "make it with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE && chmod 600 FILE`";
    let Some(file) = config.extra(FILE_FLAG).filter(|file| !file.is_empty()) else {
        let made = config.data_dir.join(FILE_NAME);
        let how =
            if made.exists() { format!("name the one there is, {}", made.display()) } else { how.into() };
        return Some(format!(
            "JWT_PRIVATE_KEY_FILE is not set, and production makes no key by itself: {how}"
        ));
    };
    let Ok(metadata) = fs::metadata(file) else {
        return Some(format!(
            "JWT_PRIVATE_KEY_FILE names {file}, which does not exist or cannot be read: {how}"
        ));
    };
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            let others = "others than its owner may read or write";
            return Some(format!(
                "JWT_PRIVATE_KEY_FILE names {file}, which {others} (mode {mode:o}): `chmod 600 {file}`"
            ));
        }
    }
    None
}

/// Where this process reads its own public keys.
pub(crate) fn local(config: &Config) -> anyhow::Result<LocalKeys> {
    let keys = SigningKeys::open(config)?;
    Ok(Arc::new(move || Ok(keys.public())))
}

/// `accounts keys list | rotate`.
pub(crate) fn command(config: &Config, words: &[String]) -> anyhow::Result<()> {
    let path = path(config);
    let keys = match words {
        [word] if word == "list" => read_or_create(&path)?,
        [word] if word == "rotate" => rotate(&path)?,
        _ => bail!("say `keys list` or `keys rotate`"),
    };
    for (i, key) in keys.iter().enumerate() {
        println!("{} {}", key.kid, if i == 0 { "signs" } else { "still valid" });
    }
    Ok(())
}

/// Puts a new key before the ones in the file.
fn rotate(path: &Path) -> anyhow::Result<Arc<[SigningKey]>> {
    check_replaceable(path)?;
    // Two rotations at once would lose the key of one, with which tokens may be signed already
    let lock = path.with_extension("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    lock.lock()?;
    let old = read_or_create(path)?;
    let kept = old.iter().take(KEPT).map(|key| key.pem.clone());
    let text: String = std::iter::once(generate()?).chain(kept).collect();
    subgraph::write_file(path, text.as_bytes())?;
    parse(&text)
}

/// There is a file, and a new one in its place can be read by whoever reads this one.
fn check_replaceable(path: &Path) -> anyhow::Result<()> {
    let file = path.display();
    let Ok(metadata) = fs::metadata(path) else {
        bail!(
            "there is no key in {file}: run it with the variables of the service (LEADGRAPH_DATA_DIR, JWT_PRIVATE_KEY_FILE)"
        );
    };
    #[cfg(unix)]
    {
        let owner = std::os::unix::fs::MetadataExt::uid(&metadata);
        let own = rustix::process::geteuid().as_raw();
        ensure!(
            owner == own,
            "{file} belongs to the user {owner}: run it as that one, who has to read the new file"
        );
    }
    Ok(())
}

/// The file with the keys that sign tokens.
pub fn path(config: &Config) -> PathBuf {
    let file = config.extra(FILE_FLAG).filter(|file| !file.is_empty()).map(PathBuf::from);
    file.unwrap_or_else(|| config.data_dir.join(FILE_NAME))
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

fn read_or_create(path: &Path) -> anyhow::Result<Arc<[SigningKey]>> {
    let text = subgraph::read_or_create(path, generate)?;
    parse(&text).with_context(|| format!("the file {} with the keys that sign tokens", path.display()))
}

/// The keys in a PEM text, in its order.
fn parse(text: &str) -> anyhow::Result<Arc<[SigningKey]>> {
    let blocks = text.split_inclusive(END).filter_map(|part| part.find(BEGIN).map(|start| &part[start..]));
    let keys = blocks.map(|pem| SigningKey::from_pem(pem).context("is not a P-256 key in PKCS#8"));
    let keys: Arc<[_]> = keys.collect::<anyhow::Result<_>>().context(HELP)?;
    ensure!(!keys.is_empty(), "holds no private key in PKCS#8; {HELP}");
    Ok(keys)
}

/// A new private key in PEM.
fn generate() -> anyhow::Result<String> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let der = pair.and_then(|pair| pair.to_pkcs8v1()).ok().context("cannot generate a key")?;
    let base64 = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    Ok(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_hold_several_keys_and_words_between_them() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        let keys = parse(&format!("# the new one\n{one}\n# the old one\n{two}\n")).unwrap();
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0].kid, keys[1].kid);
        assert_eq!(keys[0].pem, one);
        assert_eq!(keys[0].public.common.key_id.as_deref(), Some(&*keys[0].kid));
    }

    #[test]
    fn what_is_no_key_is_refused_in_words() {
        for bad in ["", "x", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----"] {
            let error = format!("{:#}", parse(bad).err().unwrap());
            assert!(error.contains("openssl"), "{error}");
        }
        assert!(parse(&format!("{BEGIN}\nAAAA\n{END}\n")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn production_wants_a_file_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let fault = |file: &str| {
            let config = crate::subgraph().config_from([format!("--{FILE_FLAG}={file}")]).unwrap();
            fault(&config).unwrap_or_default()
        };
        let named = file.to_str().unwrap();
        assert!(fault("").starts_with("JWT_PRIVATE_KEY_FILE is not set"), "{}", fault(""));
        assert!(fault(named).contains("does not exist"), "{}", fault(named));
        fs::write(&file, generate().unwrap()).unwrap();
        for (mode, refused) in [(0o644, true), (0o640, true), (0o602, true), (0o600, false), (0o400, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(fault(named).contains("others than its owner"), refused, "{mode:o}");
        }
    }

    #[test]
    fn a_rotation_makes_no_first_key_and_takes_no_file_from_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let refused = |path: &Path| format!("{:#}", rotate(path).err().unwrap());
        assert!(refused(&path).starts_with("there is no key in "), "{}", refused(&path));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let before = read_or_create(&path).unwrap();
        // Only root can give a file away
        #[cfg(unix)]
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
            assert!(refused(&path).contains("belongs to the user 12345"), "{}", refused(&path));
        }
        assert_eq!(read_or_create(&path).unwrap()[0].kid, before[0].kid);
    }

    #[test]
    fn a_rotation_keeps_the_two_keys_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let kids = |keys: &[SigningKey]| keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
        let mut expected = kids(&read_or_create(&path).unwrap());
        for _ in 0..3 {
            let rotated = kids(&rotate(&path).unwrap());
            expected.insert(0, rotated[0].clone());
            expected.truncate(KEPT + 1);
            assert_eq!(rotated, expected);
            assert_eq!(kids(&read_or_create(&path).unwrap()), expected);
        }
    }
}
