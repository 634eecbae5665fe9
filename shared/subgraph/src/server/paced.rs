//! A connection whose other end may not keep it waiting for ever.
//!
//! hyper's `header_read_timeout` counts from the end of the last answer: it cannot be short for the head of a request
//! and long between two requests. Nor does hyper bound how long a client leaves an answer unread.

use super::limits::Limits;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};
use tokio_util::task::task_tracker::TaskTrackerToken;

const BETWEEN: u8 = 0;
const HEAD: u8 = 1;
const ANSWERING: u8 = 2;
const UPGRADED: u8 = 3;

/// What a connection is busy with. The bytes alone do not tell where a head ends: whoever answers does.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage(Arc<AtomicU8>);

impl Stage {
    /// The head is complete.
    pub fn answering(&self) {
        self.set(ANSWERING);
    }

    /// The answer is there, and what comes next is another head.
    pub fn answered(&self) {
        self.set(BETWEEN);
    }

    /// What comes next is not HTTP; whoever has the connection now watches over it.
    pub fn upgraded(&self) {
        self.set(UPGRADED);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, stage: u8) {
        self.0.store(stage, Ordering::Relaxed);
    }
}

/// What a connection has as long as it is open: one of the places there are, and the server's patience at its end.
pub(super) type Held = (OwnedSemaphorePermit, TaskTrackerToken);

/// A TCP stream that fails with `TimedOut` when nothing moves for too long.
#[derive(Debug)]
pub(super) struct Paced {
    stream: TcpStream,
    stage: Stage,
    limits: Limits,
    /// When something moved last.
    moved: Instant,
    /// When the head under way began.
    head: Instant,
    timer: Pin<Box<Sleep>>,
    /// Given back when the stream is closed, also long after an upgrade.
    _held: Held,
}

impl Paced {
    pub fn new(stream: TcpStream, limits: Limits, held: Held) -> Self {
        let (now, timer) = (Instant::now(), Box::pin(sleep(limits.idle)));
        Self { stream, stage: Stage::default(), limits, moved: now, head: now, timer, _held: held }
    }

    pub fn stage(&self) -> Stage {
        self.stage.clone()
    }

    fn has_read(&mut self) {
        if self.stage.get() == UPGRADED {
            return;
        }
        self.moved = Instant::now();
        if self.stage.get() == BETWEEN {
            self.stage.set(HEAD);
            self.head = self.moved;
        }
    }

    fn has_written(&mut self) {
        if self.stage.get() != UPGRADED {
            self.moved = Instant::now();
            // A head that came early, while the answer before it was still being written, has its time too
            self.head = self.moved;
        }
    }

    /// Nothing to read, or no room to write: pending, or too late.
    fn waits<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        while self.stage.get() != UPGRADED {
            let head = self.stage.get() == HEAD;
            let due = if head { self.head + self.limits.head } else { self.moved + self.limits.idle };
            if due <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // Set back only when it fires: setting it at every request would cost more than the rest of this
            if due < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
        Poll::Pending
    }
}

impl AsyncRead for Paced {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.waits(cx),
            done @ Poll::Ready(_) => {
                this.has_read();
                done
            }
        }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write_vectored(cx, bufs) {
            Poll::Pending => this.waits(cx),
            done @ Poll::Ready(_) => {
                this.has_written();
                done
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
