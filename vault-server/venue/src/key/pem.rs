//! PEM of private keys (RFC 7468), read strictly but for line breaks.
//!
//! Owners paste keys out of files, environment variables and JSON, so line breaks may be CR, LF,
//! spaces, or the two characters `\n` as Coinbase's JSON has them. Nothing may stand around the one
//! block but an `EC PARAMETERS` block before it, as `openssl ecparam -genkey` writes.

use std::convert::Infallible;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vault_model::SecretBytes;

use crate::error::VenueError;

/// What kind of private key a block holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Label {
    /// `RSA PRIVATE KEY`
    Pkcs1,
    /// `PRIVATE KEY`
    Pkcs8,
    /// `EC PRIVATE KEY`
    Sec1,
}

/// The longest text taken: PKCS#8 of RSA with 4,096 bits has about 3,300 bytes.
const PEM_BYTES_MAX: usize = 16 * 1024;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Whether a text is meant to be PEM.
pub(super) fn is_pem(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(DASHES)
}

/// Decodes one private key.
pub(super) fn decode(text: &[u8]) -> Result<(Label, SecretBytes), VenueError> {
    if text.len() > PEM_BYTES_MAX {
        return Err(VenueError::PemForm);
    }
    let text = unescape(text);
    let mut rest = text.expose_secret().trim_ascii();
    loop {
        let (label, body, tail) = block(rest).ok_or(VenueError::PemForm)?;
        rest = tail.trim_ascii_start();
        if label == b"EC PARAMETERS" && !rest.is_empty() {
            continue;
        }
        if !rest.is_empty() {
            return Err(VenueError::PemForm);
        }
        let label = match label {
            b"EC PRIVATE KEY" => Label::Sec1,
            b"PRIVATE KEY" => Label::Pkcs8,
            b"RSA PRIVATE KEY" => Label::Pkcs1,
            b"DSA PRIVATE KEY" => return Err(VenueError::PrivateKeyAlgorithm),
            b"ENCRYPTED PRIVATE KEY" => return Err(VenueError::PrivateKeyEncrypted),
            _ if label.ends_with(b"PUBLIC KEY") || find(label, b"CERTIFICATE").is_some() => {
                return Err(VenueError::NotPrivateKey);
            }
            _ => return Err(VenueError::PemForm),
        };
        // `Proc-Type: 4,ENCRYPTED` (RFC 1421) stands in front of what OpenSSL once encrypted.
        if body.trim_ascii_start().starts_with(b"Proc-Type:") {
            return Err(VenueError::PrivateKeyEncrypted);
        }
        return Ok((label, base64(body)?));
    }
}

/// Puts a space where `\n` or `\r` is written out.
fn unescape(text: &[u8]) -> SecretBytes {
    collect(text.len(), |plain| {
        let (mut at, mut written) = (0, 0);
        while let Some(&byte) = text.get(at) {
            let is_escape = byte == b'\\' && matches!(text.get(at + 1), Some(b'n' | b'r'));
            plain[written] = if is_escape { b' ' } else { byte };
            written += 1;
            at += if is_escape { 2 } else { 1 };
        }
        written
    })
}

/// The label and body of the block that a text begins with, and what follows it.
fn block(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let text = text.strip_prefix(BEGIN)?;
    let label_end = find(text, DASHES)?;
    let (label, text) = (&text[..label_end], &text[label_end + DASHES.len()..]);
    let body_end = find(text, DASHES)?;
    let (body, text) = (&text[..body_end], &text[body_end..]);
    let tail = text.strip_prefix(END)?.strip_prefix(label)?.strip_prefix(DASHES)?;
    Some((label, body, tail))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn base64(body: &[u8]) -> Result<SecretBytes, VenueError> {
    let digits = collect(body.len(), |digits| {
        let mut written = 0;
        for digit in body.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            digits[written] = *digit;
            written += 1;
        }
        written
    });
    SecretBytes::build(base64::decoded_len_estimate(digits.len()), |bytes| {
        STANDARD.decode_slice(digits.expose_secret(), bytes).map_err(|_| VenueError::PemForm)
    })
}

fn collect(len: usize, fill: impl FnOnce(&mut [u8]) -> usize) -> SecretBytes {
    let Ok(bytes) = SecretBytes::build(len, |bytes| Ok::<_, Infallible>(fill(bytes)));
    bytes
}
