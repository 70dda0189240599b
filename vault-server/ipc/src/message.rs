//! What the frames carry.

mod health;
mod stream;
mod venue;

use prost::bytes::Bytes;
use vault_proto::v1;

pub(crate) use self::health::HEALTH_ROW_BYTES_MAX;
pub use self::health::{HEALTH_ROWS_MAX, Health, HealthRow, HealthState};
pub use self::stream::{
    StreamCall, StreamCut, StreamDial, StreamEnd, StreamMessage, StreamReady, StreamRefusal,
    StreamSend,
};
pub use self::venue::{
    Dispatch, Hold, Outcome, REPORTS_MAX, Report, VenueBody, VenueEnd, VenueHead,
};
use crate::Failure;
use crate::trace::Stages;

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
    /// Front to core: [`ForgetCall`]. Nobody waits for the call of this correlation any more. The call
    /// is answered all the same.
    Forget = 14,
    /// Front to core: [`StreamCall`].
    Stream = 15,
    /// Front to core, and egress to front: [`StreamMessage`].
    StreamMessage = 16,
    /// Front to core, egress to front, and egress to core: [`StreamEnd`]. From each, the last frame of
    /// its correlation.
    StreamEnd = 17,
    /// Egress to front: [`StreamReady`].
    StreamReady = 18,
    /// Egress to core: [`Health`]. At most one a second, and only when something has changed.
    Health = 19,
    /// Front to core: [`WhoamiCall`].
    Whoami = 20,
    /// Supervisor to core, once after every start: [`Hardening`].
    Hardening = 21,
    /// Egress or supervisor to core, every ten seconds: [`Usage`](crate::metric::Usage) of its own.
    Usage = 22,
    /// Front to exporter: [`Trace`](crate::trace::Trace).
    Trace = 23,
    /// Front or supervisor to core: asks for [`Metrics`](crate::metric::Metrics). Empty body ([`State`]
    /// with its default). Who asks again at once is not answered.
    MetricsCall = 30,
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
    /// Core to egress: [`StreamDial`].
    StreamDial = 70,
    /// Core to egress: [`StreamSend`].
    StreamSend = 71,
    /// Core to front, and core to egress: [`StreamCut`].
    StreamCut = 72,
    /// Core to front: [`StreamRefusal`].
    StreamRefusal = 73,
    /// Core to front, ahead of the replies that it is about: [`Synced`](crate::trace::Synced).
    Synced = 74,
    /// Core to front and to supervisor: [`Metrics`](crate::metric::Metrics).
    Metrics = 80,
    /// Exporter to front: [`Exported`](crate::trace::Exported).
    Exported = 81,
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
    /// When the front had it ready, in microseconds of the monotonic clock that all processes share; 0:
    /// not said. Of use for figures alone.
    #[prost(uint64, tag = "4")]
    pub queued_us: u64,
    /// Whether the [`Reply`] is to have [`Stages`].
    #[prost(bool, tag = "5")]
    pub traced: bool,
}

/// A [`SignCall`] of which caller and request are encoded already: the same bytes.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct EncodedSignCall {
    /// A [`Caller`].
    #[prost(bytes = "bytes", required, tag = "1")]
    pub caller: Bytes,
    /// A [`v1::SignRequest`].
    #[prost(bytes = "bytes", required, tag = "2")]
    pub request: Bytes,
    /// As in [`SignCall`].
    #[prost(int64, tag = "3")]
    pub deadline_us: i64,
    /// As in [`SignCall`].
    #[prost(uint64, tag = "4")]
    pub queued_us: u64,
    /// As in [`SignCall`].
    #[prost(bool, tag = "5")]
    pub traced: bool,
}

impl std::fmt::Debug for EncodedSignCall {
    /// Shows neither part.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodedSignCall")
            .field("request_bytes", &self.request.len())
            .finish_non_exhaustive()
    }
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
    /// As in [`SignCall`].
    #[prost(bool, tag = "4")]
    pub traced: bool,
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
    /// As in [`SignCall`].
    #[prost(bool, tag = "5")]
    pub traced: bool,
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

/// Says that nobody waits any more for the call of this frame's correlation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ForgetCall {
    /// Whose call it was.
    #[prost(message, optional, tag = "1")]
    pub caller: Option<Caller>,
}

/// Asks what the core takes the caller for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WhoamiCall {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub caller: Caller,
}

/// How the other processes are confined, for the core's status.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hardening {
    /// Egress, front and supervisor.
    #[prost(message, repeated, tag = "1")]
    pub processes: Vec<v1::ProcessHardening>,
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
    /// How the core came to it, of a call that asks to be traced.
    #[prost(message, optional, boxed, tag = "4")]
    pub stages: Option<Box<Stages>>,
}

impl Reply {
    /// Where the response begins in the encoded reply. Field 1 comes first: a key of one byte, the
    /// length, the bytes.
    pub fn response_at(&self) -> usize {
        1 + prost::length_delimiter_len(self.response.len())
    }
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
    use prost::Message as _;
    use vault_proto::v1;

    use super::{Caller, EncodedSignCall, Kind, ServerIdentity, SignCall};

    #[test]
    fn a_call_with_encoded_parts_is_the_call() {
        let caller = Caller { serial: vec![7; 16], listener: 1, ..Caller::default() };
        let venue_request = v1::VenueRequest { host: "venue".to_owned(), ..Default::default() };
        let request = v1::SignRequest { request: Some(venue_request), ..Default::default() };
        for call in [
            SignCall::default(),
            SignCall { caller, request, deadline_us: 5, queued_us: 6, traced: true },
        ] {
            let encoded = EncodedSignCall {
                caller: call.caller.encode_to_vec().into(),
                request: call.request.encode_to_vec().into(),
                deadline_us: call.deadline_us,
                queued_us: call.queued_us,
                traced: call.traced,
            };
            assert_eq!(encoded.encode_to_vec(), call.encode_to_vec());
        }
    }

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
