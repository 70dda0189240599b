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
    /// Front or egress to core: [`BarrierDone`].
    BarrierDone = 4,
    /// Front to core: [`PullCall`].
    Pull = 5,
    /// Supervisor to core, and on the local socket: [`LocalCall`].
    Local = 6,
    /// Supervisor to core: end in order. Empty body ([`State`] with its default).
    Shutdown = 7,
    /// Front to core: [`ExecuteCall`].
    Execute = 8,
    /// Front to core: [`ProxyCall`].
    Proxy = 9,
    /// Egress to core: [`Outcome`].
    Outcome = 10,
    /// Egress to front: [`VenueHead`].
    VenueHead = 11,
    /// Egress to front: [`VenueBody`].
    VenueBody = 12,
    /// Egress to front: [`VenueEnd`].
    VenueEnd = 13,
    /// Front to core: nobody waits for the call of this correlation any more. Empty body ([`State`]
    /// with its default).
    Forget = 14,
    /// Core to the caller: [`Reply`].
    Reply = 64,
    /// Core to front: [`ServerIdentity`].
    ServerIdentity = 65,
    /// Core to front: [`State`].
    State = 66,
    /// Core to front and to egress: [`Barrier`].
    Barrier = 67,
    /// Core to supervisor: [`Restart`].
    Restart = 68,
    /// Core to egress: [`Dispatch`].
    Dispatch = 69,
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

/// An Execute. Answered by a [`Reply`] with a [`v1::Execution`] once its entry is on disk; the
/// venue's response then comes from egress, with the correlation of this call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecuteCall {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub caller: Caller,
    /// What.
    #[prost(message, required, tag = "2")]
    pub request: v1::ExecuteRequest,
    /// Microseconds since the epoch after which nobody waits for the answer; 0 for never.
    #[prost(int64, tag = "3")]
    pub deadline_us: i64,
}

/// A request as a bot's own library made it, through the HTTPS proxy: placeholders for key, time,
/// nonce and signature are still in it. Answered as an [`ExecuteCall`] is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProxyCall {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub caller: Caller,
    /// The bot's own, from the header `countersign-request-id`, not looked at yet; without one, made
    /// by the front, at random.
    #[prost(string, tag = "2")]
    pub request_id: String,
    /// Method, host, path, query and body as they came, not decoded. The headers are the bot's
    /// without those of the connection, names in lower case.
    #[prost(message, required, tag = "3")]
    pub request: v1::VenueRequest,
    /// As in [`ExecuteCall`].
    #[prost(int64, tag = "4")]
    pub deadline_us: i64,
}

/// A request to be sent to a venue as it stands. The correlation of its frame is the core's own.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Dispatch {
    /// Correlation of the front's call, which gets head, body and end; 0: nobody but the core, whose
    /// [`Outcome`] has the body then.
    #[prost(uint64, tag = "1")]
    pub front_correlation: u64,
    /// Venue name.
    #[prost(string, tag = "2")]
    pub venue: String,
    /// Credential name; empty for a public endpoint. Connections are not shared between credentials.
    #[prost(string, tag = "3")]
    pub credential: String,
    /// `public`, `read`, `cancel`, `trade` ...: a venue that wants to be left alone gets cancels
    /// longer than reads.
    #[prost(string, tag = "4")]
    pub class: String,
    /// "GET", "POST" ...
    #[prost(string, tag = "5")]
    pub method: String,
    /// `https://host/path?query`, to be sent byte for byte.
    #[prost(string, tag = "6")]
    pub url: String,
    /// Every header to send, but for `host`, `content-length`, `user-agent` and `accept-encoding`.
    #[prost(message, repeated, tag = "7")]
    pub headers: Vec<v1::Header>,
    /// Byte for byte.
    #[prost(bytes = "vec", tag = "8")]
    pub body: Vec<u8>,
    /// How long the venue may take, in milliseconds.
    #[prost(uint32, tag = "9")]
    pub timeout_ms: u32,
    /// Whether it may be sent again if its answer is lost: it is a read, and no nonce is in it.
    #[prost(bool, tag = "10")]
    pub repeatable: bool,
    /// Texts that authorise: whatever of a response says them is struck out.
    #[prost(string, repeated, tag = "11")]
    pub secrets: Vec<String>,
    /// JSON pointers to an order id in a response; the first that leads to one counts.
    #[prost(string, repeated, tag = "12")]
    pub order_id_at: Vec<String>,
    /// JSON pointers to an error code in a response; the first that leads to one counts.
    #[prost(string, repeated, tag = "13")]
    pub error_code_at: Vec<String>,
}

impl std::fmt::Debug for Dispatch {
    /// Shows no request: it is signed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatch")
            .field("front_correlation", &self.front_correlation)
            .field("venue", &self.venue)
            .finish_non_exhaustive()
    }
}

/// What became of a [`Dispatch`]; exactly one for each, with its correlation.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Outcome {
    /// The venue's HTTP status; 0 if none came.
    #[prost(uint32, tag = "1")]
    pub status: u32,
    /// Why it did not end well, `A-Z0-9_`; empty if the whole response came.
    #[prost(string, tag = "2")]
    pub problem: String,
    /// Whether a byte of the request may have reached the venue.
    #[prost(bool, tag = "3")]
    pub sent: bool,
    /// From the arrival of the frame at the egress to the venue's status line, or to the problem,
    /// with connecting and a first attempt that was lost. Microseconds.
    #[prost(uint64, tag = "4")]
    pub latency_us: u64,
    /// The venue's order id, 1 to 64 of `A-Za-z0-9_.:-`; empty if none was found.
    #[prost(string, tag = "5")]
    pub order_id: String,
    /// The venue's error code, of the same letters; empty if none was found.
    #[prost(string, tag = "6")]
    pub error_code: String,
    /// How often it was sent: more than once only what is repeatable.
    #[prost(uint32, tag = "7")]
    pub attempts: u32,
    /// The body, if nobody but the core waits for it.
    #[prost(bytes = "vec", tag = "8")]
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Outcome {
    /// Shows no body: it is the venue's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcome")
            .field("status", &self.status)
            .field("problem", &self.problem)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

/// The head of a venue's response.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct VenueHead {
    /// HTTP status.
    #[prost(uint32, tag = "1")]
    pub status: u32,
    /// Without those of the connection; what authorises is struck out.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<v1::Header>,
    /// As in [`Outcome`].
    #[prost(uint64, tag = "3")]
    pub latency_us: u64,
}

impl std::fmt::Debug for VenueHead {
    /// Shows no headers: they are the venue's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VenueHead")
            .field("status", &self.status)
            .field("latency_us", &self.latency_us)
            .finish_non_exhaustive()
    }
}

/// The next piece of a venue's response, of at most 64 KiB.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct VenueBody {
    /// Its bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for VenueBody {
    /// Shows no bytes: they are the venue's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VenueBody").field("byte_count", &self.bytes.len()).finish()
    }
}

/// The end of a venue's response, or of the wait for one. The last frame of its correlation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VenueEnd {
    /// As in [`Outcome`].
    #[prost(string, tag = "1")]
    pub problem: String,
    /// As in [`Outcome`].
    #[prost(bool, tag = "2")]
    pub sent: bool,
    /// When the venue may be asked again, if it or its breaker says so; else 0.
    #[prost(uint64, tag = "3")]
    pub retry_after_ms: u64,
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
    use super::{Kind, ServerIdentity, VenueBody, VenueHead};

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

    #[test]
    fn debug_shows_nothing_that_a_venue_said() {
        let header = vault_proto::v1::Header { name: "a".to_owned(), value: "canary".to_owned() };
        let head = VenueHead { status: 200, headers: vec![header], latency_us: 7 };
        let body = VenueBody { bytes: b"canary".to_vec() };

        assert_eq!(format!("{head:?}"), "VenueHead { status: 200, latency_us: 7, .. }");
        assert_eq!(format!("{body:?}"), "VenueBody { byte_count: 6 }");
    }
}
