//! Why a request or a WebSocket did not end well.

/// The codes of [`vault_ipc::Outcome`], [`vault_ipc::VenueEnd`] and [`vault_ipc::StreamEnd`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Problem {
    /// The venue's name leads to an address that is not public.
    AddressRefused,
    /// An act of the core that forbids came before the request was on its socket.
    Barrier,
    /// The response broke off, or nobody took it in time.
    BodyCut,
    /// The response is longer than what is passed on.
    BodyTooLong,
    /// As many requests are under way as may be.
    Busy,
    /// No connection came about.
    ConnectFailed,
    /// The connection ended before a response.
    ConnectionLost,
    /// The venue's name leads nowhere, or nobody was there to ask.
    DnsFailed,
    /// A handle stands for nothing that is held.
    HandleUnknown,
    /// The venue answered a handshake with something else than a WebSocket.
    HandshakeRefused,
    /// What authorises was to be held back, and could not be told from the rest.
    HoldFailed,
    /// A message is longer than what is passed on.
    MessageTooLong,
    /// The request cannot be sent as it stands, and is never changed.
    RequestMalformed,
    /// The response is compressed, though we asked for none that is: nothing can be struck out.
    ResponseEncoded,
    /// No response of HTTP.
    ResponseMalformed,
    /// The core has ended the WebSocket.
    StreamCut,
    /// Time ran out.
    Timeout,
    /// The certificate is not the venue's, or the handshake broke.
    TlsFailed,
    /// The venue wants to be left alone, or did not answer of late.
    VenuePaused,
}

impl Problem {
    /// Whether a caller can bring it about as often as it likes.
    pub(crate) fn is_at_will(self) -> bool {
        matches!(
            self,
            Self::Barrier
                | Self::Busy
                | Self::HandleUnknown
                | Self::StreamCut
                | Self::Timeout
                | Self::VenuePaused
        )
    }

    /// As it is logged and told.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::AddressRefused => "ADDRESS_REFUSED",
            Self::Barrier => "BARRIER",
            Self::BodyCut => "BODY_CUT",
            Self::BodyTooLong => "BODY_TOO_LONG",
            Self::Busy => "BUSY",
            Self::ConnectFailed => "CONNECT_FAILED",
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::DnsFailed => "DNS_FAILED",
            Self::HandleUnknown => "HANDLE_UNKNOWN",
            Self::HandshakeRefused => "HANDSHAKE_REFUSED",
            Self::HoldFailed => "HOLD_FAILED",
            Self::MessageTooLong => "MESSAGE_TOO_LONG",
            Self::RequestMalformed => "REQUEST_MALFORMED",
            Self::ResponseEncoded => "RESPONSE_ENCODED",
            Self::ResponseMalformed => "RESPONSE_MALFORMED",
            Self::StreamCut => "STREAM_CUT",
            Self::Timeout => "TIMEOUT",
            Self::TlsFailed => "TLS_FAILED",
            Self::VenuePaused => "VENUE_PAUSED",
        }
    }
}
