//! Signing schemes: how bytes are made. One file each; what an operation *is* stands in the
//! catalogues.

mod kraken;
mod okx;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use vault_model::{SecretBytes, SignedRequest, Timestamp, VenueRequest};

use crate::error::VenueError;
use crate::venue::{Key, Moment};

/// All schemes. A new one is a line here and its `mod` line.
pub const SCHEMES: &[&dyn Scheme] = &[&kraken::Kraken, &okx::Okx];

/// The longest key, secret or passphrase taken, in bytes.
const KEY_BYTES_MAX: usize = 512;

/// A request as it goes out, complete but for what authenticates it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WireRequest {
    /// An upper-case token.
    pub method: String,
    /// `https`.
    pub scheme: String,
    /// Host.
    pub host: String,
    /// Path.
    pub path: String,
    /// Query without its question mark.
    pub query: String,
    /// Body, with what the scheme puts in it.
    pub body: Vec<u8>,
    /// Media type of the body.
    pub content_type: Option<&'static str>,
}

/// How a venue wants its requests signed.
pub trait Scheme: fmt::Debug + Send + Sync {
    /// Name, as catalogues call it.
    fn name(&self) -> &'static str;

    /// The request as it goes out, with the parameters that the vault sets inside it.
    ///
    /// # Errors
    ///
    /// [`VenueError::NonceMissing`], [`VenueError::RequestForm`].
    fn wire(&self, request: &VenueRequest, moment: &Moment) -> Result<WireRequest, VenueError>;

    /// The text that is signed.
    ///
    /// # Errors
    ///
    /// [`VenueError::RequestForm`].
    fn string_to_sign(&self, wire: &WireRequest, at: Timestamp) -> Result<Vec<u8>, VenueError>;

    /// The signature of a text, decoded.
    ///
    /// # Errors
    ///
    /// [`VenueError::SecretForm`].
    fn signature(&self, secret: &SecretBytes, string: &[u8]) -> Result<Vec<u8>, VenueError>;

    /// The headers by which the venue authenticates.
    ///
    /// # Errors
    ///
    /// [`VenueError::ApiKeyForm`], [`VenueError::PassphraseForm`], [`VenueError::PassphraseMissing`].
    fn headers(
        &self,
        key: &Key<'_>,
        at: Timestamp,
        signature: &[u8],
    ) -> Result<Vec<(String, String)>, VenueError>;

    /// A WebSocket log-on: the message that logs on is the body, and the URL names the host alone,
    /// since the signature binds no socket.
    ///
    /// # Errors
    ///
    /// [`VenueError::RequestForm`] where the scheme has none.
    fn log_on(
        &self,
        _request: &VenueRequest,
        _key: &Key<'_>,
        _moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        Err(VenueError::RequestForm)
    }

    /// Computes a known answer.
    ///
    /// # Errors
    ///
    /// [`VenueError::SelfTest`].
    fn self_test(&self) -> Result<(), VenueError>;
}

/// A text of 1 to 512 printable ASCII characters without spaces.
pub(crate) fn check_printable(text: &[u8], error: VenueError) -> Result<(), VenueError> {
    let fits = (1..=KEY_BYTES_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
    if fits { Ok(()) } else { Err(error) }
}

/// HMAC-SHA256. The key schedule is wiped on drop.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Result<Vec<u8>, VenueError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| VenueError::SecretForm)?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// HMAC-SHA512. The key schedule is wiped on drop.
fn hmac_sha512(key: &[u8], text: &[u8]) -> Result<Vec<u8>, VenueError> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).map_err(|_| VenueError::SecretForm)?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

#[cfg(test)]
mod tests {
    use super::{hmac_sha256, hmac_sha512};

    /// Source: RFC 4231, test case 2.
    #[test]
    fn computes_rfc_4231() {
        let text = b"what do ya want for nothing?";

        let short = hmac_sha256(b"Jefe", text).expect("any key fits");
        let long = hmac_sha512(b"Jefe", text).expect("any key fits");

        assert_eq!(
            hex::encode(short),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex::encode(long),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
    }
}
