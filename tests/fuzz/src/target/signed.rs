//! What [`Venue::sign`] promises, with throwaway keys.

use vault_model::{SecretBytes, SignedRequest, Timestamp, VenueRequest};
use vault_venue::{Key, KeyType, Moment, Standing, Venue, VenueError};

/// Throwaway keys, those of the vectors (`tests/vectors/venue/`). They open nothing anywhere.
pub const ED25519: &str = include_str!("../../keys/ed25519.pem");
/// See [`ED25519`].
pub const P256: &str = include_str!("../../keys/p256.pem");
/// See [`ED25519`].
pub const RSA: &str = include_str!("../../keys/rsa.pem");
/// A shared secret: base64, since Kraken's are, and 64 bytes of it.
pub const SHARED: &str =
    "c2hhcmVkLXNlY3JldC1vZi10aGUtZnV6ei10YXJnZXRzLW5vYm9keS1oYXMtdGhpcy1rZXktYW55d2hlcmUh";

const PASSPHRASE: &str = "passphrase-of-the-fuzz-targets";
const API_KEY: &str = "api-key-of-the-fuzz-targets";

/// A secret of a type.
pub fn secret(key_type: KeyType) -> SecretBytes {
    let text = match key_type {
        KeyType::Ed25519 => ED25519,
        KeyType::Es256 => P256,
        KeyType::Hmac | KeyType::LegacyHmac => SHARED,
        KeyType::Rsa => RSA,
    };
    SecretBytes::new(text.as_bytes().to_vec())
}

/// Signs what was not read: an answer, never a panic.
pub fn try_sign(
    venue: &Venue,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Option<SignedRequest> {
    sign(venue, request, standing).ok()
}

/// Signs what was read: it has the caller's bytes in it and no secret, or the key is of a type
/// that the venue does not take there.
pub fn check(venue: &Venue, request: &VenueRequest, standing: &Standing<'_>) {
    let signed = match sign(venue, request, standing) {
        Ok(signed) => signed,
        Err(error) => {
            assert_eq!(error, VenueError::KeyTypeNotTaken, "what is read can be signed");
            return;
        }
    };
    assert_eq!(signed.method, request.method);
    let head = format!("{}://{}", request.scheme, request.host);
    let rest = signed.url.strip_prefix(&head).expect("to the stated host");
    if request.scheme == "https" {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        assert_eq!(path, request.path);
        assert!(query.starts_with(&request.query), "the caller's query");
        let body = request.body.strip_prefix(b"{").unwrap_or(&request.body);
        let has_body = body.is_empty() || signed.body.windows(body.len()).any(|own| own == body);
        assert!(has_body, "the caller's body");
    }
    for (name, value) in &signed.headers {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        assert!(!name.is_empty() && name.bytes().all(is_token), "{name:?}");
        assert!(value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{name}");
    }
    assert!(signed.url.bytes().all(|b| b.is_ascii_graphic()), "one line");
    let secret = secret(standing.key_type);
    let secret = secret.expose_secret();
    let headers = signed.headers.iter().map(|(_, value)| value.as_bytes());
    let parts = headers.chain([signed.url.as_bytes(), &signed.body, &signed.signature]);
    for part in parts {
        assert!(!part.windows(secret.len()).any(|own| own == secret), "the secret is in it");
    }
}

fn sign(
    venue: &Venue,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Result<SignedRequest, VenueError> {
    let secret = secret(standing.key_type);
    let passphrase = SecretBytes::new(PASSPHRASE.as_bytes().to_vec());
    let key = Key {
        api_key: API_KEY,
        secret: &secret,
        passphrase: venue.needs_passphrase().then_some(&passphrase),
        key_type: standing.key_type,
        private_key: None,
    };
    let moment = Moment {
        at: Timestamp::from_millis(1_795_300_000_123),
        nonce: Some(1_795_300_000_123),
        environment: standing.environment,
        disclose_passphrase: true,
        unique: [0xa5; 16],
    };
    venue.sign(request, &key, &moment)
}
