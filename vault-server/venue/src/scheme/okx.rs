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
use vault_model::{SecretBytes, SignedRequest, Timestamp, VenueRequest};

use super::{Scheme, WireRequest, check_printable, header, hmac_sha256};
use crate::error::VenueError;
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

    fn wire(&self, request: &VenueRequest, _moment: &Moment) -> Result<WireRequest, VenueError> {
        Ok(WireRequest {
            method: request.method.clone(),
            scheme: request.scheme.clone(),
            host: request.host.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            body: request.body.clone(),
            content_type: (!request.body.is_empty()).then_some("application/json"),
        })
    }

    fn string_to_sign(&self, wire: &WireRequest, at: Timestamp) -> Result<Vec<u8>, VenueError> {
        // The log-on is the one text that is signed with seconds.
        let timestamp =
            if wire.scheme == "wss" { at.seconds().to_string() } else { at.iso_millis() };
        let mark = if wire.query.is_empty() { "" } else { "?" };
        let head = format!("{timestamp}{}{}{mark}{}", wire.method, wire.path, wire.query);
        Ok([head.as_bytes(), &wire.body].concat())
    }

    fn signature(&self, secret: &SecretBytes, string: &[u8]) -> Result<Vec<u8>, VenueError> {
        check_printable(secret.expose_secret(), VenueError::SecretForm)?;
        hmac_sha256(secret.expose_secret(), string)
    }

    fn headers(
        &self,
        key: &Key<'_>,
        at: Timestamp,
        signature: &[u8],
    ) -> Result<Vec<(String, String)>, VenueError> {
        check_printable(key.api_key.as_bytes(), VenueError::ApiKeyForm)?;
        Ok(vec![
            header("OK-ACCESS-KEY", key.api_key),
            header("OK-ACCESS-SIGN", STANDARD.encode(signature)),
            header("OK-ACCESS-TIMESTAMP", at.iso_millis()),
            header("OK-ACCESS-PASSPHRASE", passphrase(key)?),
        ])
    }

    fn log_on(
        &self,
        request: &VenueRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        let wire = self.wire(request, moment)?;
        let is_log_on = (wire.method.as_str(), wire.path.as_str()) == LOG_ON;
        if !is_log_on || !wire.query.is_empty() || !wire.body.is_empty() {
            return Err(VenueError::RequestForm);
        }
        check_printable(key.api_key.as_bytes(), VenueError::ApiKeyForm)?;
        let string = self.string_to_sign(&wire, moment.at)?;
        let signature = self.signature(key.secret, &string)?;
        let message = format!(
            r#"{{"op":"login","args":[{{"apiKey":{},"passphrase":{},"timestamp":"{}","sign":"{}"}}]}}"#,
            json_string(key.api_key),
            json_string(passphrase(key)?),
            moment.at.seconds(),
            STANDARD.encode(&signature),
        );
        Ok(SignedRequest {
            method: wire.method,
            url: format!("wss://{}", wire.host),
            headers: Vec::new(),
            body: message.into_bytes(),
            signature,
        })
    }

    /// The known answer is of ccxt 4.5.90 (record `okx-hmac-rest-01`).
    fn self_test(&self) -> Result<(), VenueError> {
        let secret = b"5d95a2bcda7350714e4c2ba7dd08b8f72fb2914a67fc3fa1e4ce59d7f6abcd6e";
        let string = b"2024-04-06T19:34:38.038ZGET/api/v5/account/balance";
        let signature = self.signature(&SecretBytes::new(secret.to_vec()), string)?;
        if STANDARD.encode(signature) == "XFgXJmM0Y1v2oPFfjKqSbg7aDsED3mzTzkhb3xREhdE=" {
            Ok(())
        } else {
            Err(VenueError::SelfTest)
        }
    }
}

fn passphrase<'a>(key: &Key<'a>) -> Result<&'a str, VenueError> {
    let passphrase = key.passphrase.ok_or(VenueError::PassphraseMissing)?.expose_secret();
    check_printable(passphrase, VenueError::PassphraseForm)?;
    std::str::from_utf8(passphrase).map_err(|_| VenueError::PassphraseForm)
}

/// A JSON string of printable ASCII: only quote and backslash need an escape.
fn json_string(text: &str) -> String {
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
