//! Kraken spot REST signing.
//!
//! Source: <https://docs.kraken.com/api/docs/guides/spot-rest-auth> (stored copy, read 2026-11-21):
//! "HMAC-SHA512 of (URI path + SHA256(nonce + POST data)) and base64 decoded secret API key", with
//! an example that the tests check; ccxt 4.5.90 `kraken.sign()`, whose output is in
//! `tests/vectors/venue/kraken.json`.
//!
//! String-to-sign: `path + SHA-256(nonce + body)`: the path's bytes, then 32 bytes of hash;
//! `nonce` is the decimal text of the body's own `nonce` parameter. It splits in one way only: the
//! hash has a fixed length, and a body begins with no digit.
//! Signature: base64(HMAC-SHA512(base64-decode(secret), string-to-sign)).
//!
//! The vault puts the nonce first: `nonce=N&...` in a form, `{"nonce":"N",...}` in JSON. In JSON it
//! is a string, as ccxt sends it (`kraken-hmac-rest-07`); the guide names the parameter's range
//! (unsigned 64-bit), not its JSON type. Method, host, query and media type are not signed; a body
//! of one form carries no nonce when it is read as the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use vault_model::{SecretBytes, Timestamp, VenueRequest};
use zeroize::Zeroizing;

use super::{Scheme, WireRequest, check_printable, header, hmac_sha512};
use crate::error::VenueError;
use crate::json::{self, Value};
use crate::venue::{Key, Moment};

/// See the module.
#[derive(Debug)]
pub(super) struct Kraken;

/// Form bodies.
const FORM: &str = "application/x-www-form-urlencoded";

impl Scheme for Kraken {
    fn name(&self) -> &'static str {
        "kraken"
    }

    fn wire(&self, request: &VenueRequest, moment: &Moment) -> Result<WireRequest, VenueError> {
        let nonce = moment.nonce.ok_or(VenueError::NonceMissing)?;
        let (body, content_type) = if is_json(&request.body) {
            (json_with_nonce(&request.body, nonce)?, "application/json")
        } else {
            let separator = if request.body.is_empty() { "" } else { "&" };
            let head = format!("nonce={nonce}{separator}");
            ([head.as_bytes(), &request.body].concat(), FORM)
        };
        Ok(WireRequest {
            method: request.method.clone(),
            scheme: request.scheme.clone(),
            host: request.host.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            body,
            content_type: Some(content_type),
        })
    }

    fn string_to_sign(&self, wire: &WireRequest, _at: Timestamp) -> Result<Vec<u8>, VenueError> {
        let nonce = nonce_of(&wire.body).ok_or(VenueError::RequestForm)?;
        let mut hasher = Sha256::new();
        hasher.update(nonce.as_bytes());
        hasher.update(&wire.body);
        Ok([wire.path.as_bytes(), hasher.finalize().as_slice()].concat())
    }

    fn signature(&self, secret: &SecretBytes, string: &[u8]) -> Result<Vec<u8>, VenueError> {
        hmac_sha512(&decode(secret)?, string)
    }

    fn headers(
        &self,
        key: &Key<'_>,
        _at: Timestamp,
        signature: &[u8],
    ) -> Result<Vec<(String, String)>, VenueError> {
        check_printable(key.api_key.as_bytes(), VenueError::ApiKeyForm)?;
        Ok(vec![header("API-Key", key.api_key), header("API-Sign", STANDARD.encode(signature))])
    }

    /// The known answer is the example of Kraken's own guide.
    fn self_test(&self) -> Result<(), VenueError> {
        let secret = b"kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";
        let body =
            b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25";
        let wire = WireRequest {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            host: "api.kraken.com".to_owned(),
            path: "/0/private/AddOrder".to_owned(),
            query: String::new(),
            body: body.to_vec(),
            content_type: Some(FORM),
        };
        let string = self.string_to_sign(&wire, Timestamp(0))?;
        let signature = self.signature(&SecretBytes::new(secret.to_vec()), &string)?;
        let known = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==";
        if STANDARD.encode(signature) == known { Ok(()) } else { Err(VenueError::SelfTest) }
    }
}

/// Decodes a secret: base64 of 1 to 384 bytes, padded, nothing around it.
fn decode(secret: &SecretBytes) -> Result<Zeroizing<Vec<u8>>, VenueError> {
    let text = secret.expose_secret();
    check_printable(text, VenueError::SecretForm)?;
    // Written into a buffer of full size at once, so that no partial copy is left behind.
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(text, &mut bytes[..]).map_err(|_| VenueError::SecretForm)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn is_json(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
}

fn json_with_nonce(body: &[u8], nonce: u64) -> Result<Vec<u8>, VenueError> {
    let opening = body.iter().position(|&b| b == b'{').ok_or(VenueError::RequestForm)?;
    let (head, tail) = body.split_at(opening + 1);
    let separator = if tail.trim_ascii_start().first() == Some(&b'}') { "" } else { "," };
    let member = format!(r#""nonce":"{nonce}"{separator}"#);
    Ok([head, member.as_bytes(), tail].concat())
}

/// The nonce that a body carries: the first `nonce` of a form, or that of a JSON object.
fn nonce_of(body: &[u8]) -> Option<String> {
    let nonce = if is_json(body) {
        match json::parse(body).ok()?.member("nonce")? {
            Value::Number(text) | Value::Text(text) => text.clone(),
            _ => return None,
        }
    } else {
        let text = std::str::from_utf8(body).ok()?;
        text.split('&').find_map(|pair| pair.strip_prefix("nonce="))?.to_owned()
    };
    (!nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_digit())).then_some(nonce)
}
