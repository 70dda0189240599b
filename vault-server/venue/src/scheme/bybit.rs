//! Bybit v5 signing.
//!
//! Source: bybit-exchange/docs@072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996, `docs/v5/guide.mdx`
//! ("Create A Request") and `docs/v5/websocket/wss-authentication.mdx`; ccxt 4.5.90 `bybit.sign()`
//! and `pro/bybit.authenticate()`, whose output is in `tests/vectors/venue/bybit.json`.
//!
//! REST string-to-sign: `timestamp + api key + recv_window + query` for GET, `... + body` for
//! POST, nothing between the parts; `timestamp` is milliseconds, 13 digits. Method, host and path
//! are not signed. `recv_window` is always `5000`; since its end has no mark, a query or body that
//! begins with a digit would be read as a longer window and is refused.
//! WebSocket string-to-sign: `GET/realtime` + expiry in milliseconds; it begins with a letter where
//! the other has a digit. It names no socket: the private stream and the one that takes orders open
//! alike. The vault sets the expiry to 5,000 ms from now, as long as a REST signature lives; ccxt
//! takes 10,000.
//! The v2 and v3 paths are signed alike (`docs/v3/intro.mdx`), with `X-BAPI-SIGN-TYPE: 2`.
//! Signature: hex(HMAC-SHA256(secret, string-to-sign)) with the secret as text, or base64 of RSA
//! PKCS#1 v1.5 with SHA-256.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vault_model::{SignedRequest, VenueRequest};

use super::{
    Scheme, WireRequest, api_key, header, hmac_of_text, json_string, known, known_answer,
    sign_privately,
};
use crate::error::VenueError;
use crate::key::KeyType;
use crate::placeholder::Placeholders;
use crate::venue::{Key, Moment};

/// See the module.
#[derive(Debug)]
pub(super) struct Bybit;

/// How long the venue takes a signature, in milliseconds, as text that is signed.
const RECV_WINDOW: &str = "5000";

/// How long a log-on can be used, in milliseconds.
const LOG_ON_MS: i64 = 5000;

impl Scheme for Bybit {
    fn name(&self) -> &'static str {
        "bybit"
    }

    /// All in headers. The scheme before v5 had them in the parameters, and no library of today has
    /// them there for a path of v5.
    fn placeholders(&self) -> Placeholders {
        Placeholders {
            key_headers: &["x-bapi-api-key"],
            key_parameters: &["api_key"],
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
        let starts_with_digit = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
        // The venue signs a query of GET and a body of others: what it does not sign must not be.
        let unsigned = match request.method.as_str() {
            "GET" => !request.body.is_empty(),
            _ => !request.query.is_empty(),
        };
        if unsigned
            || starts_with_digit(request.query.as_bytes())
            || starts_with_digit(&request.body)
        {
            return Err(VenueError::RequestForm);
        }
        let mut wire = WireRequest::of(request);
        wire.headers.push(header("Content-Type", "application/json"));
        Ok(wire)
    }

    fn string_to_sign(
        &self,
        wire: &WireRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<Vec<u8>, VenueError> {
        if wire.scheme == "wss" {
            return Ok(format!("GET/realtime{}", expires(moment)).into_bytes());
        }
        let head = format!("{}{}{RECV_WINDOW}", moment.at.millis(), api_key(key)?);
        // One of the two is empty.
        Ok([head.as_bytes(), wire.query.as_bytes(), &wire.body].concat())
    }

    fn signature(&self, key: &Key<'_>, string: &[u8]) -> Result<Vec<u8>, VenueError> {
        match key.key_type {
            KeyType::Hmac => hmac_of_text(key.secret, string),
            KeyType::Rsa => sign_privately(self, key, string),
            KeyType::Ed25519 | KeyType::Es256 | KeyType::LegacyHmac => {
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
        let encoded = encode(key.key_type, signature);
        wire.headers.extend([
            header("X-BAPI-API-KEY", api_key(key)?),
            header("X-BAPI-TIMESTAMP", moment.at.millis().to_string()),
            header("X-BAPI-RECV-WINDOW", RECV_WINDOW),
            header("X-BAPI-SIGN", encoded.as_str()),
        ]);
        wire.secrets.push(encoded);
        // The older paths want to be told that they are signed in this way (documents v3/tax; ccxt).
        if !wire.path.starts_with("/v5/") {
            wire.headers.push(header("X-BAPI-SIGN-TYPE", "2"));
        }
        Ok(wire)
    }

    /// `{"op":"auth","args":["<api key>","<expiry>","<signature>"]}`
    fn frame(
        &self,
        request: &VenueRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        let wire = WireRequest::of(request);
        if wire.method != "GET" || !wire.query.is_empty() || !wire.body.is_empty() {
            return Err(VenueError::RequestForm);
        }
        let string = self.string_to_sign(&wire, key, moment)?;
        let signature = self.signature(key, &string)?;
        let encoded = encode(key.key_type, &signature);
        let message = format!(
            r#"{{"op":"auth","args":[{},"{}","{}"]}}"#,
            json_string(api_key(key)?),
            expires(moment),
            encoded,
        );
        Ok(SignedRequest {
            method: wire.method,
            url: format!("wss://{}", wire.host),
            headers: Vec::new(),
            body: message.into_bytes(),
            signature,
            secrets: vec![encoded],
        })
    }

    /// The known answers are of ccxt 4.5.90 (records `bybit-hmac-rest-00` and `bybit-rsa-rest-08`).
    fn self_test(&self) -> Result<(), VenueError> {
        let known = hex::decode("33fffe085ab335480234ea00bd3283a07d8dd23a20826d2a885f491328024620")
            .map_err(|_| VenueError::SelfTest)?;
        known_answer(
            self,
            KeyType::Hmac,
            b"5d95a2bcda7350714e4c2ba7dd08b8f72fb2914a67fc3fa1e4ce59d7f6abcd6e",
            b"1712345678901TESTKEYfb93c27e3d6cc7a2ccea61af5000accountType=UNIFIED",
            &known,
        )?;
        let string = br#"1713036870997TESTKEYfb93c27e3d6cc7a2ccea61af5000{"category":"linear","symbol":"BTCUSDT","orderId":"c6f055d9"}"#;
        let known = "AoW869U9yu8Jz+GfW64FDxUpq6auk3GVSNoTjKYLEhweGWlcLnk3GTDFbtb21k7pHCIT3176KvBD5C\
                     eQDiAUQhvFbqFAVwNO9h4GYQ8aHSK/V4LU3kbdffwyOvEMLr3ZfBjhbPYyH8Kitkbn+jeNfM0Fow7D\
                     SkkPfi5/5fwSbf19oQIclyQE6HzTK7VodS0zyrxPh426qBZbgK8b3FjHIdM63d+vTHukwGv5a0zCed\
                     rrWDIwgHbjhgo70217J0Hz1bSlD1bbcnYbfRHY7RWmjCT3jFr6qn3StsundDqqXxNMhGDvdyGKW3o1\
                     iAy6Hj6q7EOzuwfI+Nrvfyx8ENIB1Q==";
        let known = STANDARD.decode(known).map_err(|_| VenueError::SelfTest)?;
        known_answer(self, KeyType::Rsa, known::RSA.as_bytes(), string, &known)
    }
}

/// Hexadecimal for HMAC, base64 for RSA.
fn encode(key_type: KeyType, signature: &[u8]) -> String {
    match key_type {
        KeyType::Hmac => hex::encode(signature),
        _ => STANDARD.encode(signature),
    }
}

fn expires(moment: &Moment) -> i64 {
    moment.at.millis().saturating_add(LOG_ON_MS)
}

#[cfg(test)]
mod tests {
    use vault_model::{Environment, SecretBytes, SignedRequest, Timestamp, VenueRequest};

    use super::{Bybit, Scheme, known};
    use crate::error::VenueError;
    use crate::key::KeyType;
    use crate::venue::{Key, Moment};

    const MOMENT: Moment = Moment {
        at: Timestamp(1_658_385_579_423_000),
        nonce: None,
        environment: Environment::Live,
        disclose_passphrase: false,
        unique: [0; 16],
    };

    fn request(method: &str, query: &str, body: &str) -> VenueRequest {
        VenueRequest {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            host: "api.bybit.com".to_owned(),
            path: "/v5/order/create".to_owned(),
            query: query.to_owned(),
            body: body.as_bytes().to_vec(),
            headers: Vec::new(),
        }
    }

    fn log_on() -> VenueRequest {
        VenueRequest { scheme: "wss".to_owned(), ..request("GET", "", "") }
    }

    fn sign(
        request: &VenueRequest,
        key_type: KeyType,
        secret: &str,
    ) -> Result<SignedRequest, VenueError> {
        let secret = SecretBytes::new(secret.as_bytes().to_vec());
        let api_key = "XXXXXXXXXX";
        let key = Key { api_key, secret: &secret, passphrase: None, key_type, private_key: None };
        if request.scheme == "wss" {
            return Bybit.frame(request, &key, &MOMENT);
        }
        let wire = Bybit.wire(request, &key, &MOMENT)?;
        let string = Bybit.string_to_sign(&wire, &key, &MOMENT)?;
        let signature = Bybit.signature(&key, &string)?;
        let wire = Bybit.authenticate(wire, &key, &MOMENT, &string, &signature)?;
        Ok(wire.signed(signature))
    }

    /// Source: the example of `docs/v5/guide.mdx`, whose secret is not published.
    #[test]
    fn signs_time_key_window_and_body() {
        let secret = SecretBytes::new(b"secret".to_vec());
        let key = Key {
            api_key: "XXXXXXXXXX",
            secret: &secret,
            passphrase: None,
            key_type: KeyType::Hmac,
            private_key: None,
        };
        let wire = Bybit.wire(&request("POST", "", r#"{"category": "option"}"#), &key, &MOMENT);

        let string = Bybit.string_to_sign(&wire.expect("formed"), &key, &MOMENT).expect("formed");

        assert_eq!(string, br#"1658385579423XXXXXXXXXX5000{"category": "option"}"#);
    }

    #[test]
    fn the_window_is_always_five_seconds() {
        let signed = sign(&request("GET", "a=1", ""), KeyType::Hmac, "secret").expect("signed");
        let header = |name: &str| {
            signed.headers.iter().find(|(sent, _)| sent == name).map(|(_, value)| value.as_str())
        };

        assert_eq!(header("X-BAPI-RECV-WINDOW"), Some("5000"));
        assert_eq!(header("X-BAPI-TIMESTAMP"), Some("1658385579423"));
        assert_eq!(header("X-BAPI-API-KEY"), Some("XXXXXXXXXX"));
        assert_eq!(header("X-BAPI-SIGN"), Some(hex::encode(&signed.signature).as_str()));
        assert_eq!(header("X-BAPI-SIGN-TYPE"), None);
        assert_eq!(signed.url, "https://api.bybit.com/v5/order/create?a=1");
    }

    #[test]
    fn older_paths_say_how_they_are_signed() {
        let older = VenueRequest {
            path: "/fht/compliance/tax/v3/private/create".to_owned(),
            ..request("POST", "", "{}")
        };
        let signed = sign(&older, KeyType::Hmac, "secret").expect("signed");

        assert!(signed.headers.contains(&("X-BAPI-SIGN-TYPE".into(), "2".into())));
    }

    /// `5000` followed by `0` would be a window of 50 seconds.
    #[test]
    fn nothing_that_could_lengthen_the_window_is_signed() {
        for (method, query, body) in [
            ("GET", "0a=1", ""),
            ("GET", "9", ""),
            ("POST", "", "0"),
            ("POST", "", "1{}"),
            ("POST", "a=1", "{}"),
            ("POST", "a=1", ""),
            ("GET", "a=1", "{}"),
            ("GET", "", "{}"),
        ] {
            let signed = sign(&request(method, query, body), KeyType::Hmac, "secret");
            assert_eq!(signed.err(), Some(VenueError::RequestForm), "{method} {query} {body}");
        }
        for (method, query, body) in
            [("GET", "", ""), ("GET", "a=0", ""), ("POST", "", ""), ("POST", "", "{}")]
        {
            assert!(sign(&request(method, query, body), KeyType::Hmac, "secret").is_ok());
        }
    }

    #[test]
    fn a_log_on_lives_five_seconds_and_names_no_socket() {
        let signed = sign(&log_on(), KeyType::Hmac, "secret").expect("signed");

        let expected = format!(
            r#"{{"op":"auth","args":["XXXXXXXXXX","1658385584423","{}"]}}"#,
            hex::encode(&signed.signature)
        );
        assert_eq!(String::from_utf8_lossy(&signed.body), expected);
        assert_eq!(signed.url, "wss://api.bybit.com");
        for request in [
            VenueRequest { method: "POST".to_owned(), ..log_on() },
            VenueRequest { query: "a=1".to_owned(), ..log_on() },
            VenueRequest { body: b"{}".to_vec(), ..log_on() },
        ] {
            let signed = sign(&request, KeyType::Hmac, "secret");
            assert_eq!(signed.err(), Some(VenueError::RequestForm));
        }
        assert!(sign(&log_on(), KeyType::Rsa, known::RSA).is_ok());
    }

    #[test]
    fn keys_of_other_forms_do_not_sign() {
        for (key_type, secret, error) in [
            (KeyType::Hmac, known::RSA, VenueError::SecretForm),
            (KeyType::Rsa, "secret", VenueError::PemForm),
            (KeyType::Rsa, known::P256, VenueError::KeyTypeWrong),
            (KeyType::Ed25519, known::ED25519, VenueError::KeyTypeNotTaken),
            (KeyType::Es256, known::P256, VenueError::KeyTypeNotTaken),
            (KeyType::LegacyHmac, "secret", VenueError::KeyTypeNotTaken),
        ] {
            for request in [request("GET", "", ""), log_on()] {
                assert_eq!(sign(&request, key_type, secret).err(), Some(error), "{key_type}");
            }
        }
    }
}
