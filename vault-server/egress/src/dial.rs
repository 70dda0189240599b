//! From a host to a connection: name, address, TCP, TLS, and what is spoken on it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::link::{Link, Socket, Wire};
use crate::name::Names;
use crate::problem::Problem;
use crate::tally::Tally;
use crate::{EgressError, Override};

/// The port of every venue.
const HTTPS: u16 = 443;
/// After so long without a connection, the next address is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// Longest head of a response, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Headers in it.
const HEADERS_MAX: usize = 256;
/// What a venue may send ahead on one stream and on all of a connection, in bytes.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// TLS sessions kept for one host and credential.
const SESSIONS: usize = 8;

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Dialer {
    bell: Rc<Notify>,
    connect: Duration,
    names: Names,
    overrides: Vec<(Override, Option<Arc<ClientConfig>>)>,
    tls: Arc<ClientConfig>,
}

/// Where a host is, and who vouches for it. TLS sessions are its own: by a session, a venue would
/// know two credentials to be of one house.
#[derive(Debug)]
pub(crate) struct Destination {
    host: String,
    name: ServerName<'static>,
    port: u16,
    instead: Option<SocketAddr>,
    source: Option<IpAddr>,
    tls: Arc<ClientConfig>,
}

/// A new connection.
pub(crate) enum Opened {
    Framed { link: Rc<Link>, sender: h2::client::SendRequest<Bytes> },
    Plain { link: Rc<Link>, sender: hyper::client::conn::http1::SendRequest<Full<Bytes>> },
}

impl Dialer {
    pub(crate) fn new(
        roots_pem: Option<&[u8]>,
        overrides: Vec<Override>,
        names: Names,
        connect: Duration,
        bell: Rc<Notify>,
    ) -> Result<Self, EgressError> {
        let tls = client_config(match roots_pem {
            Some(pem) => roots(pem)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        })?;
        let with_roots = |instead: Override| {
            let own = instead.roots_pem.as_deref().map(|pem| client_config(roots(pem)?));
            Ok::<_, EgressError>((instead, own.transpose()?))
        };
        let overrides = overrides.into_iter().map(with_roots).collect::<Result<_, _>>()?;
        Ok(Self { bell, connect, names, overrides, tls })
    }

    /// Where to find a host. The first override that names it counts.
    pub(crate) fn destination(&self, host: &str, source: Option<IpAddr>) -> Option<Destination> {
        self.destination_at(host, HTTPS, source, None)
    }

    /// As [`Dialer::destination`], for a WebSocket: on any port, an override too; HTTP/1.1 alone.
    pub(crate) fn stream_destination(
        &self,
        host: &str,
        port: u16,
        source: Option<IpAddr>,
    ) -> Option<Destination> {
        self.destination_at(host, port, source, Some(b"http/1.1"))
    }

    fn destination_at(
        &self,
        host: &str,
        port: u16,
        source: Option<IpAddr>,
        alone: Option<&[u8]>,
    ) -> Option<Destination> {
        let found = self.overrides.iter().find(|(instead, _)| is_named(&instead.host, host));
        let own = found.and_then(|(_, own)| own.as_ref());
        let mut tls = ClientConfig::clone(own.unwrap_or(&self.tls));
        tls.resumption = Resumption::in_memory_sessions(SESSIONS);
        if let Some(protocol) = alone {
            tls.alpn_protocols = vec![protocol.to_vec()];
        }
        Some(Destination {
            host: host.to_owned(),
            name: ServerName::try_from(host.to_owned()).ok()?,
            port,
            instead: found.map(|(instead, _)| instead.connect),
            source,
            tls: Arc::new(tls),
        })
    }

    /// Opens a connection, and starts the task that serves it.
    pub(crate) async fn open(&self, to: &Destination) -> Result<Opened, Problem> {
        let deadline = Instant::now() + self.connect;
        let opened = timeout_at(deadline, async {
            let (socket, stream) = self.connect(to, deadline).await?;
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let link = Link::new(socket, Rc::clone(&self.bell), Tally::framed());
                open_framed(Wire::new(stream, Rc::clone(&link)), link).await
            } else {
                let link = Link::new(socket, Rc::clone(&self.bell), Tally::plain());
                open_plain(Wire::new(stream, Rc::clone(&link)), link).await
            }
        });
        opened.await.unwrap_or(Err(Problem::Timeout))
    }

    /// Opens a connection for a WebSocket. Nothing is spoken on it yet, and no task serves it.
    pub(crate) async fn open_stream(
        &self,
        to: &Destination,
    ) -> Result<(Stream, Rc<Link>), Problem> {
        let deadline = Instant::now() + self.connect;
        let connected = timeout_at(deadline, self.connect(to, deadline)).await;
        let (socket, stream) = connected.unwrap_or(Err(Problem::Timeout))?;
        let link = Link::new(socket, Rc::clone(&self.bell), Tally::messages());
        Ok((Wire::new(stream, Rc::clone(&link)), link))
    }

    /// Name, address, TCP and TLS.
    async fn connect(
        &self,
        to: &Destination,
        deadline: Instant,
    ) -> Result<(Rc<TcpStream>, TlsStream<Socket>), Problem> {
        let addresses: Vec<SocketAddr> = match to.instead {
            Some(instead) => vec![instead],
            None => {
                let found = timeout_at(deadline, self.names.addresses(&to.host)).await;
                // A resolver that is silent says nothing about the venue.
                let found = found.unwrap_or(Err(Problem::DnsFailed))?;
                found.into_iter().map(|address| SocketAddr::new(address, to.port)).collect()
            }
        };
        let socket = connect_to_any(addresses, to.source).await.map_err(|error| {
            tracing::info!(host = to.host, %error, "no connection to the venue");
            Problem::ConnectFailed
        })?;
        // Without it a request in two writes waits for an acknowledgement in between.
        socket.set_nodelay(true).map_err(|_| Problem::ConnectFailed)?;
        let socket = Rc::new(socket);
        let tls = TlsConnector::from(Arc::clone(&to.tls));
        let stream = tls.connect(to.name.clone(), Socket(Rc::clone(&socket))).await;
        let stream = stream.map_err(|error| {
            tracing::warn!(host = to.host, %error, "no TLS with the venue");
            Problem::TlsFailed
        })?;
        Ok((socket, stream))
    }
}

/// A connection under TLS.
pub(crate) type Stream = Wire<TlsStream<Socket>>;

async fn open_plain(stream: Stream, link: Rc<Link>) -> Result<Opened, Problem> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Problem::ConnectFailed)?;
    tokio::task::spawn_local(serve(connection, Rc::clone(&link)));
    // A connection is there for the taking only once its task has begun.
    sender.ready().await.map_err(|_| Problem::ConnectFailed)?;
    Ok(Opened::Plain { link, sender })
}

async fn open_framed(stream: Stream, link: Rc<Link>) -> Result<Opened, Problem> {
    let (sender, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(|_| Problem::ConnectFailed)?;
    tokio::task::spawn_local(serve(connection, Rc::clone(&link)));
    Ok(Opened::Framed { link, sender })
}

/// Polls a connection to its end, or until it is cut. The socket is closed with it.
async fn serve<E: std::fmt::Display>(
    connection: impl Future<Output = Result<(), E>>,
    link: Rc<Link>,
) {
    {
        let mut connection = pin!(connection);
        let ended = poll_fn(|cx| {
            link.register(cx.waker());
            if link.is_cut() {
                return std::task::Poll::Ready(Ok(()));
            }
            connection.as_mut().poll(cx)
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(%error, "connection to a venue ended");
        }
        link.retire();
    }
    link.end();
}

/// The first connection that comes about: one address after the other, without waiting long for any.
async fn connect_to_any(
    addresses: Vec<SocketAddr>,
    source: Option<IpAddr>,
) -> io::Result<TcpStream> {
    let fits =
        |address: &SocketAddr| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4());
    let mut left: VecDeque<SocketAddr> = alternating(addresses.into_iter().filter(fits));
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match left.pop_front() {
            Some(address) => attempts.push(connect(address, source)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let wait = if left.is_empty() { Duration::MAX } else { NEXT_ADDRESS };
        match tokio::time::timeout(wait, attempts.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => last = error,
            Ok(None) | Err(_) => {}
        }
    }
}

/// IPv4 and IPv6 in turns, in the order in which they came.
fn alternating(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) = addresses.partition(SocketAddr::is_ipv4);
    let mut all = VecDeque::new();
    while let Some(address) = one.pop_front().or_else(|| other.pop_front()) {
        all.push_back(address);
        all.extend(other.pop_front());
    }
    all
}

async fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(address).await
}

pub(crate) fn roots(pem: &[u8]) -> Result<RootCertStore, EgressError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| EgressError::Setup("a CA file is not PEM"))?;
        store
            .add(certificate)
            .map_err(|_| EgressError::Setup("a certificate in a CA file cannot vouch"))?;
    }
    if store.is_empty() {
        return Err(EgressError::Setup("a CA file has no certificate"));
    }
    Ok(store)
}

fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, EgressError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| EgressError::Setup("TLS cannot be set up"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A request in the first flight can be sent again by whoever hears it (RFC 8446, section 8).
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// Whether a glob names a host: `*` stands for any characters, dots too.
fn is_named(glob: &str, host: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| host.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{alternating, is_named};

    #[test]
    fn globs_name_whole_hosts() {
        for (glob, host, named) in [
            ("*", "api.binance.com", true),
            ("api.binance.com", "api.binance.com", true),
            ("api.binance.com", "api.binance.com.evil.example", false),
            ("api.binance.com", "xapi.binance.com", false),
            ("*.binance.com", "api.binance.com", true),
            ("*.binance.com", "binance.com", false),
            ("*.binance.com", "a.binance.com.example", false),
            ("api*.binance.com", "api1.binance.com", true),
            ("api*.binance.com", "api.binance.com", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
            ("ab*ba", "aba", false),
            ("", "a", false),
        ] {
            assert_eq!(is_named(glob, host), named, "{glob} {host}");
        }
    }

    #[test]
    fn families_take_turns() {
        let parse = |text: &&'static str| text.parse::<SocketAddr>().expect("an address");
        let given = ["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1", "[2a00::1]:1"];
        let order = alternating(given.iter().map(parse));
        let expected = ["1.1.1.1:1", "[2a00::1]:1", "1.1.1.2:1", "1.1.1.3:1"];
        assert_eq!(order, expected.iter().map(parse).collect::<Vec<_>>());
        let six = ["[2a00::1]:1", "[2a00::2]:1"];
        assert_eq!(alternating(six.iter().map(parse)).len(), 2);
    }
}
