//! The byte stream of one connection, which can be cut and knows whether all it took is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::frame::Frames;
use crate::head::Heads;
use crate::registry::Connection;

/// Wraps the TLS stream. After [`Connection::cut`] nothing passes any more, in either direction. What
/// is read is looked at first, and in a turn there is only so much of it.
///
/// It does not offer vectored writes. To a stream that does, h2 gives every body of 256 bytes or more by
/// itself and flushes it: a TLS record and a system call for each answer. So it gathers what all answers
/// of a turn have below 1 KiB, and writes that at once.
#[derive(Debug)]
pub(crate) struct Io<T> {
    connection: Arc<Connection>,
    inner: T,
    turn_bytes_max: usize,
    watch: Watch,
}

/// What looks at the bytes that come.
#[derive(Debug)]
pub(crate) enum Watch {
    /// Of an HTTP/2 connection.
    Frames(Frames),
    /// Of an HTTP/1.1 connection.
    Heads(Arc<Heads>),
}

impl<T> Io<T> {
    pub(crate) fn new(
        inner: T,
        connection: Arc<Connection>,
        watch: Watch,
        turn_bytes_max: usize,
    ) -> Self {
        Self { connection, inner, turn_bytes_max, watch }
    }

    fn count_written(&mut self, polled: &Poll<io::Result<usize>>) {
        if let (Watch::Frames(frames), Poll::Ready(Ok(count))) = (&mut self.watch, polled) {
            frames.note_write(*count);
        }
    }

    fn refuse_if_cut(&self) -> io::Result<()> {
        if self.connection.is_cut() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.refuse_if_cut()?;
        if self.connection.note_read(0) >= self.turn_bytes_max {
            // The rest in its next turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = &buf.filled()[before..];
        self.connection.note_read(read.len());
        match &mut self.watch {
            Watch::Frames(frames) => {
                if frames.feed(read).is_err() {
                    tracing::debug!(
                        peer = %self.connection.facts().address(),
                        "connection ended: too many frames that are no part of a call"
                    );
                    self.connection.cut();
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
            Watch::Heads(heads) => heads.feed(read),
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.refuse_if_cut()?;
        // Also when nothing is taken now: whoever tried has bytes of its own that wait.
        self.connection.note_write();
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.count_written(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.refuse_if_cut()?;
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.connection.note_flush();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.refuse_if_cut()?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

    use super::{Io, Watch};
    use crate::caller::Facts;
    use crate::head::Heads;
    use crate::registry::{Registered, Registry};

    /// Takes everything at once and flushes it when it is told to, as TLS over a full socket does.
    struct Slow {
        is_flushable: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.is_flushable { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn enter(registry: &Arc<Registry>) -> Registered {
        registry.enter(Facts::for_test([1; 16]), 1, 1).expect("below the limit")
    }

    fn plain() -> Watch {
        Watch::Heads(Arc::new(Heads::new(1000)))
    }

    #[tokio::test]
    async fn in_a_turn_so_much_is_read_and_no_more() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry);
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut io = Io::new(ours, Arc::clone(open.connection()), plain(), 64);
        theirs.write_all(&[7; 1000]).await.expect("passes");

        let mut turns = Vec::new();
        while turns.iter().sum::<usize>() < 1000 {
            open.connection().begin_turn();
            let mut read = 0;
            while let Some(count) = io.read(&mut [0; 50]).now_or_never() {
                read += count.expect("passes");
            }
            turns.push(read);
        }
        // The last read of a turn may go beyond.
        assert_eq!(turns, [100; 10]);
    }

    #[tokio::test]
    async fn nothing_passes_after_a_cut() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry);
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut io = Io::new(ours, Arc::clone(open.connection()), plain(), 64);
        io.write_all(b"before").await.expect("passes");
        theirs.write_all(b"unread").await.expect("passes");

        open.connection().cut();
        let aborted = Some(io::ErrorKind::ConnectionAborted);
        let kind = |result: io::Result<usize>| result.err().map(|error| error.kind());
        assert_eq!(kind(io.write(b"after").await), aborted);
        assert_eq!(kind(io.write_vectored(&[io::IoSlice::new(b"after")]).await), aborted);
        assert!(!io.is_write_vectored());
        assert_eq!(kind(io.flush().await.map(|()| 0)), aborted);
        assert_eq!(kind(io.shutdown().await.map(|()| 0)), aborted);
        assert_eq!(kind(io.read(&mut [0; 8]).await), aborted);
        drop(io);
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).await.expect("ends");
        assert_eq!(received, b"before");
    }

    #[tokio::test]
    async fn what_is_taken_but_not_flushed_is_not_settled() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry);
        let slow = Slow { is_flushable: false };
        let mut io = Io::new(slow, Arc::clone(open.connection()), plain(), 64);
        let hold = registry.hold(open.connection());
        io.write_all(b"signed").await.expect("taken");
        drop(hold);

        assert!(io.flush().now_or_never().is_none());
        open.connection().settle();
        assert!(registry.barrier(&[]).is_some());

        io.inner.is_flushable = true;
        io.flush().await.expect("flushed");
        open.connection().settle();
        assert!(registry.barrier(&[]).is_none());
    }
}
