//! What the frames carry.

use vault_proto::v1;

use crate::Failure;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal,)+) => {
        /// What the body of a frame is.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// The byte in the header.
            pub fn code(self) -> u8 {
                match self {
                    $(Self::$kind => $code,)+
                }
            }

            /// The kind of a byte in a header.
            pub fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$kind),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Front to core: [`SignCall`].
    Sign = 1,
    /// Front to core: [`EnrollCall`].
    Enroll = 2,
    /// Front to core: [`CommandCall`].
    Command = 3,
    /// Front to core: [`BarrierDone`].
    BarrierDone = 4,
    /// Front to core: [`PullCall`].
    Pull = 5,
    /// Supervisor to core, and on the local socket: [`LocalCall`].
    Local = 6,
    /// Supervisor to core: end in order. Empty body ([`State`] with its default).
    Shutdown = 7,
    /// Core to the caller: [`Reply`].
    Reply = 64,
    /// Core to front: [`ServerIdentity`].
    ServerIdentity = 65,
    /// Core to front: [`State`].
    State = 66,
    /// Core to front: [`Barrier`].
    Barrier = 67,
    /// Core to supervisor: [`Restart`].
    Restart = 68,
}

/// Who calls, as the front saw it. The core looks the serial up; nothing else here is trusted to
/// grant anything.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Caller {
    /// Serial of the client certificate, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub serial: Vec<u8>,
    /// SHA-256 of the client certificate, 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub fingerprint: Vec<u8>,
    /// Canonical peer address: 4 or 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub address: Vec<u8>,
    /// "direct", or the address of the balancer that vouched for the peer.
    #[prost(string, tag = "4")]
    pub via: String,
    /// Where the call came in.
    #[prost(enumeration = "Listener", tag = "5")]
    pub listener: i32,
}

/// A listener.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, prost::Enumeration)]
#[repr(i32)]
pub enum Listener {
    /// Not said.
    Unspecified = 0,
    /// For clients.
    Bot = 1,
    /// For enrolment.
    Enroll = 2,
    /// For operators.
    Operator = 3,
}

/// A Sign.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SignCall {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub caller: Caller,
    /// What.
    #[prost(message, required, tag = "2")]
    pub request: v1::SignRequest,
    /// Microseconds since the epoch after which nobody waits for the answer; 0 for never.
    #[prost(int64, tag = "3")]
    pub deadline_us: i64,
}

/// An Enroll, from somebody without a certificate.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EnrollCall {
    /// Canonical peer address: 4 or 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub address: Vec<u8>,
    /// "direct", or the balancer's address.
    #[prost(string, tag = "2")]
    pub via: String,
    /// The request.
    #[prost(message, required, tag = "3")]
    pub request: v1::EnrollRequest,
}

/// Any RPC that carries a signed command.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CommandCall {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub caller: Caller,
    /// The RPC that was called: "vault.v1.ScopeService/Put". Must be the command's own.
    #[prost(string, tag = "2")]
    pub method: String,
    /// The command, as it came.
    #[prost(message, required, tag = "3")]
    pub command: v1::SignedCommand,
}

/// Asks for the next entries of an export or tail that the core has granted.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PullCall {
    /// From the [`Chunk`] that answered the command.
    #[prost(uint64, tag = "1")]
    pub grant: u64,
    /// Index of the first entry wanted.
    #[prost(uint64, tag = "2")]
    pub from_index: u64,
}

/// Entries of the log, on disk already.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Chunk {
    /// Names the grant in the next [`PullCall`].
    #[prost(uint64, tag = "1")]
    pub grant: u64,
    /// Index of the first entry.
    #[prost(uint64, tag = "2")]
    pub first_index: u64,
    /// Leaf bytes verbatim.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub entries: Vec<Vec<u8>>,
    /// Nothing more will come.
    #[prost(bool, tag = "4")]
    pub end: bool,
    /// The newest checkpoint, with the end of an export.
    #[prost(message, optional, tag = "5")]
    pub checkpoint: Option<v1::Checkpoint>,
}

/// Answers a call.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Reply {
    /// The encoded response message of the RPC, or a [`Chunk`].
    #[prost(bytes = "vec", tag = "1")]
    pub response: Vec<u8>,
    /// Set if the call failed; `response` is empty then.
    #[prost(message, optional, tag = "2")]
    pub failure: Option<Failure>,
    /// Whether the response holds a signature: the front counts it until it is written or dropped.
    #[prost(bool, tag = "3")]
    pub releases: bool,
}

impl std::fmt::Debug for Reply {
    /// Shows no response: it may hold a signature.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("response_bytes", &self.response.len())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// The certificate and key by which the front serves TLS, and the CA whose clients it lets in.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct ServerIdentity {
    /// DER, leaf first.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, DER.
    #[prost(bytes = "vec", tag = "2")]
    pub private_key: Vec<u8>,
    /// DER.
    #[prost(bytes = "vec", tag = "3")]
    pub ca_certificate: Vec<u8>,
}

impl std::fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerIdentity(redacted)")
    }
}

/// Whether the vault is sealed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct State {
    /// No keys are held.
    #[prost(bool, tag = "1")]
    pub sealed: bool,
}

/// Asks the front to let nothing more out that was released before this frame.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Barrier {
    /// Comes back in [`BarrierDone`].
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Serials whose connections are cut.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub cut_serials: Vec<Vec<u8>>,
}

/// Everything released before the barrier is written to its socket or dropped.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BarrierDone {
    /// Of the [`Barrier`].
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

/// What the local socket is for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, prost::Enumeration)]
#[repr(i32)]
pub enum LocalOperation {
    /// Not said.
    Unspecified = 0,
    /// Answers [`v1::StatusResponse`].
    Status = 1,
    /// Body: [`v1::UnsealCommand`]; answers [`v1::UnsealResponse`].
    Unseal = 2,
    /// Answers [`v1::SealResponse`].
    Seal = 3,
    /// Body: [`v1::InviteOperatorCommand`] for an operator that exists; answers
    /// [`v1::InviteOperatorResponse`].
    Reissue = 4,
}

/// A call over the local socket: root's or the owner's own.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LocalCall {
    /// What.
    #[prost(enumeration = "LocalOperation", tag = "1")]
    pub operation: i32,
    /// The encoded command message, if the operation has one.
    #[prost(bytes = "vec", tag = "2")]
    pub body: Vec<u8>,
    /// User id of the peer.
    #[prost(uint32, tag = "3")]
    pub uid: u32,
}

/// Asks the supervisor to start the children anew.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Restart {
    /// Stay sealed until a person unseals, even if a slot opens by itself.
    #[prost(bool, tag = "1")]
    pub stay_sealed: bool,
}

#[cfg(test)]
mod tests {
    use super::{Kind, ServerIdentity};

    #[test]
    fn kinds_read_back() {
        for code in 0..=u8::MAX {
            if let Some(kind) = Kind::from_code(code) {
                assert_eq!(kind.code(), code);
            }
        }
        assert_eq!(Kind::from_code(1), Some(Kind::Sign));
        assert_eq!(Kind::from_code(200), None);
    }

    #[test]
    fn debug_shows_no_key() {
        let identity = ServerIdentity { private_key: b"canary".to_vec(), ..Default::default() };

        assert_eq!(format!("{identity:?}"), "ServerIdentity(redacted)");
    }
}
