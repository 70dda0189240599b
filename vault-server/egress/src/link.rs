//! One connection to a venue: what has passed on it, and the knife that cuts it.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::tally::Tally;

/// Header of a record of TLS (RFC 8446, section 5.1), in bytes.
const RECORD_HEADER_BYTES: usize = 5;
/// A record of TLS that is encrypted.
const ENCRYPTED: u8 = 23;
/// An alert that is encrypted is not longer: 2 bytes, its type and a tag. A session ticket, which may
/// lie unread too, is longer by far.
const ALERT_BYTES_MAX: u16 = 24;

/// What the parts of the egress share about a connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Rung whenever something that a barrier waits for may have happened.
    bell: Rc<Notify>,
    cut: Cell<bool>,
    ended: Cell<bool>,
    flushed: Cell<u64>,
    /// Rung once, when the task is over.
    over: Notify,
    /// No new request goes on it.
    retired: Cell<bool>,
    socket: Rc<TcpStream>,
    tally: RefCell<Tally>,
    task: RefCell<Option<Waker>>,
    /// A write broke: how much of what it held has passed cannot be known.
    write_broke: Cell<bool>,
}

impl Link {
    pub(crate) fn new(socket: Rc<TcpStream>, bell: Rc<Notify>, tally: Tally) -> Rc<Self> {
        Rc::new(Self {
            bell,
            cut: Cell::new(false),
            ended: Cell::new(false),
            flushed: Cell::new(0),
            over: Notify::new(),
            retired: Cell::new(false),
            socket,
            tally: RefCell::new(tally),
            task: RefCell::new(None),
            write_broke: Cell::new(false),
        })
    }

    /// Follows a request from its first byte on.
    pub(crate) fn begin(&self, request: u32, body_bytes: usize) {
        self.tally.borrow_mut().begin(request, body_bytes as u64);
    }

    /// Notes that a message of a WebSocket was handed over whole, and flushed.
    pub(crate) fn end_message(&self, message: u32) {
        self.tally.borrow_mut().end(message);
        self.bell.notify_waiters();
    }

    /// Stops following it.
    pub(crate) fn forget(&self, request: u32) {
        self.tally.borrow_mut().forget(request);
    }

    /// Whether a byte of it may have passed. Says yes when that cannot be known.
    pub(crate) fn is_sent(&self, request: u32) -> bool {
        let tally = self.tally.borrow();
        tally.passed(request).started || self.write_broke.get() || tally.is_between()
    }

    /// Whether all of it is in the kernel's hands.
    pub(crate) fn is_written(&self, request: u32) -> bool {
        let ended_at = self.tally.borrow().passed(request).ended_at;
        ended_at.is_some_and(|at| at <= self.flushed.get())
    }

    /// Lets nothing pass any more, at once and for good.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
        self.wake();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Keeps new requests off it.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
    }

    /// Notes that its task is over.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.over.notify_one();
        self.bell.notify_waiters();
    }

    /// Waits until its task is over. For one waiter.
    pub(crate) async fn ended(&self) {
        self.over.notified().await;
    }

    /// Whether a new request may go on it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.cut.get() && !self.ended.get() && !self.retired.get()
    }

    /// Whether the venue has ended the connection, though our task may not know yet. Asks the kernel.
    pub(crate) fn is_stale(&self) -> bool {
        let mut record = [0; RECORD_HEADER_BYTES];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&*self.socket, &mut record, flags) {
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => false,
            Ok((count, _)) => is_end(&record[..count]),
            Err(_) => true,
        }
    }

    /// The task to wake when the connection is cut.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
        self.bell.notify_waiters();
    }

    fn refuse_if_cut(&self) -> io::Result<()> {
        if self.cut.get() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn note_write(&self, bufs: &[io::IoSlice<'_>], written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(count)) => {
                let mut left = *count;
                let mut tally = self.tally.borrow_mut();
                for buf in bufs {
                    let count = left.min(buf.len());
                    tally.feed(&buf[..count]);
                    left -= count;
                }
            }
            Poll::Ready(Err(_)) => self.write_broke.set(true),
            // Nothing was taken.
            Poll::Pending => {}
        }
    }
}

/// Whether what lies unread on a connection, on which nothing is due, is its end.
fn is_end(record: &[u8]) -> bool {
    match *record {
        [ENCRYPTED, _, _, high, low] => u16::from_be_bytes([high, low]) <= ALERT_BYTES_MAX,
        // An alert, the end of the stream, or nothing of ours.
        _ => true,
    }
}

/// The plaintext side of a connection.
#[derive(Debug)]
pub(crate) struct Wire<T> {
    inner: T,
    link: Rc<Link>,
}

impl<T> Wire<T> {
    pub(crate) fn new(inner: T, link: Rc<Link>) -> Self {
        Self { inner, link }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.link.refuse_if_cut()?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.link.refuse_if_cut()?;
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.link.note_write(&[io::IoSlice::new(buf)], &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.link.refuse_if_cut()?;
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.link.note_write(bufs, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.refuse_if_cut()?;
        let bytes = self.link.tally.borrow().bytes();
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) && self.link.flushed.replace(bytes) < bytes {
            self.link.bell.notify_waiters();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.refuse_if_cut()?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The socket below TLS. Shared, so that [`Link::is_stale`] can ask the kernel about it.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) Rc<TcpStream>);

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(buf.initialize_unfilled()) {
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Write) {
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_end;

    #[test]
    fn a_ticket_is_no_end() {
        assert!(!is_end(&[23, 3, 3, 0, 250]));
        assert!(!is_end(&[23, 3, 3, 1, 0]));
        // close_notify in TLS 1.3 and 1.2, and the end of the stream.
        for record in [&[23, 3, 3, 0, 19][..], &[21, 3, 3, 0, 26], &[], &[23], b"HTTP/"] {
            assert!(is_end(record), "{record:?}");
        }
    }
}
