//! Requests to a venue.

use serde::{Deserialize, Serialize};

/// A request as a bot states it: without time, nonce, api key or signature, which the vault adds.
/// Nothing in it has been checked.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct VenueRequest {
    /// An upper-case token, such as `POST`.
    pub method: String,
    /// `https`, or `wss` for a WebSocket log-on.
    pub scheme: String,
    /// Lower-case host name without port.
    pub host: String,
    /// Path, with its leading slash, percent-encoding untouched.
    pub path: String,
    /// Query without its question mark, percent-encoding untouched; empty for none.
    pub query: String,
    /// Body, byte for byte; empty and absent are the same.
    pub body: Vec<u8>,
    /// Headers the caller asks to have sent along, in order.
    pub headers: Vec<(String, String)>,
}

/// A request ready to be sent, signature included.
#[derive(Clone, Eq, PartialEq)]
pub struct SignedRequest {
    /// As in [`VenueRequest`].
    pub method: String,
    /// Scheme, host, path and query.
    pub url: String,
    /// Every header to send, in order. Those that the venue authenticates by are among them.
    pub headers: Vec<(String, String)>,
    /// Body, byte for byte.
    pub body: Vec<u8>,
    /// The signature alone, decoded: what the log's `sig_sha256` is taken over.
    pub signature: Vec<u8>,
    /// Texts in it that authorise, as they stand in it: signature, token, passphrase, and the API
    /// key where that alone opens the operation. For whoever has to strike them out of an answer.
    pub secrets: Vec<String>,
}

impl std::fmt::Debug for SignedRequest {
    /// Shows the method only: the rest authorises.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedRequest").field("method", &self.method).finish_non_exhaustive()
    }
}
