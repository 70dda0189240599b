//! OKX v5 signing.
//!
//! Source: OKX API v5 documentation, <https://www.okx.com/docs-v5/en/#overview-rest-authentication>
//! (stored copy, read 2026-11-21); ccxt 4.5.90 `okx.sign()` and `pro/okx.authenticate()`, whose
//! output is in `tests/vectors/venue/okx.json`.
//!
//! REST string-to-sign: `timestamp + METHOD + path[?query] + body`, nothing between the parts;
//! `timestamp` is ISO 8601 UTC with milliseconds, the same text as in the header. It splits in one
//! way only: the timestamp has 24 bytes, no method is the head of another, and a path that is in
//! the catalogue is followed by `?`, by the `{` or `[` of a body, or by nothing.
//! WebSocket string-to-sign: `seconds + GET + /users/self/verify`; it begins with ten digits where
//! the other has a `-` after four.
//! Signature: base64(HMAC-SHA256(secret, string-to-sign)). The secret is used as text.
//!
//! The passphrase travels beside every signature in clear.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vault_model::{SignedRequest, VenueRequest};

use super::{
    Scheme, WireRequest, api_key, check_printable, header, hmac_of_text, json_string, known_answer,
};
use crate::error::VenueError;
use crate::key::KeyType;
use crate::placeholder::Placeholders;
use crate::venue::{Key, Moment};

/// See the module.
#[derive(Debug)]
pub(super) struct Okx;

/// What a WebSocket log-on signs after its timestamp.
const LOG_ON: (&str, &str) = ("GET", "/users/self/verify");

impl Scheme for Okx {
    fn name(&self) -> &'static str {
        "okx"
    }

    /// All in headers.
    fn placeholders(&self) -> Placeholders {
        Placeholders {
            key_headers: &["ok-access-key"],
            key_parameters: &[],
            token: false,
            made_anew: &[],
        }
    }

    fn wire(
        &self,
        request: &VenueRequest,
        _key: &Key<'_>,
        _moment: &Moment,
    ) -> Result<WireRequest, VenueError> {
        let mut wire = WireRequest::of(request);
        if !wire.body.is_empty() {
            wire.headers.push(header("Content-Type", "application/json"));
        }
        Ok(wire)
    }

    fn string_to_sign(
        &self,
        wire: &WireRequest,
        _key: &Key<'_>,
        moment: &Moment,
    ) -> Result<Vec<u8>, VenueError> {
        // The log-on is the one text that is signed with seconds.
        let timestamp = if wire.scheme == "wss" {
            moment.at.seconds().to_string()
        } else {
            moment.at.iso_millis()
        };
        let mark = if wire.query.is_empty() { "" } else { "?" };
        let head = format!("{timestamp}{}{}{mark}{}", wire.method, wire.path, wire.query);
        Ok([head.as_bytes(), &wire.body].concat())
    }

    fn signature(&self, key: &Key<'_>, string: &[u8]) -> Result<Vec<u8>, VenueError> {
        match key.key_type {
            KeyType::Hmac => hmac_of_text(key.secret, string),
            KeyType::Es256 | KeyType::Ed25519 | KeyType::LegacyHmac | KeyType::Rsa => {
                Err(VenueError::KeyTypeNotTaken)
            }
        }
    }

    fn authenticate(
        &self,
        mut wire: WireRequest,
        key: &Key<'_>,
        moment: &Moment,
        _string: &[u8],
        signature: &[u8],
    ) -> Result<WireRequest, VenueError> {
        let encoded = STANDARD.encode(signature);
        let passphrase = passphrase(key)?;
        wire.headers.extend([
            header("OK-ACCESS-KEY", api_key(key)?),
            header("OK-ACCESS-SIGN", encoded.as_str()),
            header("OK-ACCESS-TIMESTAMP", moment.at.iso_millis()),
            header("OK-ACCESS-PASSPHRASE", passphrase),
        ]);
        wire.secrets.extend([encoded, passphrase.to_owned()]);
        Ok(wire)
    }

    fn frame(
        &self,
        request: &VenueRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        let wire = WireRequest::of(request);
        let is_log_on = (wire.method.as_str(), wire.path.as_str()) == LOG_ON;
        if !is_log_on || !wire.query.is_empty() || !wire.body.is_empty() {
            return Err(VenueError::RequestForm);
        }
        let string = self.string_to_sign(&wire, key, moment)?;
        let signature = self.signature(key, &string)?;
        let encoded = STANDARD.encode(&signature);
        let passphrase = passphrase(key)?;
        let message = format!(
            r#"{{"op":"login","args":[{{"apiKey":{},"passphrase":{},"timestamp":"{}","sign":"{}"}}]}}"#,
            json_string(api_key(key)?),
            json_string(passphrase),
            moment.at.seconds(),
            encoded,
        );
        Ok(SignedRequest {
            method: wire.method,
            url: format!("wss://{}", wire.host),
            headers: Vec::new(),
            body: message.into_bytes(),
            signature,
            secrets: vec![encoded, passphrase.to_owned()],
        })
    }

    /// The known answer is of ccxt 4.5.90 (record `okx-hmac-rest-01`).
    fn self_test(&self) -> Result<(), VenueError> {
        let secret = b"5d95a2bcda7350714e4c2ba7dd08b8f72fb2914a67fc3fa1e4ce59d7f6abcd6e";
        let string = b"2024-04-06T19:34:38.038ZGET/api/v5/account/balance";
        let known = "XFgXJmM0Y1v2oPFfjKqSbg7aDsED3mzTzkhb3xREhdE=";
        let known = STANDARD.decode(known).map_err(|_| VenueError::SelfTest)?;
        known_answer(self, KeyType::Hmac, secret, string, &known)
    }
}

fn passphrase<'a>(key: &Key<'a>) -> Result<&'a str, VenueError> {
    let passphrase = key.passphrase.ok_or(VenueError::PassphraseMissing)?.expose_secret();
    check_printable(passphrase, VenueError::PassphraseForm)?;
    std::str::from_utf8(passphrase).map_err(|_| VenueError::PassphraseForm)
}
