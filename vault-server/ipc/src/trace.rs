//! Spans of single calls: what the core tells of its part, and what the front hands to the exporter.
//!
//! What is here is all that a trace can say. There is no place in it for a request, a signature, a
//! credential, a symbol, a price or an address.

/// The core's part of a call that asks to be traced. Times are microseconds of the monotonic clock that
/// all processes share.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub struct Stages {
    /// When the core took it up.
    #[prost(fixed64, tag = "1")]
    pub taken_us: u64,
    /// When its answer was ready, in memory.
    #[prost(fixed64, tag = "2")]
    pub decided_us: u64,
    /// When signing began; 0: nothing was signed.
    #[prost(fixed64, tag = "3")]
    pub sign_began_us: u64,
    /// When it ended.
    #[prost(fixed64, tag = "4")]
    pub sign_ended_us: u64,
    /// Venue name; empty where none is known.
    #[prost(string, tag = "5")]
    pub venue: String,
    /// Index of its entry in the log.
    #[prost(uint64, optional, tag = "6")]
    pub entry_index: Option<u64>,
    /// Place in the order of decisions; 0: none.
    #[prost(uint64, tag = "7")]
    pub seq: u64,
}

/// When the batch of some traced calls was put on disk.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub struct Synced {
    /// Those of the front's calls.
    #[prost(uint64, repeated, tag = "1")]
    pub correlations: Vec<u64>,
    /// As in [`Stages`].
    #[prost(fixed64, tag = "2")]
    pub began_us: u64,
    /// As in [`Stages`].
    #[prost(fixed64, tag = "3")]
    pub ended_us: u64,
}

/// The spans of one call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Trace {
    /// 16 bytes, not all zero.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// At most [`SPANS_MAX`].
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// Spans of one [`Trace`]: those of a batch of which the most requests are shown.
pub const SPANS_MAX: usize = 160;

/// One span.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Span {
    /// Not 0.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// 0: none.
    #[prost(fixed64, tag = "2")]
    pub parent: u64,
    /// What it is of.
    #[prost(enumeration = "SpanKind", tag = "3")]
    pub kind: i32,
    /// Nanoseconds since the epoch.
    #[prost(fixed64, tag = "4")]
    pub began_ns: u64,
    /// Not before that.
    #[prost(fixed64, tag = "5")]
    pub ended_ns: u64,
    /// What a call came to, or what went wrong with a venue: a code of ours (`docs/reference/errors.md`).
    /// Empty: well.
    #[prost(string, tag = "6")]
    pub problem: String,
    /// Name of the client, of a call.
    #[prost(string, tag = "7")]
    pub client: String,
    /// Venue name, where it is known.
    #[prost(string, tag = "8")]
    pub venue: String,
    /// As in [`Stages`].
    #[prost(uint64, optional, tag = "9")]
    pub entry_index: Option<u64>,
    /// As in [`Stages`].
    #[prost(uint64, tag = "10")]
    pub seq: u64,
    /// Requests in a batch; else 0.
    #[prost(uint32, tag = "11")]
    pub batch: u32,
    /// The venue's HTTP status; 0: none.
    #[prost(uint32, tag = "12")]
    pub status: u32,
    /// The parent is another process's: the bot's.
    #[prost(bool, tag = "13")]
    pub is_continued: bool,
}

/// What a span is of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, prost::Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    /// Not said.
    Unspecified = 0,
    /// A Sign, or one of a batch or a stream.
    Sign = 1,
    /// A batch of Signs.
    SignBatch = 2,
    /// An Execute.
    Execute = 3,
    /// A request through the HTTPS proxy.
    Proxy = 4,
    /// From the head of the call to its frame.
    Decode = 16,
    /// From there to the core.
    Hop = 17,
    /// In the core, until the answer is ready.
    Decide = 18,
    /// Of that, the signature.
    Signature = 19,
    /// The disk.
    Sync = 20,
    /// From the answer in the front to its bytes being with TLS.
    Release = 21,
    /// The venue.
    Venue = 22,
}

impl SpanKind {
    /// As it is shown; empty for what is none.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::Sign => "countersign.sign",
            Self::SignBatch => "countersign.sign_batch",
            Self::Execute => "countersign.execute",
            Self::Proxy => "countersign.proxy",
            Self::Decode => "decode",
            Self::Hop => "hop",
            Self::Decide => "decide",
            Self::Signature => "sign",
            Self::Sync => "sync",
            Self::Release => "release",
            Self::Venue => "venue",
        }
    }

    /// Whether it is a call, and no stage of one.
    pub fn is_call(self) -> bool {
        matches!(self, Self::Sign | Self::SignBatch | Self::Execute | Self::Proxy)
    }
}

/// What the exporter has done since it started: then, and whenever that has changed.
#[derive(Clone, Copy, Eq, PartialEq, prost::Message)]
pub struct Exported {
    /// Spans that the collector took.
    #[prost(uint64, tag = "1")]
    pub exported: u64,
    /// Spans that it refused, or for which it could not be reached in time.
    #[prost(uint64, tag = "2")]
    pub dropped: u64,
    /// Whether it took what it was last sent.
    #[prost(bool, tag = "3")]
    pub is_up: bool,
    /// Spans that it was handed and that are none of ours.
    #[prost(uint64, tag = "4")]
    pub unfit: u64,
}
