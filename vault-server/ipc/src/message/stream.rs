//! WebSockets to venues, of bots through the proxy.

use vault_proto::v1;

use super::Caller;
use crate::Failure;

/// A WebSocket that a bot wants to a venue, through the proxy. Answered by a
/// [`Reply`](super::Reply): empty once egress is asked to connect, or with a failure. Egress then says
/// [`StreamReady`] or [`StreamEnd`], with the correlation of this call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamCall {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub caller: Caller,
    /// `GET`, scheme `wss`; host (with its port, if it is not 443), path, query and headers as in a
    /// [`ProxyCall`](super::ProxyCall).
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
    /// As in [`Dispatch`](super::Dispatch), for the url.
    #[prost(string, repeated, tag = "7")]
    pub handles: Vec<String>,
    /// As in [`Dispatch`](super::Dispatch).
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
    /// As in [`Dispatch`](super::Dispatch), for the text.
    #[prost(string, repeated, tag = "3")]
    pub handles: Vec<String>,
    /// Of an [`Outcome`](super::Outcome) that tells whether it was written; 0: nobody asks.
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
