//! One client as everybody else sees it: what is to be written to its socket, and which operations it runs.
//!
//! What waits for a client is bounded. When it reads too slowly, its subscriptions end with a message that says
//! where to go on, instead of losing events in silence; and while its queue is full, nothing is read from it.

use super::{
    LiveLimits,
    frame::Frame,
    group::{Rendered, Seat},
    protocol::{self, Closing},
};
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::{sync::Semaphore, task::AbortHandle};

/// Operations of one socket at a time; a page of a rich client has a handful.
pub(crate) const MAX_OPERATIONS: usize = 50;
/// Queries and mutations of one socket that run at the same time.
const ANSWERING: usize = 4;

/// What an operation is doing.
enum Work {
    /// It was just begun.
    Starting,
    /// A task runs it, or replays for it.
    Running(AbortHandle),
    /// It gets events as they happen.
    Live { _until_dropped: Seat },
}

/// An operation of a client. Never drop it under a lock.
pub(crate) struct Operation {
    id: Arc<str>,
    number: u64,
    work: Work,
}

impl Operation {
    /// Stops what it does.
    pub fn end(self) {
        if let Work::Running(task) = &self.work {
            task.abort();
        }
    }
}

/// What came of beginning an operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It may run.
    Yes,
    /// There is one with this id.
    Duplicate,
    /// There are too many.
    TooMany,
}

/// What came of giving a client events.
pub(crate) enum Pushed {
    /// It will be written.
    Yes,
    /// There was no room: the operation ended.
    Missed(Operation),
    /// The operation had ended before.
    Gone,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// The socket's task.
    socket: Option<Waker>,
    /// Whether that knows that there is something to do.
    woken: bool,
    /// Those who replay, and wait for room.
    waiting: Vec<Waker>,
    operations: Vec<Operation>,
    session: Option<Box<str>>,
    closing: Option<Closing>,
    ended: bool,
}

impl State {
    fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes();
        self.frames.push_back(frame);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(socket) = self.socket.as_ref().filter(|_| !self.woken) {
            socket.wake_by_ref();
            self.woken = true;
        }
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.operations.iter().position(|operation| operation.number == number)
    }

    fn take(&mut self, number: u64) -> Option<Operation> {
        self.position(number).map(|index| self.operations.swap_remove(index))
    }
}

/// One client.
pub(crate) struct Client {
    /// Queries and mutations that may run at the same time.
    pub answering: Semaphore,
    max_frames: usize,
    max_bytes: usize,
    state: Mutex<State>,
}

impl Client {
    /// A client with an empty queue.
    pub fn new(limits: &LiveLimits) -> Self {
        Self {
            answering: Semaphore::new(ANSWERING),
            max_frames: limits.queue_frames,
            max_bytes: limits.queue_bytes,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self, state: &State) -> bool {
        state.frames.len() >= self.max_frames || state.bytes >= self.max_bytes
    }

    /// Queues a message.
    pub fn push_text(&self, text: impl Into<Box<str>>) {
        self.state().push(Frame::Text(text.into()));
    }

    /// Asks the peer whether it is there.
    pub fn push_ping(&self) {
        self.state().push(Frame::Ping);
    }

    /// Queues events for a subscription that has all up to `after`, or ends it when there is no room. Their traces are
    /// told of it if `told`.
    pub fn push_events(
        &self,
        number: u64,
        id: &Arc<str>,
        after: i64,
        events: &[Rendered],
        told: bool,
    ) -> Pushed {
        let mut state = self.state();
        if state.position(number).is_none() {
            return Pushed::Gone;
        }
        for event in events.iter().filter(|event| event.sequence.is_none_or(|sequence| sequence > after)) {
            if !self.is_full(&state) {
                let trace = event.trace.clone().filter(|_| told);
                state.push(Frame::Next { id: id.clone(), payload: event.payload.clone(), trace });
                continue;
            }
            let missed = protocol::error(id, &[protocol::missed(event.sequence)]);
            state.push(Frame::Text(missed.into()));
            return state.take(number).map_or(Pushed::Gone, Pushed::Missed);
        }
        Pushed::Yes
    }

    /// Queues a replayed event; false when the operation has ended. Wait for room before.
    pub fn push_replayed(&self, number: u64, payload: Arc<str>) -> bool {
        let mut state = self.state();
        let Some(index) = state.position(number) else { return false };
        let id = state.operations[index].id.clone();
        state.push(Frame::Next { id, payload, trace: None });
        true
    }

    /// Waits until half the queue is free; false when the operation has ended.
    pub async fn room(&self, number: u64) -> bool {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.position(number).is_none() {
                return Poll::Ready(false);
            }
            if state.frames.len() <= self.max_frames / 2 && state.bytes <= self.max_bytes / 2 {
                return Poll::Ready(true);
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Begins an operation.
    pub fn begin(&self, quoted_id: &Arc<str>, number: u64) -> Begun {
        let mut state = self.state();
        if state.operations.iter().any(|operation| operation.id == *quoted_id) {
            return Begun::Duplicate;
        }
        if state.operations.len() >= MAX_OPERATIONS {
            return Begun::TooMany;
        }
        state.operations.push(Operation { id: quoted_id.clone(), number, work: Work::Starting });
        Begun::Yes
    }

    /// Notes the task of an operation that was begun, unless it has gone on already.
    pub fn running(&self, number: u64, task: AbortHandle) {
        let mut state = self.state();
        match state.position(number) {
            Some(index) if matches!(state.operations[index].work, Work::Starting) => {
                state.operations[index].work = Work::Running(task);
            }
            _ => {}
        }
    }

    /// Makes an operation live; hands the seat back when it has ended.
    pub fn settle(&self, number: u64, seat: Seat) -> Result<(), Seat> {
        let mut state = self.state();
        let Some(index) = state.position(number) else { return Err(seat) };
        state.operations[index].work = Work::Live { _until_dropped: seat };
        Ok(())
    }

    /// Ends an operation with its last messages, unless it has ended before.
    pub fn finish(&self, number: u64, last: impl FnOnce(&str) -> Vec<String>) {
        let mut state = self.state();
        let Some(operation) = state.take(number) else { return };
        for text in last(&operation.id) {
            state.push(Frame::Text(text.into()));
        }
        drop(state);
        drop(operation);
    }

    /// Ends the operation that the client knows by this id, on its wish.
    pub fn complete(&self, quoted_id: &str) {
        let mut state = self.state();
        let index = state.operations.iter().position(|operation| *operation.id == *quoted_id);
        let operation = index.map(|index| state.operations.swap_remove(index));
        drop(state);
        operation.into_iter().for_each(Operation::end);
    }

    /// Notes by which session the client was let in.
    pub fn sign_in(&self, session: &str) {
        self.state().session = Some(session.into());
    }

    /// Closes the socket if it was let in by a session that `ended` knows.
    pub fn close_if(&self, ended: impl FnOnce(&str) -> bool) {
        let mut state = self.state();
        if state.session.as_deref().is_some_and(ended) {
            close(&mut state, Closing::SESSION_ENDED);
        }
    }

    /// Closes the socket.
    pub fn close(&self, closing: Closing) {
        close(&mut self.state(), closing);
    }

    /// Remembers whom to wake, and tells why the socket is to be closed, if it is.
    pub fn watch(&self, cx: &Context<'_>) -> Option<Closing> {
        let mut state = self.state();
        state.woken = false;
        match &mut state.socket {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        state.closing.clone()
    }

    /// The next thing to write.
    pub fn pop(&self) -> Option<Frame> {
        let mut state = self.state();
        let frame = state.frames.pop_front()?;
        state.bytes -= frame.bytes();
        if state.frames.is_empty() {
            // The room of the last burst is not kept for the next
            state.frames = VecDeque::new();
        }
        if !state.waiting.is_empty()
            && state.frames.len() <= self.max_frames / 2
            && state.bytes <= self.max_bytes / 2
        {
            state.waiting.drain(..).for_each(Waker::wake);
        }
        Some(frame)
    }

    /// Whether more may be asked: not while answers pile up.
    pub fn may_ask(&self) -> bool {
        !self.is_full(&self.state())
    }

    /// The socket is gone: ends everything.
    pub fn end(&self) {
        let state = std::mem::replace(&mut *self.state(), State { ended: true, ..State::default() });
        state.waiting.into_iter().for_each(Waker::wake);
        state.operations.into_iter().for_each(Operation::end);
    }
}

fn close(state: &mut State, closing: Closing) {
    if state.closing.is_none() && !state.ended {
        state.closing = Some(closing);
        state.wake();
    }
}
