//! Signing schemes: how bytes are made. One file each; what an operation *is* stands in the
//! catalogues.

mod binance;
mod bybit;
mod coinbase;
pub(crate) mod known;
mod kraken;
mod okx;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use vault_model::{SecretBytes, SignedRequest, VenueRequest};

use crate::error::VenueError;
use crate::key::{KeyType, PrivateKey};
use crate::placeholder::Placeholders;
use crate::venue::{Key, Moment};

/// All schemes. A new one is a line here and its `mod` line.
pub const SCHEMES: &[&dyn Scheme] =
    &[&binance::Binance, &bybit::Bybit, &coinbase::Coinbase, &kraken::Kraken, &okx::Okx];

/// The longest key, shared secret or passphrase taken, in bytes. PEM may be longer.
const KEY_BYTES_MAX: usize = 512;

/// A request as it goes out; complete once [`Scheme::authenticate`] was there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WireRequest {
    /// An upper-case token.
    pub method: String,
    /// `https` or `wss`.
    pub scheme: String,
    /// Host.
    pub host: String,
    /// Path.
    pub path: String,
    /// Query without its question mark.
    pub query: String,
    /// The headers that the scheme sets, in order. Never signed by any scheme so far.
    pub headers: Vec<(String, String)>,
    /// Body, with what the scheme puts in it.
    pub body: Vec<u8>,
    /// As in [`SignedRequest`].
    pub secrets: Vec<String>,
}

impl WireRequest {
    /// The parts of a request as the caller gave them. His headers are none of the scheme's.
    pub fn of(request: &VenueRequest) -> Self {
        Self {
            method: request.method.clone(),
            scheme: request.scheme.clone(),
            host: request.host.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: Vec::new(),
            body: request.body.clone(),
            secrets: Vec::new(),
        }
    }

    /// Scheme, host, path and query.
    pub fn url(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}://{}{}{mark}{}", self.scheme, self.host, self.path, self.query)
    }

    /// The request that the caller gets, with its signature beside it.
    pub fn signed(self, signature: Vec<u8>) -> SignedRequest {
        SignedRequest {
            url: self.url(),
            method: self.method,
            headers: self.headers,
            body: self.body,
            signature,
            secrets: self.secrets,
        }
    }
}

/// How a venue wants its requests signed.
///
/// A request over HTTPS goes through [`wire`](Self::wire), [`string_to_sign`](Self::string_to_sign),
/// [`signature`](Self::signature) and [`authenticate`](Self::authenticate), in this order. One over
/// a WebSocket is a message in a frame, which [`frame`](Self::frame) makes whole.
pub trait Scheme: fmt::Debug + Send + Sync {
    /// Name, as catalogues call it.
    fn name(&self) -> &'static str;

    /// Where the venue's libraries put what the vault makes itself.
    fn placeholders(&self) -> Placeholders;

    /// The type of a key, from the form of its secret.
    ///
    /// # Errors
    ///
    /// [`VenueError::PemForm`] and the other errors of private keys.
    fn key_type_of(&self, secret: &SecretBytes) -> Result<KeyType, VenueError> {
        if PrivateKey::is_pem(secret) {
            PrivateKey::from_pem(secret).map(|private| private.key_type())
        } else {
            Ok(KeyType::Hmac)
        }
    }

    /// Parses the private key in a secret, as its type says; nothing of a shared secret.
    ///
    /// # Errors
    ///
    /// [`VenueError::KeyTypeWrong`], [`VenueError::PemForm`] and the other errors of private keys.
    fn private_key(&self, key: &Key<'_>) -> Result<Option<PrivateKey>, VenueError> {
        match key.key_type {
            KeyType::Hmac | KeyType::LegacyHmac => Ok(None),
            KeyType::Ed25519 | KeyType::Es256 | KeyType::Rsa => {
                let private = PrivateKey::from_pem(key.secret)?;
                private.check_type(key.key_type)?;
                Ok(Some(private))
            }
        }
    }

    /// The request as it goes out, with the parameters that the vault sets inside it, and without
    /// what only the signature can give.
    ///
    /// # Errors
    ///
    /// [`VenueError::NonceMissing`], [`VenueError::RequestForm`].
    fn wire(
        &self,
        request: &VenueRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<WireRequest, VenueError>;

    /// The text that is signed. Of a WebSocket message the wire request names the socket, and its
    /// body is what the scheme signs of the message, if it signs any of it.
    ///
    /// # Errors
    ///
    /// [`VenueError::ApiKeyForm`], [`VenueError::KeyTypeNotTaken`], [`VenueError::RequestForm`].
    fn string_to_sign(
        &self,
        wire: &WireRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<Vec<u8>, VenueError>;

    /// The signature of a text, decoded.
    ///
    /// # Errors
    ///
    /// [`VenueError::KeyTypeNotTaken`], [`VenueError::SecretForm`], [`VenueError::Signing`] and the
    /// errors of private keys.
    fn signature(&self, key: &Key<'_>, string: &[u8]) -> Result<Vec<u8>, VenueError>;

    /// Puts the signature, and the headers by which the venue authenticates, where they belong.
    ///
    /// # Errors
    ///
    /// [`VenueError::ApiKeyForm`], [`VenueError::PassphraseForm`], [`VenueError::PassphraseMissing`].
    fn authenticate(
        &self,
        wire: WireRequest,
        key: &Key<'_>,
        moment: &Moment,
        string: &[u8],
        signature: &[u8],
    ) -> Result<WireRequest, VenueError>;

    /// A signed message for a WebSocket, which is the body: a log-on, or a request where the venue
    /// takes them there. For a log-on the URL names the host alone, since the signature binds no
    /// socket.
    ///
    /// # Errors
    ///
    /// [`VenueError::RequestForm`] where the scheme has none, and those of the other methods.
    fn frame(
        &self,
        _request: &VenueRequest,
        _key: &Key<'_>,
        _moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        Err(VenueError::RequestForm)
    }

    /// A request that goes out without a time and a signature: with the API key where that alone
    /// opens it, and without any key where it is open to everybody.
    ///
    /// # Errors
    ///
    /// [`VenueError::RequestForm`] where the scheme has none; [`VenueError::ApiKeyForm`].
    fn unsigned(
        &self,
        request: &VenueRequest,
        key: Option<&Key<'_>>,
        _moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        if key.is_some() || request.scheme == "wss" {
            return Err(VenueError::RequestForm);
        }
        Ok(WireRequest::of(request).signed(Vec::new()))
    }

    /// Computes a known answer for each type of key that the scheme takes.
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

/// The API key, if it can stand in a header.
fn api_key<'a>(key: &Key<'a>) -> Result<&'a str, VenueError> {
    check_printable(key.api_key.as_bytes(), VenueError::ApiKeyForm)?;
    Ok(key.api_key)
}

/// HMAC-SHA256 with a secret that is used as the text that it is.
fn hmac_of_text(secret: &SecretBytes, text: &[u8]) -> Result<Vec<u8>, VenueError> {
    check_printable(secret.expose_secret(), VenueError::SecretForm)?;
    hmac_sha256(secret.expose_secret(), text)
}

/// A signature by a private key, which must be of the stated type: by the one that was parsed before,
/// or by one that is parsed for it.
fn sign_privately(scheme: &dyn Scheme, key: &Key<'_>, text: &[u8]) -> Result<Vec<u8>, VenueError> {
    match key.private_key {
        Some(private) => {
            private.check_type(key.key_type)?;
            private.sign(text)
        }
        None => scheme.private_key(key)?.ok_or(VenueError::SecretForm)?.sign(text),
    }
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

/// A JSON string of a text without control characters: only quote and backslash need an escape.
pub(crate) fn json_string(text: &str) -> String {
    let mut quoted = String::with_capacity(2 * text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// One known answer of a scheme's own self-test.
fn known_answer(
    scheme: &dyn Scheme,
    key_type: KeyType,
    secret: &[u8],
    string: &[u8],
    known: &[u8],
) -> Result<(), VenueError> {
    let secret = SecretBytes::new(secret.to_vec());
    let key = Key {
        api_key: "self-test",
        secret: &secret,
        passphrase: None,
        key_type,
        private_key: None,
    };
    let signature = scheme.signature(&key, string).map_err(|_| VenueError::SelfTest)?;
    if signature == known { Ok(()) } else { Err(VenueError::SelfTest) }
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
