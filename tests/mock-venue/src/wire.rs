//! A connection that can be broken on purpose, below HTTP and above TLS.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection, and what is to happen to it.
pub(crate) struct Wire {
    socket: Socket,
    damage: Damage,
}

pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The damage of one connection, shared with whoever does it.
#[derive(Clone, Default)]
pub(crate) struct Damage(Arc<Mutex<Harm>>);

#[derive(Default)]
enum Harm {
    #[default]
    None,
    /// The next write ends the connection with a TCP reset.
    Reset,
    /// The next writes send these bytes in place of theirs, and end the connection.
    Instead(Bytes),
    /// The next flush sends these bytes as well.
    Also(Bytes),
}

impl Damage {
    /// Ends the connection with a TCP reset as soon as something is written to it.
    pub(crate) fn reset(&self) {
        self.set(Harm::Reset);
    }

    /// Sends these bytes in place of what is written next, then closes.
    pub(crate) fn replace(&self, bytes: Bytes) {
        self.set(Harm::Instead(bytes));
    }

    /// Sends these bytes after what is written next.
    pub(crate) fn append(&self, bytes: Bytes) {
        self.set(Harm::Also(bytes));
    }

    fn set(&self, harm: Harm) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = harm;
    }
}

impl Wire {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, damage: Damage::default() }
    }

    pub(crate) fn damage(&self) -> Damage {
        self.damage.clone()
    }

    /// Whether HTTP/2 was agreed on.
    pub(crate) fn is_http2(&self) -> bool {
        match &self.socket {
            Socket::Plain(_) => false,
            Socket::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(crate::tls::HTTP2),
        }
    }
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Writes all of `bytes`, taking off what is written.
    fn drain(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            match ready!(self.write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => bytes.advance(written),
            }
        }
        self.flush(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, damage } = &mut *self;
        let mut harm = damage.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *harm {
            Harm::None | Harm::Also(_) => {}
            Harm::Reset => {
                // Without lingering, the close that follows this error is a reset.
                let _ = socket.tcp().set_zero_linger();
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            Harm::Instead(instead) => {
                ready!(socket.drain(cx, instead))?;
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        drop(harm);
        socket.write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, damage } = &mut *self;
        let mut harm = damage.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Harm::Also(more) = &mut *harm {
            ready!(socket.drain(cx, more))?;
            *harm = Harm::None;
        }
        drop(harm);
        socket.flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
