//! What the frames carry.

use prost::bytes::Bytes;
use vault_proto::v1;

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

/// A request to be sent to a venue as it stands. The correlation of its frame is the core's own.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Dispatch {
    /// Correlation of the front's call, which gets head, body and end; 0: nobody but the core, whose
    /// [`Outcome`] has what `report_at` asks for.
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
    /// JSON pointers to what the core wants to know of a response, each with at most one part `*`,
    /// which stands for every element of a list.
    #[prost(string, repeated, tag = "14")]
    pub report_at: Vec<String>,
    /// Texts of the response that authorise, and never leave egress: what is passed on has the
    /// handle in place of each.
    #[prost(message, repeated, tag = "15")]
    pub holds: Vec<Hold>,
    /// Handles in the url or the body, to be replaced by what they stand for. One that is not known
    /// any more: nothing is sent, `HANDLE_UNKNOWN`.
    #[prost(string, repeated, tag = "16")]
    pub handles: Vec<String>,
    /// Name of the client that asks; empty: the vault itself. What one brings about at a venue is not
    /// held against the others, and they wait for connections in turns.
    #[prost(string, tag = "17")]
    pub client: String,
}

/// A text that authorises, of a venue's response, and what stands for it outside egress.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hold {
    /// JSON pointer to the text.
    #[prost(string, tag = "1")]
    pub at: String,
    /// Made by the core, at random, of `A-Za-z0-9`.
    #[prost(string, tag = "2")]
    pub handle: String,
    /// Whose handle it is: a client's own push out nobody else's.
    #[prost(string, tag = "3")]
    pub owner: String,
    /// Whether the text may be missing. Otherwise an answer without it that is no error is not passed
    /// on.
    #[prost(bool, tag = "4")]
    pub optional: bool,
}

/// A value of a response that the core asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Report {
    /// Which of `report_at` leads to it.
    #[prost(uint32, tag = "1")]
    pub at: u32,
    /// Which element of the list `*` stood for; 0 without one.
    #[prost(uint32, tag = "2")]
    pub row: u32,
    /// Strings as they are, numbers as written, `true`, `false`; 1 to 256 printable characters of
    /// ASCII. What is something else is left out.
    #[prost(string, tag = "3")]
    pub value: String,
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

/// What became of a [`Dispatch`], or of a [`StreamSend`] that asks for it; exactly one for each, with
/// its correlation.
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
    /// What the core asked for, in the order of the response's rows; at most 4,096.
    #[prost(message, repeated, tag = "8")]
    pub report: Vec<Report>,
    /// Whether there was more to report than fits.
    #[prost(bool, tag = "9")]
    pub report_cut: bool,
    /// Which handles have something behind them now.
    #[prost(string, repeated, tag = "10")]
    pub held: Vec<String>,
}

impl std::fmt::Debug for Outcome {
    /// Shows no value: it is the venue's.
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

/// A WebSocket that a bot wants to a venue, through the proxy. Answered by a [`Reply`]: empty once
/// egress is asked to connect, or with a failure. Egress then says [`StreamReady`] or [`StreamEnd`],
/// with the correlation of this call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamCall {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub caller: Caller,
    /// `GET`, scheme `wss`; host (with its port, if it is not 443), path, query and headers as in a
    /// [`ProxyCall`].
    #[prost(message, required, tag = "2")]
    pub request: v1::VenueRequest,
    /// Microseconds since the epoch after which nobody waits for the connection; 0 for never.
    #[prost(int64, tag = "3")]
    pub deadline_us: i64,
}

/// A WebSocket to a venue. The correlation of its frame is the core's own.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct StreamDial {
    /// Correlation of the front's [`StreamCall`].
    #[prost(uint64, tag = "1")]
    pub front_correlation: u64,
    /// Venue name.
    #[prost(string, tag = "2")]
    pub venue: String,
    /// Credential whose source address it leaves from; empty while none is known.
    #[prost(string, tag = "3")]
    pub credential: String,
    /// `wss://host[:port]/path?query`.
    #[prost(string, tag = "4")]
    pub url: String,
    /// Every header to send, but for `host` and those of the handshake.
    #[prost(message, repeated, tag = "5")]
    pub headers: Vec<v1::Header>,
    /// How long connecting and the handshake may take, in milliseconds.
    #[prost(uint32, tag = "6")]
    pub timeout_ms: u32,
    /// As in [`Dispatch`], for the url.
    #[prost(string, repeated, tag = "7")]
    pub handles: Vec<String>,
    /// As in [`Dispatch`].
    #[prost(string, tag = "8")]
    pub client: String,
}

impl std::fmt::Debug for StreamDial {
    /// Shows no url.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamDial")
            .field("front_correlation", &self.front_correlation)
            .field("venue", &self.venue)
            .finish_non_exhaustive()
    }
}

/// The WebSocket stands, and messages may flow.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamReady {
    /// From the frame's arrival to the end of the handshake, microseconds.
    #[prost(uint64, tag = "1")]
    pub latency_us: u64,
}

/// A message: of the bot, not looked at yet (front to core), or of the venue, without what
/// authorises (egress to front).
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct StreamMessage {
    /// At most 64 KiB from a bot, 1 MiB from a venue.
    #[prost(bytes = "vec", tag = "1")]
    pub bytes: Vec<u8>,
    /// Whether it is no text.
    #[prost(bool, tag = "2")]
    pub binary: bool,
}

impl std::fmt::Debug for StreamMessage {
    /// Shows no bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamMessage").field("byte_count", &self.bytes.len()).finish()
    }
}

/// A text for the venue, to be sent as it stands. Its correlation is that of the [`StreamDial`].
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct StreamSend {
    /// UTF-8.
    #[prost(bytes = "vec", tag = "1")]
    pub text: Vec<u8>,
    /// Texts that authorise: whatever the venue says of them on this WebSocket is struck out.
    #[prost(string, repeated, tag = "2")]
    pub secrets: Vec<String>,
    /// As in [`Dispatch`], for the text.
    #[prost(string, repeated, tag = "3")]
    pub handles: Vec<String>,
    /// Of an [`Outcome`] that tells whether it was written; 0: nobody asks.
    #[prost(uint64, tag = "4")]
    pub outcome: u64,
}

impl std::fmt::Debug for StreamSend {
    /// Shows no text: it is signed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamSend").field("byte_count", &self.text.len()).finish()
    }
}

/// The end of a WebSocket, by one of its ends or by what was between them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamEnd {
    /// Close code of the end that closed it; 0 if there was none.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    /// Why it did not stand, or ended otherwise than by a close, `A-Z0-9_`; else empty.
    #[prost(string, tag = "2")]
    pub problem: String,
}

/// Ends a WebSocket at once. Egress answers with [`StreamEnd`], the front with nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamCut {
    /// Why, for the bot: its reason is that of the close frame (1008). Absent: the venue or egress
    /// ended it.
    #[prost(message, optional, tag = "1")]
    pub failure: Option<Failure>,
}

/// A message of the bot that was not sent to the venue. The WebSocket stays.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamRefusal {
    /// Why.
    #[prost(message, required, tag = "1")]
    pub failure: Failure,
    /// The message's own id as the venue's answer would have it: the name of its field.
    #[prost(string, tag = "2")]
    pub id_name: String,
    /// Its value: JSON of a number or a string, at most 66 bytes; empty if there was none.
    #[prost(string, tag = "3")]
    pub id: String,
}

/// How the venues are that were spoken to of late: the whole picture, which replaces the one before.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Health {
    /// At most 256, by host and source.
    #[prost(message, repeated, tag = "1")]
    pub rows: Vec<HealthRow>,
}

/// How one host is for one of the addresses from which it is asked.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthRow {
    /// Venue name.
    #[prost(string, tag = "1")]
    pub venue: String,
    /// Host, without a port.
    #[prost(string, tag = "2")]
    pub host: String,
    /// The address from which it is asked; empty where none is configured.
    #[prost(string, tag = "3")]
    pub source: String,
    /// Whether it is asked.
    #[prost(enumeration = "HealthState", tag = "4")]
    pub state: i32,
    /// Until when it is so, microseconds since the epoch; 0 while [`HealthState::Closed`].
    #[prost(int64, tag = "5")]
    pub until_us: i64,
    /// Of a budget per minute, as the venue last said it; 0 where it says none.
    #[prost(uint64, tag = "6")]
    pub used_weight: u64,
    /// That budget, as far as it is known; else 0.
    #[prost(uint64, tag = "7")]
    pub weight_limit: u64,
    /// Requests under way.
    #[prost(uint32, tag = "8")]
    pub in_flight: u32,
    /// WebSockets that stand or are being opened.
    #[prost(uint32, tag = "9")]
    pub streams: u32,
    /// How the last request or WebSocket that did not end well ended: a code of egress
    /// ([`Outcome::problem`]); empty if all did.
    #[prost(string, tag = "10")]
    pub last_problem: String,
}

/// Whether a venue is asked.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, prost::Enumeration)]
#[repr(i32)]
pub enum HealthState {
    /// Not said.
    Unspecified = 0,
    /// Everything is.
    Closed = 1,
    /// The breaker is open: it did not answer of late, and only cancels and single trials go there.
    Open = 2,
    /// It has refused for the sake of a limit: only cancels go there.
    Paused = 3,
    /// Little of its budget is left: reads wait.
    Low = 4,
    /// It has shut this address out: nothing goes there.
    Banned = 5,
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

    use super::{Caller, EncodedSignCall, Kind, ServerIdentity, SignCall, VenueBody, VenueHead};

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

    #[test]
    fn debug_shows_nothing_that_a_venue_said() {
        let header = vault_proto::v1::Header { name: "a".to_owned(), value: "canary".to_owned() };
        let head = VenueHead { status: 200, headers: vec![header], latency_us: 7 };
        let body = VenueBody { bytes: b"canary".to_vec() };

        assert_eq!(format!("{head:?}"), "VenueHead { status: 200, latency_us: 7, .. }");
        assert_eq!(format!("{body:?}"), "VenueBody { byte_count: 6 }");
    }
}
