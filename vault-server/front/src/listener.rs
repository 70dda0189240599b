//! Accepting: from a TCP connection to one that is identified and has its place.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::server::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};
use tonic::service::Routes;
use vault_ipc::Listener;

use crate::FrontError;
use crate::address::{Peer, PeerCount, PeerPlace};
use crate::caller::{Certificate, Facts};
use crate::core::Core;
use crate::failure::{Counted, Failures};
use crate::gate::Gate;
use crate::handler::{Handler, routes};
use crate::head::Heads;
use crate::health::Healths;
use crate::limit::{Limits, ListenerLimits};
use crate::lobby::Lobby;
use crate::proxy;
use crate::registry::Registry;
use crate::room::Room;
use crate::serve::serve;
use crate::sign::Signs;
use crate::stream::Upgrades;
use crate::tls::{ALPN_H2, ALPN_HTTP1, TlsCell};
use crate::turn::{Executor, Lane, Turns};
use crate::venue_proxy::VenueProxy;

/// How long to leave a socket alone that cannot accept: most often the process is out of
/// descriptors, which time alone mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often it is said that one cannot accept, and how many handshakes have failed.
const REPORT: Duration = Duration::from_secs(60);

/// The listeners of one kind: what they offer, and the places that they share.
#[derive(Debug)]
pub(crate) struct Door {
    clients: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    connections_by_peer: PeerCount,
    failures: Failures,
    /// Of those who have said hello and are waited for again.
    handshakes: Lobby,
    kind: Listener,
    limits: Arc<Limits>,
    /// Of those who have not said hello yet.
    lobby: Lobby,
    of_kind: ListenerLimits,
    /// Where clients are proxied.
    proxy: Option<VenueProxy>,
    registry: Arc<Registry>,
    routes: Routes,
    /// Where operators are heard: for clients who come there all the same, and are refused by the core.
    routes_of_clients: Option<Routes>,
    /// Where bots sign.
    signs: Option<Signs>,
    tls: Arc<TlsCell>,
    turns: Turns,
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
    #[error("too many connections of clients")]
    ConnectionsOfClients,
    #[error("too many connections of one address")]
    ConnectionsOfPeer,
    #[error("too many failed handshakes of one address")]
    Failures,
    #[error("nothing came, or not in time")]
    FirstByte,
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
    _place_of_client: Option<OwnedSemaphorePermit>,
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
        turns: Turns,
    ) -> Result<Self, FrontError> {
        let of_kind = limits.listener(kind).ok_or(FrontError::ListenerKind)?.clone();
        let handler = Handler::new(kind, core, &of_kind, limits.execute_bytes);
        let routes_of_clients = (kind == Listener::Operator)
            .then(|| routes(&handler.for_clients(), healths, limits.bot.message_bytes));
        let signs = (kind == Listener::Bot).then(|| Signs::new(handler.clone()));
        let proxy = (kind == Listener::Bot)
            .then(|| VenueProxy::new(handler.clone(), of_kind.message_bytes));
        Ok(Self {
            clients: Arc::new(Semaphore::new(of_kind.connections_of_clients)),
            connections: Arc::new(Semaphore::new(of_kind.connections)),
            connections_by_peer: PeerCount::default(),
            failures: match kind {
                Listener::Operator => Failures::without_end(&limits),
                _ => Failures::new(&limits),
            },
            handshakes: Lobby::new(of_kind.handshakes, of_kind.handshakes_per_address),
            kind,
            lobby: Lobby::new(of_kind.silent, of_kind.silent_per_address),
            proxy,
            routes: routes(&handler, healths, of_kind.message_bytes),
            routes_of_clients,
            signs,
            of_kind,
            limits,
            registry,
            tls,
            turns,
        })
    }

    pub(crate) fn kind(&self) -> Listener {
        self.kind
    }

    /// Accepts for ever, from the first server identity on. Nothing is waited for before `accept`:
    /// who fills the kernel's queue would keep everybody else out.
    pub(crate) async fn accept(self: Arc<Self>, socket: TcpListener, proxied_from: Arc<[IpNet]>) {
        self.tls.config(self.kind).await;
        let turns = self.turns.clone();
        // In the lane of those whom it lets in: no more are accepted than can be looked at.
        turns.within(Lane::of_strangers(self.kind), self.accept_all(socket, proxied_from)).await;
    }

    async fn accept_all(self: Arc<Self>, socket: TcpListener, proxied_from: Arc<[IpNet]>) {
        let mut said_at = None::<Instant>;
        loop {
            let (tcp, address) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    if said_at.is_none_or(|said_at| said_at.elapsed() >= REPORT) {
                        tracing::warn!(%error, listener = ?self.kind, "cannot accept");
                        said_at = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let door = Arc::clone(&self);
            let proxied_from = Arc::clone(&proxied_from);
            tokio::spawn(async move {
                let kind = door.kind;
                if let Err(refusal) = door.admit(tcp, address, &proxied_from).await {
                    door.registry.metrics().refused(kind);
                    tracing::debug!(%refusal, peer = %address, listener = ?kind, "connection refused");
                }
            });
        }
    }

    /// Says from time to time how many handshakes have failed, for ever. One line for all of them:
    /// nobody can fill the log.
    pub(crate) async fn report(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REPORT).await;
            let Counted { failed, turned_away } = self.failures.take_counted();
            if failed + turned_away > 0 {
                tracing::warn!(
                    failed,
                    turned_away,
                    listener = ?self.kind,
                    "handshakes failed in the last minute"
                );
            }
        }
    }

    /// Takes a connection from its first byte to its last.
    async fn admit(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
        proxied_from: &[IpNet],
    ) -> Result<(), Refusal> {
        let identify = self.identify(tcp, address.ip().to_canonical(), proxied_from);
        let identify = self.turns.within(Lane::of_strangers(self.kind), identify);
        let identified =
            timeout(self.limits.handshake, identify).await.map_err(|_| Refusal::TooSlow)??;

        let lane = Lane::of(&identified.facts);
        let (routes, message_bytes_max) = match &self.routes_of_clients {
            Some(routes) if !identified.facts.is_operator() => {
                (routes, self.limits.bot.message_bytes)
            }
            _ => (&self.routes, self.of_kind.message_bytes),
        };
        let registered = self
            .registry
            .enter(identified.facts, self.limits.streams, self.of_kind.connections_per_certificate)
            .ok_or(Refusal::ConnectionsOfCertificate)?;
        let gate = Gate {
            call_max: self.of_kind.call,
            connection: Arc::clone(registered.connection()),
            execute_max: self.of_kind.execute,
            heads: identified.heads,
            message_bytes_max,
            proxy: self.proxy.clone(),
            room: Room::of(self.limits.half_come_bytes.max(message_bytes_max)),
            routes: routes.clone(),
            signs: self.signs.clone(),
            upgrades: Upgrades::default(),
        };
        let age = self.of_kind.connection_age + spread(address, self.of_kind.connection_age);
        let executor = Executor { lane, turns: self.turns.clone() };
        let serving = serve(identified.stream, registered, gate, &self.limits, age, executor);
        self.turns.within(lane, serving).await;
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
        let attempt = self.failures.attempt(Peer::from(address)).ok_or(Refusal::Failures)?;
        let hello = match self.hello(tcp, Peer::from(address)).await {
            Ok(hello) => hello,
            Err(refusal) => {
                // It has cost next to nothing: who says nothing may try again.
                if !matches!(refusal, Refusal::Tls(_)) {
                    attempt.forgive();
                }
                return Err(refusal);
            }
        };
        let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else {
            attempt.forgive();
            return Err(Refusal::Connections);
        };
        let per_address = self.of_kind.connections_per_address;
        let place_of_peer = self.connections_by_peer.take(Peer::from(address), per_address);
        let Some(place_of_peer) = place_of_peer else {
            attempt.forgive();
            return Err(Refusal::ConnectionsOfPeer);
        };
        let config = self.tls.config(self.kind).await;
        let shaken = self.handshakes.wait(Some(Peer::from(address)), hello.into_stream(config));
        let Some(shaken) = shaken.await else {
            attempt.forgive();
            return Err(Refusal::SentAway);
        };
        let stream = shaken.map_err(Refusal::Tls)?;

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
        attempt.succeed();
        let facts = Facts::new(address, via, self.kind, certificate);
        let place_of_client = match facts.is_operator() {
            true => None,
            false => {
                let place = Arc::clone(&self.clients).try_acquire_owned();
                Some(place.map_err(|_| Refusal::ConnectionsOfClients)?)
            }
        };
        Ok(Identified {
            facts,
            heads,
            stream,
            _place: place,
            _place_of_client: place_of_client,
            _place_of_peer: place_of_peer,
        })
    }

    /// Waits for the whole of a peer's hello. Until it is there, a connection holds no place but one in
    /// the lobby, and has cost nothing: silence and dribble win an attacker nothing.
    async fn hello(
        &self,
        tcp: TcpStream,
        peer: Peer,
    ) -> Result<StartHandshake<TcpStream>, Refusal> {
        self.first_byte(&tcp, peer).await?;
        let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp);
        let hello = self.lobby.wait(Some(peer), hello).await.ok_or(Refusal::SentAway)?;
        hello.map_err(Refusal::Tls)
    }

    /// Waits for the first byte, which stays in the socket.
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
}

/// Up to a tenth of `age`, by the peer's port: connections made together do not end together.
fn spread(address: SocketAddr, age: Duration) -> Duration {
    age.mul_f64(f64::from(address.port() % 100) / 1000.0)
}
