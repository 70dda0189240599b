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
use vault_model::{SecretBytes, VenueRequest};

use super::{Scheme, WireRequest, api_key, check_printable, header, hmac_sha512, known_answer};
use crate::error::VenueError;
use crate::json::{self, Value};
use crate::key::KeyType;
use crate::placeholder::Placeholders;
use crate::venue::{Key, Moment};

/// See the module.
#[derive(Debug)]
pub(super) struct Kraken;

impl Scheme for Kraken {
    fn name(&self) -> &'static str {
        "kraken"
    }

    /// The nonce is in the body, a form or JSON.
    fn placeholders(&self) -> Placeholders {
        Placeholders {
            key_headers: &["api-key"],
            key_parameters: &[],
            token: false,
            made_anew: &["nonce"],
        }
    }

    fn wire(
        &self,
        request: &VenueRequest,
        _key: &Key<'_>,
        moment: &Moment,
    ) -> Result<WireRequest, VenueError> {
        let nonce = moment.nonce.ok_or(VenueError::NonceMissing)?;
        let mut wire = WireRequest::of(request);
        let content_type = if is_json(&request.body) {
            wire.body = json_with_nonce(&request.body, nonce)?;
            "application/json"
        } else {
            let separator = if request.body.is_empty() { "" } else { "&" };
            let head = format!("nonce={nonce}{separator}");
            wire.body = [head.as_bytes(), &request.body].concat();
            "application/x-www-form-urlencoded"
        };
        wire.headers.push(header("Content-Type", content_type));
        Ok(wire)
    }

    fn string_to_sign(
        &self,
        wire: &WireRequest,
        _key: &Key<'_>,
        _moment: &Moment,
    ) -> Result<Vec<u8>, VenueError> {
        let nonce = nonce_of(&wire.body).ok_or(VenueError::RequestForm)?;
        let mut hasher = Sha256::new();
        hasher.update(nonce.as_bytes());
        hasher.update(&wire.body);
        Ok([wire.path.as_bytes(), hasher.finalize().as_slice()].concat())
    }

    fn signature(&self, key: &Key<'_>, string: &[u8]) -> Result<Vec<u8>, VenueError> {
        match key.key_type {
            KeyType::Hmac => hmac_sha512(decode(key.secret)?.expose_secret(), string),
            KeyType::Es256 | KeyType::Ed25519 | KeyType::LegacyHmac | KeyType::Rsa => {
                Err(VenueError::KeyTypeNotTaken)
            }
        }
    }

    fn authenticate(
        &self,
        mut wire: WireRequest,
        key: &Key<'_>,
        _moment: &Moment,
        _string: &[u8],
        signature: &[u8],
    ) -> Result<WireRequest, VenueError> {
        let encoded = STANDARD.encode(signature);
        wire.headers
            .extend([header("API-Key", api_key(key)?), header("API-Sign", encoded.as_str())]);
        wire.secrets.push(encoded);
        Ok(wire)
    }

    /// The known answer is the example of Kraken's own guide.
    fn self_test(&self) -> Result<(), VenueError> {
        let secret = b"kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";
        let string = [
            &b"/0/private/AddOrder"[..],
            &Sha256::digest(
                b"1616492376594nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
            ),
        ];
        let known = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==";
        let known = STANDARD.decode(known).map_err(|_| VenueError::SelfTest)?;
        known_answer(self, KeyType::Hmac, secret, &string.concat(), &known)
    }
}

/// Decodes a secret: base64 of 1 to 384 bytes, padded, nothing around it.
fn decode(secret: &SecretBytes) -> Result<SecretBytes, VenueError> {
    let text = secret.expose_secret();
    check_printable(text, VenueError::SecretForm)?;
    SecretBytes::build(base64::decoded_len_estimate(text.len()), |bytes| {
        STANDARD.decode_slice(text, bytes).map_err(|_| VenueError::SecretForm)
    })
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
        match json::parse(body, &|_| None).ok()?.member("nonce")? {
            Value::Number(text) | Value::Text(text) => text.clone().into_owned(),
            _ => return None,
        }
    } else {
        let text = std::str::from_utf8(body).ok()?;
        text.split('&').find_map(|pair| pair.strip_prefix("nonce="))?.to_owned()
    };
    (!nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_digit())).then_some(nonce)
}
