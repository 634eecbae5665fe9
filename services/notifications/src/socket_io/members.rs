//! The clients that are told: those whose token counts.

use super::{
    payload::Told,
    session::{self, cut},
};
use chrono::{DateTime, Utc};
use prometheus::IntGauge;
use socketioxide::{extract::SocketRef, socket::Sid};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use subgraph::Caller;
use tokio::time::Instant;

/// One client.
struct Member {
    socket: SocketRef,
    session: String,
    /// When its token ends.
    expires_at: Option<DateTime<Utc>>,
    state: State,
}

enum State {
    /// It has not been told yet that it is in, so nothing else either: what happened since waits.
    Expected { since: Instant, waiting: Vec<Arc<Told>> },
    /// It gets everything at once.
    Entered,
}

impl Member {
    /// Tells it what waited.
    fn enter(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Entered) {
            State::Expected { waiting, .. } => waiting.iter().all(|told| self.tell(told)),
            State::Entered => true,
        }
    }

    /// Tells it, or says that it cannot be told: too much waits for it, or it is gone.
    fn tell(&mut self, told: &Arc<Told>) -> bool {
        match &mut self.state {
            State::Entered => self.socket.emit(told.name, &told.data).is_ok(),
            State::Expected { waiting, .. } => {
                waiting.push(told.clone());
                waiting.len() <= super::QUEUE
            }
        }
    }

    /// Whether it was let in and then never entered: it went away between the two.
    fn is_lost(&self) -> bool {
        matches!(self.state, State::Expected { since, .. } if since.elapsed() > super::CONNECT_TIMEOUT)
    }
}

/// The clients that are told.
pub(super) struct Members {
    by_id: Mutex<HashMap<Sid, Member>>,
    count: IntGauge,
}

impl Members {
    /// Nobody yet; counted together with all other open sockets.
    pub fn new(count: IntGauge) -> Self {
        Self { by_id: Mutex::default(), count }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Sid, Member>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a client whose token counts, before it hears that it is connected: it misses nothing after that.
    pub fn expect(&self, socket: &SocketRef, caller: &Caller) {
        let session = caller.session.clone().unwrap_or_default();
        let state = State::Expected { since: Instant::now(), waiting: Vec::new() };
        let member = Member { socket: socket.clone(), session, expires_at: caller.expires_at, state };
        if self.all().insert(socket.id, member).is_none() {
            self.count.inc();
        }
    }

    /// It has heard that it is connected. False when it may not stay.
    pub fn enter(&self, socket: &SocketRef) -> bool {
        let entered = self.all().get_mut(&socket.id).is_some_and(Member::enter);
        if !entered {
            self.leave(socket);
        }
        entered
    }

    /// Forgets a client that is gone.
    pub fn leave(&self, socket: &SocketRef) {
        let left = self.all().remove(&socket.id);
        self.count.sub(i64::from(left.is_some()));
    }

    /// Tells everybody, and cuts off who cannot be told. Returns how many those were.
    pub fn tell(&self, told: &Arc<Told>) -> u64 {
        let slow = self.take(|member| !member.tell(told));
        for member in &slow {
            cut(&member.socket);
        }
        slow.len() as u64
    }

    /// Ends every client of whose session and token this is true.
    pub fn end_if(&self, over: impl Fn(&str, Option<DateTime<Utc>>) -> bool) {
        let ended = self.take(|member| over(&member.session, member.expires_at) || member.is_lost());
        for member in ended {
            session::end(member.socket);
        }
    }

    /// Cuts off everybody.
    pub fn cut_all(&self) {
        for member in self.take(|_| true) {
            cut(&member.socket);
        }
    }

    /// Takes those out of which it is true. They are let go only after the lock: their end is told to us.
    fn take(&self, mut out: impl FnMut(&mut Member) -> bool) -> Vec<Member> {
        let taken: Vec<_> =
            self.all().extract_if(|_, member| out(member)).map(|(_, member)| member).collect();
        self.count.sub(i64::try_from(taken.len()).unwrap_or_default());
        taken
    }
}
