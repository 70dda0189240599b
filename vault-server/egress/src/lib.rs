//! The egress: speaks TLS to venues, and to nobody else.
//!
//! It gets signed requests from the core, sends each byte for byte to the one host it names, and
//! hands the response to the front. WebSockets go the same way, message by message. The core never
//! sees what a venue sends but for single values that it asks for; the front never sees a signature,
//! a listen key or a token.

mod address;
mod asker;
mod breaker;
mod dial;
mod finding;
mod flight;
mod health;
mod hold;
mod line;
mod link;
mod mask;
mod name;
mod outbox;
mod pointer;
mod pool;
mod problem;
mod request;
mod response;
mod scrub;
mod send;
mod serve;
mod stream;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What the supervisor hands to the egress.
#[derive(Debug)]
pub struct EgressConfig {
    /// The channel to the core.
    pub core: UnixStream,
    /// The channel to the front; it only writes there.
    pub front: UnixStream,
    /// How much of everything.
    pub limits: Limits,
    /// PEM certificates of the CAs that may vouch for venues; absent: Mozilla's.
    pub roots_pem: Option<Vec<u8>>,
    /// The address from which a credential's requests leave; others leave from any.
    pub sources: HashMap<String, IpAddr>,
    /// Other places for hosts; in development only.
    pub overrides: Vec<Override>,
}

/// How much of everything.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the choice of an address to the end of the TLS handshake.
    pub connect: Duration,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// Connections of HTTP/1.1 to one host for one credential. Of these a share is kept for cancels,
    /// and another for all that is no read.
    pub per_host: usize,
    /// Idle connections kept for one host and credential.
    pub idle_per_host: usize,
    /// Longest body passed on, in bytes.
    pub response_bytes: u64,
    /// Requests under way.
    pub requests: usize,
    /// WebSockets.
    pub streams: usize,
    /// After so long without a word of its venue a WebSocket is asked whether it stands; after twice
    /// as long it is ended.
    pub stream_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            // Below what load balancers in front of venues keep (60 s and more): whoever closes first
            // loses no request.
            idle: Duration::from_secs(45),
            per_host: 256,
            idle_per_host: 64,
            response_bytes: 64 << 20,
            requests: 4096,
            streams: 4096,
            stream_idle: Duration::from_secs(30),
        }
    }
}

/// Another place for the hosts that a glob names.
#[derive(Clone, Debug)]
pub struct Override {
    /// `api.binance.com`, `*.binance.com`, `*`.
    pub host: String,
    /// Where to connect instead; no name is asked for.
    pub connect: SocketAddr,
    /// PEM certificates of the CAs that may vouch for these hosts; absent: the same as for others.
    pub roots_pem: Option<Vec<u8>>,
}

/// Why the egress ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A channel broke, or said what no process of ours says.
    #[error("a channel to another process broke")]
    Channel(#[from] vault_ipc::FrameError),
    /// The runtime, the resolver or the roots could not be set up.
    #[error("the egress could not be set up: {0}")]
    Setup(&'static str),
}

/// Checks a file of CA certificates, so that a mistake in it is said before anything is started.
///
/// # Errors
///
/// [`EgressError::Setup`].
pub fn check_roots(pem: &[u8]) -> Result<(), EgressError> {
    dial::roots(pem).map(drop)
}

/// An egress that is ready to serve. It opens no file any more, and makes no socket but to venues and
/// resolvers.
#[derive(Debug)]
pub struct Egress {
    config: EgressConfig,
    names: name::Names,
    runtime: tokio::runtime::Runtime,
}

impl Egress {
    /// Makes a runtime for the calling thread, and reads the resolver's configuration.
    ///
    /// # Errors
    ///
    /// [`EgressError::Setup`].
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| EgressError::Setup("no runtime"))?;
        let names = {
            let _inside = runtime.enter();
            name::Names::system()
        };
        Ok(Self { config, names, runtime })
    }

    /// Serves until the channel to the core ends.
    ///
    /// When it ends, every connection is dropped and the function returns. Once the front is gone, what
    /// venues answer is still told to the core. From the call on, a panic on any thread ends the
    /// process.
    ///
    /// # Errors
    ///
    /// [`EgressError`]; an end of the channel between two frames is none.
    pub fn run(self) -> Result<(), EgressError> {
        // A task that panics says nothing of its request, and nobody would ever: better no egress.
        let say = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            say(panic);
            std::process::abort();
        }));
        let Self { config, names, runtime } = self;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, serve::serve(config, names))
    }
}
