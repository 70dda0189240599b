//! The byte stream of one connection, which can be cut and knows whether all it took is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::head::Heads;
use crate::registry::Connection;

/// Wraps the TLS stream. After [`Connection::cut`] nothing passes any more, in either direction. What
/// is read of an HTTP/1.1 connection is looked at first.
#[derive(Debug)]
pub(crate) struct Io<T> {
    connection: Arc<Connection>,
    heads: Option<Arc<Heads>>,
    inner: T,
}

impl<T> Io<T> {
    pub(crate) fn new(inner: T, connection: Arc<Connection>, heads: Option<Arc<Heads>>) -> Self {
        Self { connection, heads, inner }
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
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(heads) = &self.heads {
            heads.feed(&buf.filled()[before..]);
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
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.refuse_if_cut()?;
        self.connection.note_write();
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
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

    use super::Io;
    use crate::caller::Facts;
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

    #[tokio::test]
    async fn nothing_passes_after_a_cut() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry);
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut io = Io::new(ours, Arc::clone(open.connection()), None);
        io.write_all(b"before").await.expect("passes");
        theirs.write_all(b"unread").await.expect("passes");

        open.connection().cut();
        let aborted = Some(io::ErrorKind::ConnectionAborted);
        let kind = |result: io::Result<usize>| result.err().map(|error| error.kind());
        assert_eq!(kind(io.write(b"after").await), aborted);
        assert_eq!(kind(io.write_vectored(&[io::IoSlice::new(b"after")]).await), aborted);
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
        let mut io = Io::new(slow, Arc::clone(open.connection()), None);
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
