//! The public keys that sign tokens: fetched from accounts, kept on disk, so that a service that
//! restarts while accounts is down still verifies.

use crate::{
    error::{Error, Result},
    http,
};
use jsonwebtoken::{DecodingKey, jwk::JwkSet};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Tokens with unknown key ids cause at most one fetch in this time.
const FETCH_INTERVAL: Duration = Duration::from_secs(1);

/// Reads the current keys where they are made: only accounts has such a source.
pub type LocalKeys = Arc<dyn Fn() -> anyhow::Result<JwkSet> + Send + Sync>;

enum Source {
    Remote { url: String, cache: PathBuf },
    Local(LocalKeys),
}

/// The known public keys, by key id.
pub struct KeyStore {
    source: Source,
    keys: RwLock<HashMap<String, Arc<DecodingKey>>>,
    last_fetch: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyStore").finish_non_exhaustive()
    }
}

impl KeyStore {
    /// Keys published at `url`, with a copy on disk at `cache` that is used until the first fetch.
    pub fn remote(url: String, cache: PathBuf) -> Self {
        let kept = read_cache(&cache);
        let file = cache.display().to_string();
        let store = Self::with(Source::Remote { url, cache });
        match kept {
            Ok(Some(set)) => store.replace(&set),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, file, "ignoring the kept keys"),
        }
        store
    }

    /// Keys made in this process.
    pub fn local(keys: LocalKeys) -> Self {
        Self::with(Source::Local(keys))
    }

    fn with(source: Source) -> Self {
        Self { source, keys: RwLock::default(), last_fetch: Mutex::new(None) }
    }

    /// The key with this id, fetching the published ones once when it is unknown.
    pub(crate) async fn find(&self, kid: &str) -> Result<Arc<DecodingKey>> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let mut last = self.last_fetch.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        // Reading one's own keys is cheap, and a token signed right after a rotation must count at once
        let local = matches!(self.source, Source::Local(_));
        let due = local || last.is_none_or(|at| at.elapsed() >= FETCH_INTERVAL);
        if due {
            self.refresh().await;
            *last = Some(Instant::now());
        }
        drop(last);
        self.known(kid).ok_or_else(|| self.unknown())
    }

    /// Fetches the published keys, so that one that was taken back stops counting. What cannot be
    /// fetched now stays as it was.
    pub(crate) async fn refresh(&self) {
        if let Err(error) = self.fetch().await {
            tracing::warn!(error = format!("{error:#}"), "cannot fetch the keys that sign tokens");
        }
    }

    fn known(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    /// Without any key, nothing can be said about a token yet; with some, it is just not valid.
    fn unknown(&self) -> Error {
        if self.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Error::Unavailable(
                "Tokens cannot be checked yet: the accounts service does not answer".into(),
            );
        }
        Error::Unauthenticated("The token is not valid".into())
    }

    async fn fetch(&self) -> anyhow::Result<()> {
        match &self.source {
            Source::Local(keys) => self.replace(&keys()?),
            Source::Remote { url, cache } => {
                let set: JwkSet = http::client()?.get(url).send().await?.error_for_status()?.json().await?;
                self.replace(&set);
                crate::files::write(cache, &serde_json::to_vec(&set)?)?;
            }
        }
        Ok(())
    }

    fn replace(&self, set: &JwkSet) {
        let usable = set.keys.iter().filter_map(|jwk| {
            let kid = jwk.common.key_id.clone()?;
            Some((kid, Arc::new(DecodingKey::from_jwk(jwk).ok()?)))
        });
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = usable.collect();
    }
}

fn read_cache(cache: &Path) -> anyhow::Result<Option<JwkSet>> {
    match std::fs::read(cache) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
