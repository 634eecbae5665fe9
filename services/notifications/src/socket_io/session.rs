//! Engine.IO's sessions: what carries a client, whichever transport it uses.
//!
//! The library ends a session politely, by a message in its queue. That does not end one whose queue is full or whose
//! client does not listen, so each can also be cut: its WebSocket fails and its requests are refused at once.

use serde::Deserialize;
use serde_json::Value;
use socketioxide::{extract::SocketRef, socket::Sid};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Sessions at the same time, also of clients that have not said yet who they are.
const MAX_SESSIONS: usize = 10_000;
/// How long a client may take to end what it was told is over.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a client says of itself when it connects.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Auth {
    token: Option<Value>,
}

impl Auth {
    /// As an Authorization header. Some clients put the whole header here.
    pub fn bearer(self) -> Option<String> {
        let Some(Value::String(token)) = self.token else { return None };
        let token = token.strip_prefix("Bearer ").unwrap_or(&token);
        (!token.is_empty()).then(|| format!("Bearer {token}"))
    }
}

/// One session. It travels with the request that opened it, and so ends when the library forgets that.
pub(super) struct Session {
    /// Cancelled when the session may not go on.
    pub cut: CancellationToken,
    id: OnceLock<(Sid, Weak<Sessions>)>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some((id, sessions)) = self.id.get()
            && let Some(sessions) = sessions.upgrade()
        {
            sessions.known().remove(id);
        }
    }
}

/// All sessions.
pub(super) struct Sessions {
    places: Arc<Semaphore>,
    cut: CancellationToken,
    /// Those that go on by their id: all that began by polling.
    by_id: Mutex<HashMap<Sid, Weak<Session>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(MAX_SESSIONS));
        Self { places, cut: CancellationToken::new(), by_id: Mutex::default() }
    }
}

impl Sessions {
    fn known(&self) -> MutexGuard<'_, HashMap<Sid, Weak<Session>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session; nothing when there is no place for one more.
    pub fn open(&self) -> Option<Arc<Session>> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        Some(Arc::new(Session { cut: self.cut.child_token(), id: OnceLock::new(), _place: place }))
    }

    /// Notes the id that the library gave to a session.
    pub fn name(self: &Arc<Self>, session: &Arc<Session>, id: Sid) {
        self.known().insert(id, Arc::downgrade(session));
        // Once, by the request that opened it
        let _ = session.id.set((id, Arc::downgrade(self)));
    }

    /// The session with this id.
    pub fn find(&self, id: Sid) -> Option<Arc<Session>> {
        self.known().get(&id).and_then(Weak::upgrade)
    }

    /// Cuts all sessions, also those that are opened from now on.
    pub fn cut_all(&self) {
        self.cut.cancel();
    }
}

/// Cuts the session that carries a client.
pub(super) fn cut(socket: &SocketRef) {
    if let Some(session) = socket.req_parts().extensions.get::<Arc<Session>>() {
        session.cut.cancel();
    }
}

/// Tells a client that it is over. Who stays all the same is cut.
pub(super) fn end(socket: SocketRef) {
    // Fails where there is no room for it any more
    if socket.clone().disconnect().is_err() {
        cut(&socket);
        return;
    }
    tokio::spawn(async move {
        sleep(PATIENCE).await;
        cut(&socket);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_found_where_clients_put_it() {
        let bearer = |auth| serde_json::from_value::<Auth>(auth).unwrap().bearer();
        assert_eq!(bearer(json!({"token": "x"})).as_deref(), Some("Bearer x"));
        assert_eq!(bearer(json!({"token": "Bearer x"})).as_deref(), Some("Bearer x"));
        for none in [json!({}), json!({"token": ""}), json!({"token": 7}), json!({"token": null})] {
            assert_eq!(bearer(none.clone()), None, "{none}");
        }
    }

    #[test]
    fn a_session_is_known_until_it_is_dropped() {
        let (sessions, id) = (Arc::new(Sessions::default()), Sid::new());
        let session = sessions.open().unwrap();
        sessions.name(&session, id);
        assert!(sessions.find(id).is_some());
        drop(session);
        assert!(sessions.find(id).is_none() && sessions.known().is_empty());
        assert_eq!(sessions.places.available_permits(), MAX_SESSIONS);
    }

    #[test]
    fn there_are_only_so_many_places() {
        let sessions = Sessions::default();
        let all: Vec<_> = (0..MAX_SESSIONS).map(|_| sessions.open().unwrap()).collect();
        assert!(sessions.open().is_none());
        drop(all);
        sessions.cut_all();
        assert!(sessions.open().unwrap().cut.is_cancelled());
    }
}
