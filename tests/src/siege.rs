//! Attacks on a running vault: what a stranger or a bot gone bad sends, and what others see meanwhile.
//!
//! The attacks write TCP, TLS and HTTP/2 by hand where no honest library would. [`Witness`] is an
//! operator and a bot who know nothing of them. `vault-siege` measures with both; `tests/siege` runs
//! each attack for a moment and asserts what must hold however slow the machine is.

mod crowd;
mod flood;
mod frames;
mod late;
mod memory;
mod overload;
mod witness;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rustls::ClientConfig;

pub use self::memory::{Memory, Resident};
pub use self::witness::{Seen, Times, Witness};
use crate::server::Ready;
use crate::wire;

/// What is done to a vault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attack {
    /// HTTP/2: a request's headers that never end, in CONTINUATION frames.
    Continuation,
    /// HTTP/2: frames with nothing in them (DATA, CONTINUATION, PRIORITY, unknown kinds).
    EmptyFrames,
    /// TLS handshakes that come to nothing, from many addresses.
    Handshakes,
    /// Calls that come but for their last byte, and then end together.
    LateEnds,
    /// A bot that asks for ten times of what it gets.
    Overload,
    /// HTTP/2: pings, and answers to pings that nobody sent.
    Pings,
    /// HTTP/2: calls that are taken back at once, before and after they have come whole.
    RapidReset,
    /// HTTP/2: settings.
    Settings,
    /// Connections that say nothing, too little, or too slowly.
    Slowloris,
    /// HTTP/2: windows opened by a byte at a time for answers that are not read.
    WindowUpdates,
}

/// All of them.
pub const ATTACKS: [Attack; 10] = [
    Attack::Slowloris,
    Attack::RapidReset,
    Attack::Continuation,
    Attack::EmptyFrames,
    Attack::Pings,
    Attack::Settings,
    Attack::WindowUpdates,
    Attack::Handshakes,
    Attack::Overload,
    Attack::LateEnds,
];

/// Who is attacked, and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    bot: SocketAddr,
    enroll: SocketAddr,
    operator: SocketAddr,
    /// Without a certificate.
    stranger: Arc<ClientConfig>,
    /// A bot's.
    traitor: Arc<ClientConfig>,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Sockets or connections at a time; of [`Attack::Handshakes`] handshakes in all; of
    /// [`Attack::Overload`] calls at a time.
    pub count: u64,
    /// When it ends at the latest.
    pub until: Instant,
}

/// What was done, and what came of it.
#[derive(Debug, Default)]
pub struct Done {
    answered: AtomicU64,
    connections: AtomicU64,
    ended: AtomicU64,
    sent: AtomicU64,
}

impl Done {
    /// Calls that the vault answered with what was asked for ([`Attack::Overload`]).
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Connections made.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Of these, those that the vault ended or refused.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Frames, handshakes or calls sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

impl Target {
    /// A vault, attacked by strangers and by a bot of its own.
    pub fn new(ready: &Ready, traitor: &vault_client::Identity) -> Self {
        Self {
            bot: ready.bot,
            enroll: ready.enroll,
            operator: ready.operator,
            stranger: Arc::new(wire::tls(traitor, None)),
            traitor: Arc::new(wire::tls(traitor, Some(traitor))),
        }
    }
}

impl Attack {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Continuation => "continuation",
            Self::EmptyFrames => "empty-frames",
            Self::Handshakes => "handshakes",
            Self::LateEnds => "late-ends",
            Self::Overload => "overload",
            Self::Pings => "pings",
            Self::RapidReset => "rapid-reset",
            Self::Settings => "settings",
            Self::Slowloris => "slowloris",
            Self::WindowUpdates => "window-updates",
        }
    }

    /// How much the full form does.
    pub fn full_count(self) -> u64 {
        match self {
            Self::Handshakes => 1_000_000,
            Self::Overload => 1_280,
            Self::Slowloris => 5_000,
            _ => 8,
        }
    }

    /// Attacks until the effort is spent. What goes wrong on the way is the attacker's daily bread.
    pub async fn run(self, target: &Target, effort: Effort, done: &Arc<Done>) {
        match self {
            Self::Handshakes => crowd::handshakes(target, effort, done).await,
            Self::LateEnds => late::late_ends(target, effort, done).await,
            Self::Overload => overload::overload(target, effort, done).await,
            Self::Slowloris => crowd::slowloris(target, effort, done).await,
            _ => flood::flood(self, target, effort, done).await,
        }
    }
}
