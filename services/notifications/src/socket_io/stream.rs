//! A WebSocket's connection that can be cut, and that a client cannot hold by reading nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// How long a client may take nothing of what is written to it.
const STALL: Duration = Duration::from_secs(30);

/// A stream that fails once its token is cancelled. One task may read it while another writes to it.
pub(super) struct Cuttable<S> {
    inner: S,
    cut: CancellationToken,
    cut_for_reader: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_for_writer: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _closed: DropGuard,
}

impl<S> Cuttable<S> {
    /// `cut` cuts it; `closed` is cancelled when it is closed, for whatever reason.
    pub fn new(inner: S, cut: CancellationToken, closed: CancellationToken) -> Self {
        let (reader, writer) = (cut.clone().cancelled_owned(), cut.clone().cancelled_owned());
        Self {
            inner,
            cut,
            cut_for_reader: Box::pin(reader),
            cut_for_writer: Box::pin(writer),
            stalled: None,
            _closed: closed.drop_guard(),
        }
    }

    /// Nothing can be written: pending, or for too long.
    fn waits<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL)));
        ready!(stalled.as_mut().poll(cx));
        self.cut.cancel();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cuttable<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.cut_for_reader.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut this.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cuttable<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.cut_for_writer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match Pin::new(&mut this.inner).poll_write(cx, buf) {
            Poll::Pending => this.waits(cx),
            done @ Poll::Ready(_) => {
                this.stalled = None;
                done
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex, split},
        time::{advance, pause},
    };

    #[tokio::test]
    async fn a_cut_ends_both_who_reads_and_who_writes() {
        let (ours, _theirs) = duplex(1);
        let (cut, closed) = (CancellationToken::new(), CancellationToken::new());
        let (mut reader, mut writer) = split(Cuttable::new(ours, cut.clone(), closed.clone()));
        let reading = tokio::spawn(async move { reader.read_u8().await.unwrap_err().kind() });
        let writing = tokio::spawn(async move { writer.write_all(b"too much").await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        cut.cancel();
        assert_eq!(reading.await.unwrap(), io::ErrorKind::ConnectionAborted);
        assert_eq!(writing.await.unwrap(), io::ErrorKind::ConnectionAborted);
        closed.cancelled().await;
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut() {
        pause();
        let (ours, mut theirs) = duplex(1);
        let cut = CancellationToken::new();
        let mut stream = Cuttable::new(ours, cut.clone(), CancellationToken::new());
        let writing = tokio::spawn(async move { stream.write_all(b"abc").await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        advance(STALL / 2).await;
        // A byte later its time begins anew
        assert_eq!(theirs.read_u8().await.unwrap(), b'a');
        tokio::task::yield_now().await;
        advance(STALL * 3 / 4).await;
        tokio::task::yield_now().await;
        assert!(!cut.is_cancelled());
        advance(STALL / 2).await;
        assert_eq!(writing.await.unwrap(), io::ErrorKind::TimedOut);
        assert!(cut.is_cancelled());
    }
}
