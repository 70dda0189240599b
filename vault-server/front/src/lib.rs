//! The front: listeners, TLS, HTTP, limits, the thin gRPC services and the HTTPS proxy.
//!
//! It is the process that parses what strangers send. It holds the server's TLS key and no other,
//! opens no file, decides nothing about policy, and turns every call into a frame to the core. Who
//! breaks it can lie about a bot's address and identity; it cannot forge an operator's command.
//!
//! One thread serves everything, so that "cut" and "nothing more is written" need no locks to be
//! true together. Its time is shared out (`turn.rs`), so that nobody who floods keeps others waiting.

mod address;
mod audit;
mod batch;
mod caller;
mod client;
mod convert;
mod core;
mod credential;
mod execute;
mod failure;
mod frame;
mod gate;
mod halt;
mod handler;
mod head;
mod health;
#[cfg(test)]
mod heap;
mod instrument;
mod io;
mod limit;
mod listener;
mod lobby;
mod metric;
mod operator;
mod place;
mod plain;
mod price;
mod proxy;
mod registry;
mod room;
mod scope;
mod seal;
mod serve;
mod sign;
mod status;
mod stream;
mod task;
mod tls;
mod trace;
mod turn;
mod unary;
mod venue;
mod venue_proxy;

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;

use ipnet::IpNet;
use vault_ipc::{Listener, half};

pub use crate::limit::{Limits, ListenerLimits, WebSocketLimits};
pub use crate::plain::plain;
pub use crate::tls::IdentityError;
pub use crate::trace::{Parent, Tracing, traceparent};
pub use crate::unary::read_message;
pub use crate::venue_proxy::{Scheme, TARGET_BYTES_MAX, Target, TargetError, target};

use crate::core::Core;
use crate::health::Healths;
use crate::listener::Door;
use crate::registry::Registry;
use crate::stream::Streams;
use crate::tls::TlsCell;
use crate::trace::Tracer;
use crate::turn::Turns;
use crate::venue::Venues;

/// What the supervisor hands to the front.
#[derive(Debug)]
pub struct FrontConfig {
    /// The channel to the core.
    pub core: UnixStream,
    /// The channel from the egress; the front only reads there.
    pub egress: UnixStream,
    /// Where calls come in. Several may be of one kind; they share its limits.
    pub listeners: Vec<ListenerConfig>,
    /// How much of everything.
    pub limits: Limits,
    /// Where figures are asked for: bound and listening, on a loopback address. None: nowhere.
    pub metrics: Option<TcpListener>,
    /// Which calls are traced. None: none.
    pub tracing: Option<Tracing>,
}

/// One listening socket.
#[derive(Debug)]
pub struct ListenerConfig {
    /// Which services it offers, and whether it asks for a client certificate.
    pub kind: Listener,
    /// Bound and listening.
    pub socket: TcpListener,
    /// Empty: clients connect directly, and a PROXY header is a bad handshake. Otherwise: a PROXY v2
    /// header is required, and only from these peers.
    pub proxied_from: Vec<IpNet>,
}

/// Why the front ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The channel to the core or from the egress broke, or said what neither says.
    #[error("a channel to another process broke")]
    Channel(#[from] vault_ipc::FrameError),
    /// The core's first identity cannot serve TLS.
    #[error("the server identity cannot be used")]
    Identity(#[from] IdentityError),
    /// A listener of no kind.
    #[error("a listener has no kind")]
    ListenerKind,
    /// The runtime or a socket could not be set up.
    #[error("the front could not be set up")]
    Setup(#[source] std::io::Error),
}

/// Serves until the channel to the core ends.
///
/// Makes its own runtime on the calling thread. Connections are accepted from the first
/// `ServerIdentity` on. When the channel ends, every connection is dropped and the function
/// returns. SIGINT is ignored: the supervisor says when to end.
///
/// # Errors
///
/// [`FrontError`]; an end of the channel between two frames is none, read to its end or not.
pub fn run(config: FrontConfig) -> Result<(), FrontError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(FrontError::Setup)?;
    runtime.block_on(serve_all(config))
}

async fn serve_all(config: FrontConfig) -> Result<(), FrontError> {
    // Kept until the end: while it exists, a Ctrl-C in the terminal does not end this process.
    let _interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
        .map_err(FrontError::Setup)?;
    let core_channel = half::split(config.core).map_err(FrontError::Setup)?;
    let egress = half::inlet(config.egress).map_err(FrontError::Setup)?;

    let limits = Arc::new(config.limits);
    let tracer = config.tracing.as_ref().map(|tracing| Arc::new(Tracer::new(tracing)));
    let registry = Arc::new(Registry::traced(tracer.clone()));
    if let (Some(tracer), Some(tracing)) = (tracer, config.tracing) {
        tokio::spawn(async move { tracer.serve(tracing.exporters).await });
    }
    let tls = Arc::new(TlsCell::default());
    let turns = Turns::default();
    let healths = Healths::new().await;
    let streams = Streams::new(&limits, Arc::clone(&registry));
    let venues = Venues::new(&limits, streams.clone());
    let core = Core::new(Arc::clone(&registry), venues.clone(), streams, &limits);

    let mut doors = Vec::<Arc<Door>>::new();
    for listener in config.listeners {
        let door = match doors.iter().find(|door| door.kind() == listener.kind) {
            Some(door) => Arc::clone(door),
            None => {
                let door = Arc::new(Door::new(
                    listener.kind,
                    &core,
                    &healths,
                    Arc::clone(&limits),
                    Arc::clone(&registry),
                    Arc::clone(&tls),
                    turns.clone(),
                )?);
                tokio::spawn(Arc::clone(&door).report());
                doors.push(Arc::clone(&door));
                door
            }
        };
        listener.socket.set_nonblocking(true).map_err(FrontError::Setup)?;
        let socket =
            tokio::net::TcpListener::from_std(listener.socket).map_err(FrontError::Setup)?;
        tokio::spawn(door.accept(socket, listener.proxied_from.into()));
    }
    if let Some(socket) = config.metrics {
        socket.set_nonblocking(true).map_err(FrontError::Setup)?;
        let socket = tokio::net::TcpListener::from_std(socket).map_err(FrontError::Setup)?;
        let figures = Arc::new(metric::Figures::new(&core, Arc::clone(&registry)));
        tokio::spawn(metric::serve(socket, figures, turns.clone()));
    }
    tokio::spawn(async move { turns.go_round().await });
    let serving = core.run(core_channel, &tls, &healths);
    let mut serving = pin!(serving);
    tokio::select! {
        ended = &mut serving => ended,
        // An egress that ends in order is followed by the core, which still answers the others.
        ended = venues.run(egress) => match ended {
            Ok(()) => serving.await,
            Err(error) => Err(error),
        },
    }
}
