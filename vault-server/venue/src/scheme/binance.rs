//! Binance signing: REST of all products, and the WebSocket API.
//!
//! Source: binance/binance-spot-api-docs@a5e0bc3ddc0fd7e6bb696849323b74423fa3a54d, `rest-api.md`
//! ("SIGNED Endpoint security") and `web-socket-api.md` ("Request security"), with examples that
//! the tests check; ccxt 4.5.90 `binance.sign()`, whose output is in
//! `tests/vectors/venue/binance.json`.
//!
//! REST string-to-sign: `query + body`, byte for byte as they go out and nothing between them; so
//! `a=1` and `b=2` are signed as `a=1b=2`. Method, host and path are not signed. Parameters stand
//! in the query or in the body, never in both: where the caller has them the vault puts
//! `timestamp=MS` after them, and after that `signature=...`, each joined by `&`. A request without
//! any has these two in the query.
//! WebSocket string-to-sign: all parameters with `apiKey` and `timestamp`, sorted by name, `k=v`
//! joined by `&`, raw UTF-8 without percent-encoding. The name of the RPC method is not signed.
//! Signature: hex(HMAC-SHA256(secret, string-to-sign)) with the secret as text, or base64 of RSA
//! PKCS#1 v1.5 with SHA-256 or of Ed25519; percent-encoded where it stands in a query or a form.
//!
//! The window is the caller's `recvWindow`, or the venue's default of 5,000 ms.

mod rpc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vault_model::{SignedRequest, VenueRequest};

use super::{
    Scheme, WireRequest, api_key, header, hmac_of_text, known, known_answer, sign_privately,
};
use crate::error::VenueError;
use crate::json::Value;
use crate::key::KeyType;
use crate::placeholder::Placeholders;
use crate::venue::{Key, Moment};
use rpc::{Rpc, parameters, sorted, text};

/// See the module.
#[derive(Debug)]
pub(super) struct Binance;

const API_KEY_HEADER: &str = "X-MBX-APIKEY";

/// The one RPC method that Ed25519 keys alone may call.
const LOG_ON: &str = "session.logon";

impl Scheme for Binance {
    fn name(&self) -> &'static str {
        "binance"
    }

    /// All parameters but the key stand in the query or in the form.
    fn placeholders(&self) -> Placeholders {
        Placeholders {
            key_headers: &["x-mbx-apikey"],
            key_parameters: &["apiKey"],
            token: false,
            made_anew: &["signature", "timestamp"],
        }
    }

    fn wire(
        &self,
        request: &VenueRequest,
        _key: &Key<'_>,
        moment: &Moment,
    ) -> Result<WireRequest, VenueError> {
        if !request.query.is_empty() && !request.body.is_empty() {
            return Err(VenueError::RequestForm);
        }
        let mut wire = with_form_type(WireRequest::of(request));
        append(&mut wire, &format!("timestamp={}", moment.at.millis()));
        Ok(wire)
    }

    fn string_to_sign(
        &self,
        wire: &WireRequest,
        _key: &Key<'_>,
        _moment: &Moment,
    ) -> Result<Vec<u8>, VenueError> {
        if wire.scheme == "wss" {
            return Ok(sorted(&parameters(&wire.body)?)?.into_bytes());
        }
        Ok([wire.query.as_bytes(), &wire.body].concat())
    }

    fn signature(&self, key: &Key<'_>, string: &[u8]) -> Result<Vec<u8>, VenueError> {
        match key.key_type {
            KeyType::Hmac => hmac_of_text(key.secret, string),
            KeyType::Ed25519 | KeyType::Rsa => sign_privately(self, key, string),
            KeyType::Es256 | KeyType::LegacyHmac => Err(VenueError::KeyTypeNotTaken),
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
        let plain = encode(key.key_type, signature);
        let encoded = percent_encode(&plain);
        append(&mut wire, &format!("signature={encoded}"));
        // What a venue says back may be the text as it stood there, or as it read it.
        if encoded != plain {
            wire.secrets.push(encoded);
        }
        wire.secrets.push(plain);
        wire.headers.push(header(API_KEY_HEADER, api_key(key)?));
        Ok(wire)
    }

    /// `{"id":"<32 hex digits>","method":"order.place","params":{...}}`: the caller's body is the
    /// object of parameters, the last segment of the path the method, the rest of it the socket's.
    fn frame(
        &self,
        request: &VenueRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        let rpc = Rpc::read(request)?;
        if rpc.method == LOG_ON && key.key_type != KeyType::Ed25519 {
            return Err(VenueError::KeyTypeNotTaken);
        }
        let timestamp = Value::Number(moment.at.millis().to_string().into());
        let mut params = rpc.with(&[("apiKey", text(api_key(key)?)), ("timestamp", timestamp)])?;
        let string = sorted(&params)?.into_bytes();
        let signature = self.signature(key, &string)?;
        let encoded = encode(key.key_type, &signature);
        params.push(("signature", text(&encoded)));
        rpc.message(request, &params, moment, signature, vec![encoded.clone()])
    }

    /// The methods of the connection itself (`session.status`, `session.logout`) name no key.
    fn unsigned(
        &self,
        request: &VenueRequest,
        key: Option<&Key<'_>>,
        moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        let api_key = key.map(api_key).transpose()?;
        if request.scheme == "wss" {
            let rpc = Rpc::read(request)?;
            let api_key = api_key.filter(|_| !rpc.method.starts_with("session."));
            let own: Vec<_> = api_key.map(|name| ("apiKey", text(name))).into_iter().collect();
            let params = rpc.with(&own)?;
            let secrets = api_key.map(str::to_owned).into_iter().collect();
            return rpc.message(request, &params, moment, Vec::new(), secrets);
        }
        let mut wire = with_form_type(WireRequest::of(request));
        wire.headers.extend(api_key.map(|name| header(API_KEY_HEADER, name)));
        wire.secrets.extend(api_key.map(str::to_owned));
        Ok(wire.signed(Vec::new()))
    }

    /// The known answers are the first example of `rest-api.md`, and of ccxt 4.5.90 (records
    /// `binance-rsa-rest-00` and `binance-ed25519-rest-26`).
    fn self_test(&self) -> Result<(), VenueError> {
        let known = hex::decode("c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71")
            .map_err(|_| VenueError::SelfTest)?;
        known_answer(
            self,
            KeyType::Hmac,
            b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
            b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1\
              &recvWindow=5000&timestamp=1499827319559",
            &known,
        )?;
        for (key_type, secret, string, known) in [
            (
                KeyType::Rsa,
                known::RSA,
                "timestamp=1712345678901&recvWindow=10000",
                "fZ2686PRC2tzie4akJWdbu7ODgSyddyBqYV+qCp3RmdQRsJBpChaC9hlCoHkXJx3NFq7JdQ89dUjeIdOj++\
                 w7CdQStAGKiLjN97WUWMcAolOS1VoxjwH3gwnISGcPGUH0ONy+y3RSKOwpFMEW/0eu0yo9qyQIFQC0vm5/\
                 Kox0W63I1RXeWi5tu0bj2fU6oJxZUIRh7pHQces5fetKn+KgyihUAhVsRajniJjuEqb0alOtt8fQn1wyiZ\
                 VAIC35Mlf3+lBazLojXDnWcaw02DQ1qnYZ6yMMaus/a+BFZciXyBMAb00b4Oo+1cKAuNkMj/XOR0KK3f2z\
                 ys89zx3cNsdLQ==",
            ),
            (
                KeyType::Ed25519,
                known::ED25519,
                "timestamp=1714592053463&recvWindow=10000",
                "TFRjjNvG+eIguYwDwruRkappefIOUXb1eHNqekKSOCAX5HmkijKYl7SWTJnUHneOIUAh9IeVYBVzi8GVy2+\
                 HAw==",
            ),
        ] {
            let known = STANDARD.decode(known).map_err(|_| VenueError::SelfTest)?;
            known_answer(self, key_type, secret.as_bytes(), string.as_bytes(), &known)?;
        }
        Ok(())
    }
}

/// Hexadecimal for HMAC, base64 for the others.
fn encode(key_type: KeyType, signature: &[u8]) -> String {
    match key_type {
        KeyType::Hmac => hex::encode(signature),
        _ => STANDARD.encode(signature),
    }
}

/// Of what base64 and hexadecimal have, `+`, `/` and `=` mean something in a query.
fn percent_encode(text: &str) -> String {
    text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

fn with_form_type(mut wire: WireRequest) -> WireRequest {
    if !wire.body.is_empty() {
        wire.headers.push(header("Content-Type", "application/x-www-form-urlencoded"));
    }
    wire
}

/// Puts a pair after the others, in the one place where parameters are.
fn append(wire: &mut WireRequest, pair: &str) {
    if wire.body.is_empty() {
        if !wire.query.is_empty() {
            wire.query.push('&');
        }
        wire.query.push_str(pair);
    } else {
        wire.body.push(b'&');
        wire.body.extend_from_slice(pair.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vault_model::{Environment, SecretBytes, SignedRequest, Timestamp, VenueRequest};

    use super::{Binance, Scheme, known, percent_encode};
    use crate::error::VenueError;
    use crate::key::KeyType;
    use crate::scheme::WireRequest;
    use crate::venue::{Key, Moment};

    const MOMENT: Moment = Moment {
        at: Timestamp(1_499_827_319_559_000),
        nonce: None,
        environment: Environment::Live,
        disclose_passphrase: false,
        unique: [0xab; 16],
    };

    fn request(method: &str, query: &str, body: &str) -> VenueRequest {
        VenueRequest {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            host: "api.binance.com".to_owned(),
            path: "/api/v3/order".to_owned(),
            query: query.to_owned(),
            body: body.as_bytes().to_vec(),
            headers: Vec::new(),
        }
    }

    fn rpc(method: &str, body: &str) -> VenueRequest {
        VenueRequest {
            method: "WS".to_owned(),
            scheme: "wss".to_owned(),
            host: "ws-api.binance.com".to_owned(),
            path: format!("/ws-api/v3/{method}"),
            body: body.as_bytes().to_vec(),
            ..VenueRequest::default()
        }
    }

    fn with_key<T>(key_type: KeyType, secret: &str, act: impl FnOnce(&Key<'_>) -> T) -> T {
        let secret = SecretBytes::new(secret.as_bytes().to_vec());
        let private_key = None;
        act(&Key { api_key: "the-key", secret: &secret, passphrase: None, key_type, private_key })
    }

    fn sign(request: &VenueRequest, key: &Key<'_>) -> Result<SignedRequest, VenueError> {
        if request.scheme == "wss" {
            return Binance.frame(request, key, &MOMENT);
        }
        let wire = Binance.wire(request, key, &MOMENT)?;
        let string = Binance.string_to_sign(&wire, key, &MOMENT)?;
        let signature = Binance.signature(key, &string)?;
        let wire = Binance.authenticate(wire, key, &MOMENT, &string, &signature)?;
        Ok(wire.signed(signature))
    }

    #[test]
    fn the_vault_adds_where_the_caller_has_his_parameters_and_after_them() {
        for (query, body, sent_query, sent_body) in [
            ("", "", "?timestamp=1499827319559&signature=", ""),
            ("a=1", "", "?a=1&timestamp=1499827319559&signature=", ""),
            ("", "a=1", "", "a=1&timestamp=1499827319559&signature="),
        ] {
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let request = request(method, query, body);
                let signed = with_key(KeyType::Hmac, "secret", |key| sign(&request, key));
                let signed = signed.expect("signed");

                let hex = hex::encode(&signed.signature);
                let tail = |text: &str| if text.is_empty() { String::new() } else { hex.clone() };
                let url = "https://api.binance.com/api/v3/order";
                assert_eq!(signed.url, format!("{url}{sent_query}{}", tail(sent_query)));
                let body = String::from_utf8(signed.body).expect("text");
                assert_eq!(body, format!("{sent_body}{}", tail(sent_body)));
                assert!(signed.headers.contains(&("X-MBX-APIKEY".into(), "the-key".into())));
                let is_form = signed.headers.iter().any(|(name, _)| name == "Content-Type");
                assert_eq!(is_form, !body.is_empty());
            }
        }
    }

    #[test]
    fn parameters_in_both_places_are_not_signed() {
        let request = request("POST", "a=1", "b=2");
        let signed = with_key(KeyType::Hmac, "secret", |key| sign(&request, key));

        assert_eq!(signed.err(), Some(VenueError::RequestForm));
    }

    /// The attack that the refusal above is against.
    #[test]
    fn query_and_body_are_signed_without_a_boundary() {
        let string = |query: &str, body: &[u8]| {
            let wire = WireRequest {
                query: query.to_owned(),
                body: body.to_vec(),
                ..WireRequest::default()
            };
            with_key(KeyType::Hmac, "secret", |key| Binance.string_to_sign(&wire, key, &MOMENT))
        };

        assert_eq!(string("a=1", b"23"), string("a=12", b"3"));
    }

    #[test]
    fn signatures_are_percent_encoded_in_a_query_and_not_in_a_message() {
        assert_eq!(percent_encode("a+/="), "a%2B%2F%3D");

        let request = request("GET", "", "");
        let signed = with_key(KeyType::Ed25519, known::ED25519, |key| sign(&request, key));
        let signed = signed.expect("signed");
        let text = signed.url.split_once("signature=").expect("signed").1;
        assert!(text.ends_with("%3D%3D"), "64 bytes in base64");
        let signed =
            with_key(KeyType::Ed25519, known::ED25519, |key| sign(&rpc("session.logon", ""), key));
        assert!(String::from_utf8_lossy(&signed.expect("signed").body).ends_with("==\"}}"));
    }

    #[test]
    fn a_message_keeps_the_callers_bytes_and_signs_them_sorted() {
        let body = r#"{"symbol":"１２\"\\","price": 0.10, "b":true,"Z":"1"}"#;
        let wire = WireRequest {
            scheme: "wss".to_owned(),
            body: body.as_bytes().to_vec(),
            ..WireRequest::default()
        };
        with_key(KeyType::Hmac, "secret", |key| {
            let string = Binance.string_to_sign(&wire, key, &MOMENT).expect("object");
            assert_eq!(String::from_utf8_lossy(&string), r#"Z=1&b=true&price=0.10&symbol=１２"\"#);

            let signed = sign(&rpc("order.place", body), key).expect("signed");
            assert_eq!(signed.url, "wss://ws-api.binance.com/ws-api/v3");
            assert_eq!(signed.method, "WS");
            assert!(signed.headers.is_empty());
            let expected = format!(
                r#"{{"id":"{}","method":"order.place","params":{{"symbol":"１２\"\\","price":0.10,"b":true,"Z":"1","apiKey":"the-key","timestamp":1499827319559,"signature":"{}"}}}}"#,
                "ab".repeat(16),
                hex::encode(&signed.signature),
            );
            assert_eq!(String::from_utf8_lossy(&signed.body), expected);
            let string =
                r#"Z=1&apiKey=the-key&b=true&price=0.10&symbol=１２"\&timestamp=1499827319559"#;
            assert_eq!(Binance.signature(key, string.as_bytes()), Ok(signed.signature));
        });
    }

    #[test]
    fn a_message_takes_no_other_form() {
        with_key(KeyType::Hmac, "secret", |key| {
            for body in [
                "[]",
                "1",
                "{",
                "{}{}",
                r#"{"a":1,"a":2}"#,
                r#"{"a":null}"#,
                r#"{"a":[]}"#,
                r#"{"a":{}}"#,
                r#"{"a":"1&b=2"}"#,
                r#"{"a=1&b":2}"#,
                r#"{"":2}"#,
                r#"{"apiKey":"x"}"#,
                r#"{"signature":"x"}"#,
                r#"{"timestamp":1}"#,
            ] {
                let signed = sign(&rpc("order.place", body), key);
                assert_eq!(signed.err(), Some(VenueError::RequestForm), "{body}");
            }
            for request in [
                rpc("", ""),
                rpc("order\"place", ""),
                VenueRequest { query: "a=1".to_owned(), ..rpc("order.place", "") },
                VenueRequest { path: String::new(), ..rpc("order.place", "") },
            ] {
                assert_eq!(sign(&request, key).err(), Some(VenueError::RequestForm));
            }
            for body in ["", "{}"] {
                assert!(sign(&rpc("account.status", body), key).is_ok());
            }
        });
    }

    #[test]
    fn ed25519_alone_logs_on() {
        for (key_type, secret, error) in [
            (KeyType::Ed25519, known::ED25519, None),
            (KeyType::Hmac, "secret", Some(VenueError::KeyTypeNotTaken)),
            (KeyType::Rsa, known::RSA, Some(VenueError::KeyTypeNotTaken)),
        ] {
            with_key(key_type, secret, |key| {
                assert_eq!(sign(&rpc("session.logon", "{}"), key).err(), error);
                assert!(sign(&rpc("order.place", "{}"), key).is_ok());
            });
        }
    }

    #[test]
    fn what_is_not_signed_has_no_time_and_no_signature() {
        with_key(KeyType::Hmac, "secret", |key| {
            let request = request("POST", "", "a=1");
            let open = Binance.unsigned(&request, Some(key), &MOMENT).expect("open");
            assert_eq!(open.url, "https://api.binance.com/api/v3/order");
            assert_eq!(open.body, b"a=1");
            assert!(open.headers.contains(&("X-MBX-APIKEY".into(), "the-key".into())));
            assert!(open.signature.is_empty());
            let public = Binance.unsigned(&request, None, &MOMENT).expect("open");
            assert!(public.headers.iter().all(|(name, _)| name != "X-MBX-APIKEY"));

            for (method, key, params) in [
                ("userDataStream.start", Some(key), r#"{"apiKey":"the-key"}"#),
                ("session.status", Some(key), "{}"),
                ("time", None, "{}"),
            ] {
                let open = Binance.unsigned(&rpc(method, ""), key, &MOMENT).expect("open");
                let body = String::from_utf8(open.body).expect("text");
                assert!(body.ends_with(&format!(r#""method":"{method}","params":{params}}}"#)));
                assert!(open.signature.is_empty());
            }
        });
    }

    #[test]
    fn keys_of_other_forms_do_not_sign() {
        for (key_type, secret, error) in [
            (KeyType::Hmac, "", VenueError::SecretForm),
            (KeyType::Hmac, "a b", VenueError::SecretForm),
            (KeyType::Hmac, known::RSA, VenueError::SecretForm),
            (KeyType::Rsa, "secret", VenueError::PemForm),
            (KeyType::Rsa, known::ED25519, VenueError::KeyTypeWrong),
            (KeyType::Ed25519, known::RSA, VenueError::KeyTypeWrong),
            (KeyType::Es256, known::P256, VenueError::KeyTypeNotTaken),
            (KeyType::LegacyHmac, "secret", VenueError::KeyTypeNotTaken),
        ] {
            let signed = with_key(key_type, secret, |key| sign(&request("GET", "", ""), key));
            assert_eq!(signed.err(), Some(error), "{key_type}");
        }
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic_and_all_of_them_stay_json(body: String, path: String) {
            let request = VenueRequest { path, ..rpc("x", &body) };
            with_key(KeyType::Hmac, "secret", |key| {
                if let Ok(signed) = sign(&request, key) {
                    serde_json::from_slice::<serde_json::Value>(&signed.body).expect("JSON");
                }
            });
        }

        #[test]
        fn values_come_through_a_message_unchanged(value in "[^\\p{C}&]{0,20}") {
            let body = serde_json::json!({ "a": value }).to_string();
            with_key(KeyType::Hmac, "secret", |key| {
                let signed = sign(&rpc("order.place", &body), key).expect("signed");
                let message: serde_json::Value =
                    serde_json::from_slice(&signed.body).expect("JSON");
                assert_eq!(message["params"]["a"], value);
            });
        }
    }
}
