//! Failures as they cross from the core to the front.

/// What kind of failure it is. `front/status.rs` alone maps these to gRPC.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, prost::Enumeration)]
#[repr(i32)]
pub enum Code {
    /// Not said: treated as [`Code::Internal`].
    Unspecified = 0,
    /// The request is not well formed.
    BadRequest = 1,
    /// It is there already, or has changed meanwhile.
    Conflict = 2,
    /// Nobody waits for the answer any more.
    DeadlineExceeded = 3,
    /// Policy or role forbids it.
    Denied = 4,
    /// A limit is reached; try later.
    Exhausted = 5,
    /// A defect of the vault.
    Internal = 6,
    /// Not there, or not the caller's to know.
    NotFound = 7,
    /// The state of the vault forbids it.
    Precondition = 8,
    /// The vault is sealed.
    Sealed = 9,
    /// Who calls is not known.
    Unauthenticated = 10,
    /// The vault cannot do it now.
    Unavailable = 11,
}

/// A failure: codes and words of ours, never input.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Failure {
    /// Kind.
    #[prost(enumeration = "Code", tag = "1")]
    pub code: i32,
    /// Stable, machine-readable: `SYMBOL_NOT_GRANTED`.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// For people: lower case, no full stop.
    #[prost(string, tag = "3")]
    pub message: String,
    /// What may be done about it; may be empty.
    #[prost(string, tag = "4")]
    pub hint: String,
    /// The catalogue's name of the operation outside the scope; may be empty.
    #[prost(string, tag = "5")]
    pub operation: String,
    /// Index of the log entry that records it.
    #[prost(uint64, optional, tag = "6")]
    pub entry_index: Option<u64>,
    /// When to try again; 0 if that does not help.
    #[prost(uint64, tag = "7")]
    pub retry_after_ms: u64,
    /// Class of the operation outside the scope; may be empty.
    #[prost(string, tag = "8")]
    pub class: String,
    /// What would change the answer, each alone: `execute`, `assume=venue_checks`, `rights=A,B`.
    #[prost(string, repeated, tag = "9")]
    pub remedies: Vec<String>,
}

impl Failure {
    /// A failure with its code, reason and words.
    pub fn new(code: Code, reason: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: reason.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// Adds what may be done about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}
