//! A request to a venue, from the core to egress, and what comes of it.

use vault_proto::v1;

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

/// What became of a [`Dispatch`], or of a [`StreamSend`](super::StreamSend) that asks for it; exactly
/// one for each, with its correlation.
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

/// Rows of a [`Report`] that are told of one response.
pub const REPORTS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::{VenueBody, VenueHead};

    #[test]
    fn debug_shows_nothing_that_a_venue_said() {
        let header = vault_proto::v1::Header { name: "a".to_owned(), value: "canary".to_owned() };
        let head = VenueHead { status: 200, headers: vec![header], latency_us: 7 };
        let body = VenueBody { bytes: b"canary".to_vec() };

        assert_eq!(format!("{head:?}"), "VenueHead { status: 200, latency_us: 7, .. }");
        assert_eq!(format!("{body:?}"), "VenueBody { byte_count: 6 }");
    }
}
