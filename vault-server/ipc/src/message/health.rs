//! How the venues are, as egress finds them.

/// How the venues are that were spoken to of late: the whole picture, which replaces the one before.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Health {
    /// At most [`HEALTH_ROWS_MAX`], by host and source.
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
    /// ([`Outcome::problem`](super::Outcome::problem)); empty if all did.
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

/// Rows that are told.
pub const HEALTH_ROWS_MAX: usize = 256;
/// Longest encoded row, in bytes: names, a host and a problem of 64 at most, an address, and numbers.
pub(crate) const HEALTH_ROW_BYTES_MAX: usize = 384;
