//! Accepting: from a TCP connection to one that is identified and has its place.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::service::Routes;
use vault_ipc::Listener;

use crate::FrontError;
use crate::address::{Peer, PeerCount, PeerPlace};
use crate::caller::{Certificate, Facts};
use crate::core::Core;
use crate::gate::Gate;
use crate::handler::{Handler, routes};
use crate::head::Heads;
use crate::health::Healths;
use crate::limit::{Limits, ListenerLimits};
use crate::lobby::Lobby;
use crate::proxy;
use crate::registry::Registry;
use crate::serve::serve;
use crate::stream::Upgrades;
use crate::tls::{ALPN_H2, ALPN_HTTP1, TlsCell};
use crate::venue_proxy::VenueProxy;

/// How long to leave a socket alone that cannot accept: most often the process is out of
/// descriptors, which time alone mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listeners of one kind: what they offer, and the places that they share.
#[derive(Debug)]
pub(crate) struct Door {
    connections: Arc<Semaphore>,
    connections_by_peer: PeerCount,
    handshakes: Arc<Semaphore>,
    handshakes_by_peer: PeerCount,
    handshakes_waiting_by_peer: PeerCount,
    kind: Listener,
    limits: Arc<Limits>,
    lobby: Lobby,
    of_kind: ListenerLimits,
    /// Where clients are proxied.
    proxy: Option<VenueProxy>,
    registry: Arc<Registry>,
    routes: Routes,
    tls: Arc<TlsCell>,
}

/// Why a connection was turned away before its first call.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the client certificate cannot be read")]
    Certificate,
    #[error("too many connections")]
    Connections,
    #[error("too many connections of one client certificate")]
    ConnectionsOfCertificate,
    #[error("too many connections of one address")]
    ConnectionsOfPeer,
    #[error("nothing came, or not in time")]
    FirstByte,
    #[error("too many handshakes of one address")]
    HandshakesOfPeer,
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("a health check of a balancer")]
    Local,
    #[error("the peer does not speak a protocol that this listener speaks")]
    Protocol,
    #[error(transparent)]
    Proxy(#[from] proxy::ProxyError),
    #[error("silent for too long among too many")]
    SentAway,
    #[error("the tls handshake failed")]
    Tls(#[source] std::io::Error),
    #[error("the handshake took too long")]
    TooSlow,
    #[error("the peer is not a trusted balancer")]
    UntrustedProxy,
}

/// A connection that has shown who it is.
struct Identified {
    facts: Facts,
    /// Of an HTTP/1.1 connection.
    heads: Option<Arc<Heads>>,
    stream: TlsStream<TcpStream>,
    _place: OwnedSemaphorePermit,
    _place_of_peer: PeerPlace,
}

impl Door {
    pub(crate) fn new(
        kind: Listener,
        core: &Core,
        healths: &Healths,
        limits: Arc<Limits>,
        registry: Arc<Registry>,
        tls: Arc<TlsCell>,
    ) -> Result<Self, FrontError> {
        let of_kind = limits.listener(kind).ok_or(FrontError::ListenerKind)?.clone();
        let handler = Handler::new(kind, core, &of_kind, limits.execute_bytes);
        let proxy = (kind == Listener::Bot)
            .then(|| VenueProxy::new(handler.clone(), of_kind.message_bytes));
        Ok(Self {
            connections: Arc::new(Semaphore::new(of_kind.connections)),
            connections_by_peer: PeerCount::default(),
            handshakes: Arc::new(Semaphore::new(of_kind.handshakes)),
            handshakes_by_peer: PeerCount::default(),
            handshakes_waiting_by_peer: PeerCount::default(),
            kind,
            lobby: Lobby::new(of_kind.silent, of_kind.silent_per_address),
            proxy,
            routes: routes(&handler, healths, of_kind.message_bytes),
            of_kind,
            limits,
            registry,
            tls,
        })
    }

    pub(crate) fn kind(&self) -> Listener {
        self.kind
    }

    /// Accepts for ever, from the first server identity on. Nothing is waited for before `accept`:
    /// who fills the kernel's queue would keep everybody else out.
    pub(crate) async fn accept(self: Arc<Self>, socket: TcpListener, proxied_from: Arc<[IpNet]>) {
        self.tls.config(self.kind).await;
        loop {
            let (tcp, address) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, listener = ?self.kind, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let door = Arc::clone(&self);
            let proxied_from = Arc::clone(&proxied_from);
            tokio::spawn(async move {
                let kind = door.kind;
                if let Err(refusal) = door.admit(tcp, address, &proxied_from).await {
                    tracing::debug!(%refusal, peer = %address, listener = ?kind, "connection refused");
                }
            });
        }
    }

    /// Takes a connection from its first byte to its last.
    async fn admit(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
        proxied_from: &[IpNet],
    ) -> Result<(), Refusal> {
        let identified = timeout(
            self.limits.handshake,
            self.identify(tcp, address.ip().to_canonical(), proxied_from),
        )
        .await
        .map_err(|_| Refusal::TooSlow)??;

        let registered = self
            .registry
            .enter(identified.facts, self.limits.streams, self.of_kind.connections_per_certificate)
            .ok_or(Refusal::ConnectionsOfCertificate)?;
        let gate = Gate {
            call_max: self.of_kind.call,
            connection: Arc::clone(registered.connection()),
            execute_max: self.of_kind.execute,
            heads: identified.heads,
            proxy: self.proxy.clone(),
            routes: self.routes.clone(),
            upgrades: Upgrades::default(),
        };
        let age = self.of_kind.connection_age + spread(address, self.of_kind.connection_age);
        serve(identified.stream, registered, gate, &self.limits, age).await;
        Ok(())
    }

    async fn identify(
        &self,
        mut tcp: TcpStream,
        peer: IpAddr,
        proxied_from: &[IpNet],
    ) -> Result<Identified, Refusal> {
        tcp.set_nodelay(true)?;
        let (address, via) = if proxied_from.is_empty() {
            (peer, "direct".to_owned())
        } else {
            if !proxied_from.iter().any(|network| network.contains(&peer)) {
                return Err(Refusal::UntrustedProxy);
            }
            // A balancer's connections are those of many peers.
            let header = timeout(self.limits.proxy_header, proxy::read(&mut tcp));
            let header = self.lobby.wait(None, header).await.ok_or(Refusal::SentAway)?;
            match header.map_err(|_| Refusal::FirstByte)?? {
                proxy::Header::Local => return Err(Refusal::Local),
                proxy::Header::Peer(address) => (address, peer.to_string()),
            }
        };
        self.first_byte(&tcp, Peer::from(address)).await?;

        let place =
            Arc::clone(&self.connections).try_acquire_owned().map_err(|_| Refusal::Connections)?;
        let place_of_peer = self
            .connections_by_peer
            .take(Peer::from(address), self.of_kind.connections_per_address)
            .ok_or(Refusal::ConnectionsOfPeer)?;
        let _handshake = self.handshake_place(Peer::from(address)).await?;
        let config = self.tls.config(self.kind).await;
        let stream = TlsAcceptor::from(config).accept(tcp).await.map_err(Refusal::Tls)?;

        let (_, session) = stream.get_ref();
        let heads = match session.alpn_protocol() {
            Some(ALPN_H2) => None,
            None | Some(ALPN_HTTP1) if self.proxy.is_some() => {
                Some(Arc::new(Heads::new(self.limits.proxied_header_list_bytes as usize)))
            }
            _ => return Err(Refusal::Protocol),
        };
        let certificate = match session.peer_certificates() {
            Some([leaf, ..]) => Some(Certificate::read(leaf).ok_or(Refusal::Certificate)?),
            _ => None,
        };
        Ok(Identified {
            facts: Facts::new(address, via, self.kind, certificate),
            heads,
            stream,
            _place: place,
            _place_of_peer: place_of_peer,
        })
    }

    /// Waits for the first byte, which stays in the socket. Until it is there, a connection holds no
    /// place but one in the lobby: silence costs an attacker nothing.
    async fn first_byte(&self, tcp: &TcpStream, peer: Peer) -> Result<(), Refusal> {
        let mut byte = [0];
        // Not `readable`, which may say so before there is anything.
        let peeked = timeout(self.limits.first_byte, tcp.peek(&mut byte));
        let peeked = self.lobby.wait(Some(peer), peeked).await.ok_or(Refusal::SentAway)?;
        match peeked.map_err(|_| Refusal::FirstByte)?? {
            0 => Err(Refusal::FirstByte),
            _ => Ok(()),
        }
    }

    /// The peer's place for a handshake, and one of the listener's. While a peer waits for its own
    /// it holds none of the listener's, so that one peer cannot keep others out.
    async fn handshake_place(
        &self,
        peer: Peer,
    ) -> Result<(PeerPlace, OwnedSemaphorePermit), Refusal> {
        let max = self.limits.handshakes_per_address;
        let place = match self.handshakes_by_peer.take(peer, max) {
            Some(place) => place,
            None => {
                let _waiting = self
                    .handshakes_waiting_by_peer
                    .take(peer, self.limits.handshakes_waiting_per_address)
                    .ok_or(Refusal::HandshakesOfPeer)?;
                self.handshakes_by_peer.wait(peer, max).await
            }
        };
        let handshake =
            Arc::clone(&self.handshakes).acquire_owned().await.map_err(|_| Refusal::TooSlow)?;
        Ok((place, handshake))
    }
}

/// Up to a tenth of `age`, by the peer's port: connections made together do not end together.
fn spread(address: SocketAddr, age: Duration) -> Duration {
    age.mul_f64(f64::from(address.port() % 100) / 1000.0)
}
