//! Coinbase Advanced Trade signing: JSON Web Tokens, and the HMAC headers of old keys.
//!
//! Source: ccxt 4.5.90 `coinbase.sign()` and `coinbase.create_auth_token()`, whose output is in
//! `tests/vectors/venue/coinbase.json`; for the form of keys and for the log-on
//! coinbase/coinbase-advanced-py@54fb8ed3cd32b49760cbe88d116aad9a13068ef2,
//! `coinbase/jwt_generator.py` and `coinbase/websocket/websocket_base.py`.
//!
//! JWT string-to-sign: `base64url(header) + "." + base64url(claims)`, JSON without spaces, base64
//! without padding:
//!
//! ```text
//! header  {"alg":"ES256","typ":"JWT","kid":"<api key>","nonce":"<32 hex digits>"}
//! claims  {"aud":["retail_rest_api_proxy"],"iss":"coinbase-cloud","nbf":S,"exp":S+120,
//!          "sub":"<api key>","iat":S,"uri":"GET api.coinbase.com/api/v3/brokerage/accounts"}
//! EdDSA   the same with "alg":"EdDSA", "aud":["cdp_service"], "iss":"cdp", "uris":["GET ..."]
//! ```
//!
//! Method, host and path are signed; query and body are not: one token is good for every request
//! with this method and path, as often as anybody likes, for 120 seconds. A log-on has no `uri`.
//! Signature: ECDSA (`r` and `s`, 64 bytes) or Ed25519; the token with it is the bearer's.
//! An Ed25519 secret is base64 of seed and public half; PEM is taken as well, as by Coinbase's SDK.
//!
//! Old keys: `seconds + METHOD + path[?query] + body`, hex(HMAC-SHA256(secret, ...)) with the secret
//! as text. The query is left out under `/api/v3/`. It splits in one way only: the seconds have ten
//! digits, no method is the head of another, and a path is followed by `?`, `{` or nothing.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use vault_model::{SecretBytes, SignedRequest, VenueRequest};

use super::{
    Scheme, WireRequest, api_key, header, hmac_of_text, json_string, known, known_answer,
    sign_privately,
};
use crate::error::VenueError;
use crate::key::{KeyType, PrivateKey};
use crate::placeholder::Placeholders;
use crate::venue::{Key, Moment};

/// See the module.
#[derive(Debug)]
pub(super) struct Coinbase;

/// How long a token is good, in seconds.
const TOKEN_SECONDS: i64 = 120;

impl Scheme for Coinbase {
    fn name(&self) -> &'static str {
        "coinbase"
    }

    /// All in the token, or in the headers of old keys.
    fn placeholders(&self) -> Placeholders {
        Placeholders {
            key_headers: &["cb-access-key"],
            key_parameters: &[],
            token: true,
            made_anew: &[],
        }
    }

    fn key_type_of(&self, secret: &SecretBytes) -> Result<KeyType, VenueError> {
        if PrivateKey::is_pem(secret) {
            return PrivateKey::from_pem(secret).map(|private| private.key_type());
        }
        let private = PrivateKey::from_seed_and_public(secret)?;
        Ok(private.map_or(KeyType::LegacyHmac, |private| private.key_type()))
    }

    fn private_key(&self, key: &Key<'_>) -> Result<Option<PrivateKey>, VenueError> {
        let private = match key.key_type {
            KeyType::Hmac | KeyType::LegacyHmac => return Ok(None),
            KeyType::Ed25519 if !PrivateKey::is_pem(key.secret) => {
                PrivateKey::from_seed_and_public(key.secret)?.ok_or(VenueError::SecretForm)?
            }
            KeyType::Ed25519 | KeyType::Es256 | KeyType::Rsa => PrivateKey::from_pem(key.secret)?,
        };
        private.check_type(key.key_type)?;
        Ok(Some(private))
    }

    fn wire(
        &self,
        request: &VenueRequest,
        _key: &Key<'_>,
        _moment: &Moment,
    ) -> Result<WireRequest, VenueError> {
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
        let flavour = match key.key_type {
            KeyType::Ed25519 => &EDDSA,
            KeyType::Es256 => &ES256,
            KeyType::LegacyHmac if wire.scheme != "wss" => return Ok(legacy(wire, moment)),
            KeyType::Hmac | KeyType::LegacyHmac | KeyType::Rsa => {
                return Err(VenueError::KeyTypeNotTaken);
            }
        };
        flavour.token(wire, api_key(key)?, moment).map(String::into_bytes)
    }

    fn signature(&self, key: &Key<'_>, string: &[u8]) -> Result<Vec<u8>, VenueError> {
        match key.key_type {
            KeyType::Ed25519 | KeyType::Es256 => sign_privately(self, key, string),
            KeyType::LegacyHmac => hmac_of_text(key.secret, string),
            KeyType::Hmac | KeyType::Rsa => Err(VenueError::KeyTypeNotTaken),
        }
    }

    fn authenticate(
        &self,
        mut wire: WireRequest,
        key: &Key<'_>,
        moment: &Moment,
        string: &[u8],
        signature: &[u8],
    ) -> Result<WireRequest, VenueError> {
        if key.key_type == KeyType::LegacyHmac {
            let encoded = hex::encode(signature);
            wire.headers.extend([
                header("CB-ACCESS-KEY", api_key(key)?),
                header("CB-ACCESS-SIGN", encoded.as_str()),
                header("CB-ACCESS-TIMESTAMP", moment.at.seconds().to_string()),
            ]);
            wire.secrets.push(encoded);
        } else {
            let token = bearer(string, signature)?;
            wire.headers.push(header("Authorization", format!("Bearer {token}")));
            // The token whole, and its signature, which makes one of the rest.
            wire.secrets.extend([URL_SAFE_NO_PAD.encode(signature), token]);
        }
        Ok(wire)
    }

    /// `{"jwt":"<token>"}`: the member that the bot puts into its own `subscribe` messages. They
    /// name channels and products, none of which the token binds, so the vault does not feign a
    /// choice of them.
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
        let token = bearer(&string, &signature)?;
        Ok(SignedRequest {
            method: wire.method,
            url: format!("wss://{}", wire.host),
            headers: Vec::new(),
            body: format!(r#"{{"jwt":"{token}"}}"#).into_bytes(),
            secrets: vec![URL_SAFE_NO_PAD.encode(&signature), token],
            signature,
        })
    }

    /// The known answers are of ccxt 4.5.90 (records `coinbase-legacy-hmac-rest-00` and
    /// `coinbase-ed25519-rest-14`). ECDSA has none: its signature is verified.
    fn self_test(&self) -> Result<(), VenueError> {
        let known = hex::decode("1a4a8bb922f85e48cabb27ed248d043d629ec32d34491869df9782ed7bb91996")
            .map_err(|_| VenueError::SelfTest)?;
        known_answer(
            self,
            KeyType::LegacyHmac,
            b"5d95a2bcda7350714e4c2ba7dd08b8f72fb2914a67fc3fa1e4ce59d7f6abcd6e",
            b"1712345678GET/api/v3/brokerage/accounts",
            &known,
        )?;
        let string = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImQyZWZhNDlhLTM2OWMtNDNkNy1hNjBlLW\
                      FlMjZlMjg4NTNjMiIsIm5vbmNlIjoiOGY1NWZlZWIwZjhlZjIwMjQwMGJiZGU1NTRkYTY0NGMifQ.ey\
                      JhdWQiOlsiY2RwX3NlcnZpY2UiXSwiaXNzIjoiY2RwIiwibmJmIjoxNzEzNTU1MjY1LCJleHAiOjE3M\
                      TM1NTUzODUsInN1YiI6ImQyZWZhNDlhLTM2OWMtNDNkNy1hNjBlLWFlMjZlMjg4NTNjMiIsImlhdCI6\
                      MTcxMzU1NTI2NSwidXJpcyI6WyJHRVQgYXBpLmNvaW5iYXNlLmNvbS9hcGkvdjMvYnJva2VyYWdlL3R\
                      yYW5zYWN0aW9uX3N1bW1hcnkiXX0";
        let known = "yAK3g25Kkp2YRDimPqvooTskjtGi8CY6HTT4aFlq8-S4zIkxxLDYW4dcsXouHJnudXx9HYP-19ZZNJua\
                     Y2ieCw";
        let known = URL_SAFE_NO_PAD.decode(known).map_err(|_| VenueError::SelfTest)?;
        let secret = b"AiJvcX40Tz/PHlpDcm/9CPEimW102DNJ4XvKYb2vuqGBgAWEzQNQSsDGbMhiHGkbYlaFyyAwF9HCBMhM17G40g==";
        known_answer(self, KeyType::Ed25519, secret, string.as_bytes(), &known)?;

        let secret = SecretBytes::new(known::P256.as_bytes().to_vec());
        let key = Key {
            api_key: "self-test",
            secret: &secret,
            passphrase: None,
            key_type: KeyType::Es256,
            private_key: None,
        };
        let signature = self.signature(&key, b"self-test").map_err(|_| VenueError::SelfTest)?;
        let point = STANDARD.decode(known::P256_PUBLIC).map_err(|_| VenueError::SelfTest)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(b"self-test", &signature)
            .map_err(|_| VenueError::SelfTest)
    }
}

/// What the two kinds of token differ in.
struct Flavour {
    algorithm: &'static str,
    audience: &'static str,
    issuer: &'static str,
    /// Before and after the text that says what the token is for.
    uri: (&'static str, &'static str),
}

const EDDSA: Flavour = Flavour {
    algorithm: "EdDSA",
    audience: "cdp_service",
    issuer: "cdp",
    uri: (r#","uris":["#, "]"),
};

const ES256: Flavour = Flavour {
    algorithm: "ES256",
    audience: "retail_rest_api_proxy",
    issuer: "coinbase-cloud",
    uri: (r#","uri":"#, ""),
};

impl Flavour {
    /// A token but for its signature.
    fn token(
        &self,
        wire: &WireRequest,
        api_key: &str,
        moment: &Moment,
    ) -> Result<String, VenueError> {
        let uri = if wire.scheme == "wss" {
            String::new()
        } else {
            let parts = [&wire.method, &wire.host, &wire.path];
            // A space would move the boundary between method and host.
            if !parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_graphic())) {
                return Err(VenueError::RequestForm);
            }
            let uri = format!("{} {}{}", wire.method, wire.host, wire.path);
            format!("{}{}{}", self.uri.0, json_string(&uri), self.uri.1)
        };
        let name = json_string(api_key);
        let now = moment.at.seconds();
        let header = format!(
            r#"{{"alg":"{}","typ":"JWT","kid":{name},"nonce":"{}"}}"#,
            self.algorithm,
            hex::encode(moment.unique),
        );
        let claims = format!(
            r#"{{"aud":["{}"],"iss":"{}","nbf":{now},"exp":{},"sub":{name},"iat":{now}{uri}}}"#,
            self.audience,
            self.issuer,
            now.saturating_add(TOKEN_SECONDS),
        );
        Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims)))
    }
}

fn bearer(string: &[u8], signature: &[u8]) -> Result<String, VenueError> {
    let token = std::str::from_utf8(string).map_err(|_| VenueError::RequestForm)?;
    Ok(format!("{token}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn legacy(wire: &WireRequest, moment: &Moment) -> Vec<u8> {
    let (mark, query) = if wire.query.is_empty() || wire.path.starts_with("/api/v3/") {
        ("", "")
    } else {
        ("?", wire.query.as_str())
    };
    let head = format!("{}{}{}{mark}{query}", moment.at.seconds(), wire.method, wire.path);
    [head.as_bytes(), &wire.body].concat()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use vault_model::{Environment, SecretBytes, SignedRequest, Timestamp, VenueRequest};

    use super::{Coinbase, Scheme, known};
    use crate::error::VenueError;
    use crate::key::KeyType;
    use crate::venue::{Key, Moment};

    const MOMENT: Moment = Moment {
        at: Timestamp(1_713_555_265_819_000),
        nonce: None,
        environment: Environment::Live,
        disclose_passphrase: false,
        unique: [0x0f; 16],
    };

    /// Of record `coinbase-ed25519-rest-14`.
    const SEED_AND_PUBLIC: &str =
        "AiJvcX40Tz/PHlpDcm/9CPEimW102DNJ4XvKYb2vuqGBgAWEzQNQSsDGbMhiHGkbYlaFyyAwF9HCBMhM17G40g==";

    fn request(method: &str, path: &str, query: &str, body: &str) -> VenueRequest {
        VenueRequest {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            host: "api.coinbase.com".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: body.as_bytes().to_vec(),
            headers: Vec::new(),
        }
    }

    fn log_on() -> VenueRequest {
        VenueRequest { scheme: "wss".to_owned(), ..request("GET", "/ws", "", "") }
    }

    fn sign_as(
        api_key: &str,
        request: &VenueRequest,
        key_type: KeyType,
        secret: &str,
    ) -> Result<SignedRequest, VenueError> {
        let secret = SecretBytes::new(secret.as_bytes().to_vec());
        let key = Key { api_key, secret: &secret, passphrase: None, key_type, private_key: None };
        if request.scheme == "wss" {
            return Coinbase.frame(request, &key, &MOMENT);
        }
        let wire = Coinbase.wire(request, &key, &MOMENT)?;
        let string = Coinbase.string_to_sign(&wire, &key, &MOMENT)?;
        let signature = Coinbase.signature(&key, &string)?;
        let wire = Coinbase.authenticate(wire, &key, &MOMENT, &string, &signature)?;
        Ok(wire.signed(signature))
    }

    fn sign(
        request: &VenueRequest,
        key_type: KeyType,
        secret: &str,
    ) -> Result<SignedRequest, VenueError> {
        sign_as("the-key", request, key_type, secret)
    }

    /// Header and claims of a token.
    fn read(token: &str) -> (Value, Value) {
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let json = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url without padding");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        (json(parts[0]), json(parts[1]))
    }

    fn token(signed: &SignedRequest) -> &str {
        let header = signed.headers.iter().find(|(name, _)| name == "Authorization");
        header.expect("a bearer").1.strip_prefix("Bearer ").expect("a bearer")
    }

    #[test]
    fn a_token_names_method_host_and_path_and_lives_two_minutes() {
        let request = request("GET", "/api/v3/brokerage/accounts", "limit=1", "");
        for (key_type, secret, alg, uri) in [
            (KeyType::Ed25519, SEED_AND_PUBLIC, "EdDSA", "uris"),
            (KeyType::Ed25519, known::ED25519, "EdDSA", "uris"),
            (KeyType::Es256, known::P256, "ES256", "uri"),
        ] {
            let signed = sign(&request, key_type, secret).expect("signed");

            let (header, claims) = read(token(&signed));
            let nonce = "0f".repeat(16);
            assert_eq!(
                header,
                json!({ "alg": alg, "typ": "JWT", "kid": "the-key", "nonce": nonce })
            );
            let named = json!("GET api.coinbase.com/api/v3/brokerage/accounts");
            let is_list = uri == "uris";
            assert_eq!(claims[uri], if is_list { json!([named]) } else { named });
            assert_eq!(claims["sub"], "the-key");
            for (claim, seconds) in
                [("iat", 1_713_555_265), ("nbf", 1_713_555_265), ("exp", 1_713_555_385)]
            {
                assert_eq!(claims[claim], seconds);
            }
            assert_eq!(signed.url, "https://api.coinbase.com/api/v3/brokerage/accounts?limit=1");
            assert_eq!(signed.signature.len(), 64);
        }
    }

    #[test]
    fn a_log_on_is_a_token_that_names_nothing() {
        for (key_type, secret) in
            [(KeyType::Ed25519, SEED_AND_PUBLIC), (KeyType::Es256, known::P256)]
        {
            let signed = sign(&log_on(), key_type, secret).expect("signed");

            let message: Value = serde_json::from_slice(&signed.body).expect("JSON");
            let (_, claims) = read(message["jwt"].as_str().expect("a token"));
            assert!(claims.get("uri").is_none() && claims.get("uris").is_none());
            assert_eq!(message.as_object().map(serde_json::Map::len), Some(1));
            assert_eq!(signed.url, "wss://api.coinbase.com");
            assert!(signed.headers.is_empty());
        }
        let old = sign(&log_on(), KeyType::LegacyHmac, "secret");
        assert_eq!(old.err(), Some(VenueError::KeyTypeNotTaken));
        let other = VenueRequest { body: b"{}".to_vec(), ..log_on() };
        let signed = sign(&other, KeyType::Es256, known::P256);
        assert_eq!(signed.err(), Some(VenueError::RequestForm));
    }

    #[test]
    fn old_keys_sign_the_query_but_for_version_3() {
        let secret = SecretBytes::new(b"secret".to_vec());
        let key = Key {
            api_key: "the-key",
            secret: &secret,
            passphrase: None,
            key_type: KeyType::LegacyHmac,
            private_key: None,
        };
        let string = |path: &str, query: &str, body: &str| {
            let request = request("GET", path, query, body);
            let wire = Coinbase.wire(&request, &key, &MOMENT).expect("formed");
            let string = Coinbase.string_to_sign(&wire, &key, &MOMENT).expect("formed");
            String::from_utf8(string).expect("text")
        };

        assert_eq!(string("/api/v3/a", "b=1", ""), "1713555265GET/api/v3/a");
        assert_eq!(string("/v2/a", "b=1", ""), "1713555265GET/v2/a?b=1");
        assert_eq!(string("/v2/a", "", "{}"), "1713555265GET/v2/a{}");
    }

    #[test]
    fn a_part_with_a_space_is_not_signed() {
        for request in [
            request("GET x", "/a", "", ""),
            request("GET", "/a b", "", ""),
            request("GET", "/a\n", "", ""),
            VenueRequest { host: "a b".to_owned(), ..request("GET", "/a", "", "") },
        ] {
            let signed = sign(&request, KeyType::Es256, known::P256);
            assert_eq!(signed.err(), Some(VenueError::RequestForm));
        }
    }

    #[test]
    fn the_form_of_a_secret_says_its_type() {
        let key_type =
            |text: &str| Coinbase.key_type_of(&SecretBytes::new(text.as_bytes().to_vec()));

        assert_eq!(key_type(SEED_AND_PUBLIC), Ok(KeyType::Ed25519));
        assert_eq!(key_type(known::ED25519), Ok(KeyType::Ed25519));
        assert_eq!(key_type(known::P256), Ok(KeyType::Es256));
        assert_eq!(key_type("5d95a2bcda7350714e4c2ba7dd08b8f7"), Ok(KeyType::LegacyHmac));
        let other_half = SEED_AND_PUBLIC.replacen('A', "B", 1);
        assert_eq!(key_type(&other_half), Err(VenueError::PrivateKeyBroken));
        assert_eq!(key_type("-----BEGIN"), Err(VenueError::PemForm));
    }

    #[test]
    fn keys_of_other_forms_do_not_sign() {
        for (key_type, secret, error) in [
            (KeyType::Ed25519, "secret", VenueError::SecretForm),
            (KeyType::Ed25519, known::P256, VenueError::KeyTypeWrong),
            (KeyType::Es256, known::ED25519, VenueError::KeyTypeWrong),
            (KeyType::Es256, SEED_AND_PUBLIC, VenueError::PemForm),
            (KeyType::LegacyHmac, known::P256, VenueError::SecretForm),
            (KeyType::Hmac, "secret", VenueError::KeyTypeNotTaken),
            (KeyType::Rsa, known::RSA, VenueError::KeyTypeNotTaken),
        ] {
            let signed = sign(&request("GET", "/a", "", ""), key_type, secret);
            assert_eq!(signed.err(), Some(error), "{key_type}");
        }
        let spaced = sign_as("a b", &request("GET", "/a", "", ""), KeyType::Es256, known::P256);
        assert_eq!(spaced.err(), Some(VenueError::ApiKeyForm));
    }

    proptest! {
        #[test]
        fn every_api_key_comes_through_a_token_unchanged(api_key in "[!-~]{1,40}") {
            let request = request("GET", "/a", "", "");
            let signed = sign_as(&api_key, &request, KeyType::Ed25519, SEED_AND_PUBLIC);
            let (header, claims) = read(token(&signed.expect("signed")));
            prop_assert_eq!(&header["kid"], &api_key);
            prop_assert_eq!(&claims["sub"], &api_key);
        }
    }
}
