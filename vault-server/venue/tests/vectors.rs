//! The schemes against signatures that other software made.

use std::path::PathBuf;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use vault_model::{Environment, SecretBytes, Timestamp, VenueRequest};
use vault_venue::{Key, KeyType, Moment, Registry, SCHEMES, Scheme, VenueError, WireRequest};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/venue")
}

fn vectors(file: &str) -> Vec<Value> {
    let path = folder().join(format!("{file}.json"));
    let text = std::fs::read_to_string(&path).expect("every venue has a vector file");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    assert!(file["source"].is_string(), "vectors say where they come from");
    file["vectors"].as_array().expect("vectors").clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn bytes(value: &Value) -> Vec<u8> {
    match value["hex"].as_str() {
        Some(hex) => hex::decode(hex).expect("hex"),
        None => value["utf8"].as_str().expect("utf8 or hex").as_bytes().to_vec(),
    }
}

fn wire(request: &Value) -> WireRequest {
    WireRequest {
        method: text(&request["method"]),
        scheme: request["scheme"].as_str().unwrap_or("https").to_owned(),
        host: text(&request["host"]),
        path: text(&request["path"]),
        query: text(&request["query"]),
        headers: Vec::new(),
        body: text(&request["body"]).into_bytes(),
        secrets: Vec::new(),
    }
}

/// What a WebSocket record stands for: the record names the socket alone.
fn log_on_request(venue: &str) -> VenueRequest {
    let (host, path) = match venue {
        "bybit" => ("stream.bybit.com", "/realtime"),
        _ => ("ws.okx.com", "/users/self/verify"),
    };
    VenueRequest {
        method: "GET".to_owned(),
        scheme: "wss".to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        ..VenueRequest::default()
    }
}

fn moment(at: Timestamp, nonce: Option<u64>) -> Moment {
    let unique = *b"0123456789abcdef";
    Moment { at, nonce, environment: Environment::Live, disclose_passphrase: true, unique }
}

/// The moment that a record was made in.
fn moment_of(record: &Value) -> Moment {
    let mut at = record["clock_ms"].as_i64().unwrap_or_default();
    if record["id"] == "bybit-hmac-wslogin-03" {
        // ccxt's log-ons expire after ten seconds, ours after five.
        at += 5000;
    }
    let mut moment = moment(Timestamp::from_millis(at), None);
    let string = text(&record["expected"]["string_to_sign"]["utf8"]);
    let header = string.split_once('.').map(|(header, _)| URL_SAFE_NO_PAD.decode(header));
    if let Some(Ok(header)) = header {
        let header: Value = serde_json::from_slice(&header).expect("a token's header");
        let nonce = hex::decode(text(&header["nonce"])).expect("hex");
        moment.unique = nonce.try_into().expect("16 bytes");
    }
    moment
}

/// A key that owns its parts.
struct OwnKey {
    api_key: String,
    secret: SecretBytes,
    passphrase: Option<SecretBytes>,
    key_type: KeyType,
}

impl OwnKey {
    fn of(record: &Value) -> Self {
        let credential = &record["credential"];
        let passphrase = credential["password"].as_str();
        Self {
            api_key: text(&credential["apiKey"]),
            secret: SecretBytes::new(text(&credential["secret"]).into_bytes()),
            passphrase: passphrase.map(|text| SecretBytes::new(text.as_bytes().to_vec())),
            key_type: text(&record["key_type"]).parse().expect("a key type"),
        }
    }

    fn key(&self) -> Key<'_> {
        Key {
            api_key: &self.api_key,
            secret: &self.secret,
            passphrase: self.passphrase.as_ref(),
            key_type: self.key_type,
            private_key: None,
        }
    }
}

/// An HMAC key without a passphrase.
fn hmac_key(secret: &SecretBytes) -> Key<'_> {
    let key_type = KeyType::Hmac;
    Key { api_key: "key", secret, passphrase: None, key_type, private_key: None }
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::bundled().expect("bundled catalogues are sound"))
}

fn decode(signature: &Value, encoding: &Value) -> Vec<u8> {
    let text = text(signature);
    match encoding.as_str() {
        Some("hex") => hex::decode(text).expect("hex"),
        Some("base64url") => URL_SAFE_NO_PAD.decode(text).expect("base64url"),
        _ => STANDARD.decode(text).expect("base64"),
    }
}

fn check(scheme: &dyn Scheme, record: &Value) {
    let id = text(&record["id"]);
    let (own, moment) = (OwnKey::of(record), moment_of(record));
    let key = own.key();
    let wire = match record["kind"].as_str() {
        Some("ws-login") => WireRequest::of(&log_on_request(&text(&record["venue"]))),
        _ => wire(&record["request"]),
    };

    let string = scheme.string_to_sign(&wire, &key, &moment).expect("can be signed");
    let signature = scheme.signature(&key, &string).expect("key fits");

    let expected = &record["expected"];
    assert_eq!(string, bytes(&expected["string_to_sign"]), "{id}");
    let known = decode(&expected["signature"], &expected["signature_encoding"]);
    if own.key_type == KeyType::Es256 {
        assert_eq!(signature.len(), known.len(), "{id}");
        verify_es256(&text(&record["verify_with_public_key"]), &string, &signature);
    } else {
        assert_eq!(signature, known, "{id}");
    }
    if own.key_type != KeyType::LegacyHmac && own.key_type != KeyType::Hmac {
        assert_eq!(scheme.key_type_of(&own.secret), Ok(own.key_type), "{id}");
    }
    if record["kind"] == "ws-login" {
        return;
    }

    let sent = scheme.authenticate(wire, &key, &moment, &string, &known).expect("complete");
    assert_eq!(sent.url(), text(&expected["url"]).trim_end_matches('?'), "{id}");
    assert_eq!(sent.body, text(&expected["body"]).into_bytes(), "{id}");
    for (name, value) in &sent.headers {
        assert_eq!(expected["headers"][name], **value, "{id} {name}");
    }
    assert!(!sent.headers.is_empty(), "{id}");
    check_secrets(&own, &sent, &text(&expected["signature"]), &id);
}

/// What authorises is all known, and stands in the request as it is known.
fn check_secrets(own: &OwnKey, sent: &WireRequest, signature: &str, id: &str) {
    let headers: String = sent.headers.iter().map(|(_, value)| format!("{value}\n")).collect();
    let body = String::from_utf8_lossy(&sent.body);
    let whole = format!("{}\n{headers}{body}", sent.url());
    let has = |text: &str| sent.secrets.iter().any(|secret| secret == text);

    assert!(has(signature), "{id}");
    if let Some(passphrase) = &own.passphrase {
        assert!(has(std::str::from_utf8(passphrase.expose_secret()).expect("text")), "{id}");
    }
    if let Some(token) = headers.lines().find_map(|value| value.strip_prefix("Bearer ")) {
        assert!(has(token), "{id}");
    }
    // As the venue decodes it, a signature in a query is another text.
    let written = sent.secrets.iter().filter(|secret| whole.contains(secret.as_str())).count();
    assert!(written >= 1 && written + 1 >= sent.secrets.len(), "{id}");
    assert!(sent.secrets.iter().all(|secret| secret.len() >= 8), "{id}");
    let shown = format!("{:?}", sent.clone().signed(Vec::new()));
    assert!(!sent.secrets.iter().any(|secret| shown.contains(secret.as_str())), "{id}");
}

/// Against the public key of the record, by the library that did not make it.
fn verify_es256(public: &str, string: &[u8], signature: &[u8]) {
    let digits: String = public.lines().filter(|line| !line.starts_with('-')).collect();
    let spki = STANDARD.decode(digits).expect("base64");
    let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED;
    aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, &spki)
        .verify(string, signature)
        .expect("a signature of the record's key");
}

#[test]
fn every_scheme_signs_its_vectors() {
    for scheme in SCHEMES {
        let vectors = vectors(scheme.name());
        assert!(vectors.len() >= 5, "{} has vectors", scheme.name());
        for record in &vectors {
            assert_eq!(record["venue"], scheme.name());
            check(*scheme, record);
        }
    }
}

#[test]
fn every_scheme_passes_its_own_test() {
    for scheme in SCHEMES {
        assert_eq!(scheme.self_test(), Ok(()), "{}", scheme.name());
    }
}

#[test]
fn every_venue_has_a_vector_file() {
    for name in registry().names() {
        assert!(!vectors(name).is_empty());
    }
}

#[test]
fn kraken_signs_the_example_of_its_own_guide() {
    let vectors = vectors("official");
    let record = vectors.iter().find(|record| record["venue"] == "kraken").expect("listed");
    let kraken = registry().venue("kraken").expect("kraken").scheme();
    let secret = SecretBytes::new(text(&record["credential"]["secret_base64"]).into_bytes());
    let (key, moment) = (hmac_key(&secret), moment(Timestamp(0), None));

    let string =
        kraken.string_to_sign(&wire(&record["request"]), &key, &moment).expect("can be signed");
    let signature = kraken.signature(&key, &string).expect("key fits");

    assert_eq!(string, bytes(&record["string_to_sign"]));
    assert_eq!(STANDARD.encode(signature), text(&record["signature"]));
}

/// Takes ccxt's nonce out of a body, as a bot states a request: it comes first there.
fn without_nonce(body: &str) -> (String, Option<u64>) {
    if let Some(rest) = body.strip_prefix("nonce=") {
        let (nonce, rest) = rest.split_once('&').unwrap_or((rest, ""));
        (rest.to_owned(), nonce.parse().ok())
    } else if let Some(rest) = body.strip_prefix("{\"nonce\":\"") {
        let (nonce, rest) = rest.split_once("\",").expect("more members");
        (format!("{{{rest}"), nonce.parse().ok())
    } else {
        (body.to_owned(), None)
    }
}

/// What ccxt sends, byte for byte. Not Binance, where ccxt puts the time first and the vault last.
#[test]
fn signing_as_a_bot_asks_gives_what_ccxt_sends() {
    let registry = registry();
    for name in registry.names().filter(|&name| name != "binance") {
        let venue = registry.venue(name).expect("listed");
        for record in vectors(name).iter().filter(|record| record["kind"] == "rest") {
            let id = text(&record["id"]);
            let own = OwnKey::of(record);
            let wire = wire(&record["request"]);
            let (body, nonce) = without_nonce(&text(&record["request"]["body"]));
            let request = VenueRequest {
                method: wire.method,
                scheme: wire.scheme,
                host: wire.host,
                path: wire.path,
                query: wire.query,
                body: body.into_bytes(),
                headers: Vec::new(),
            };
            let moment = Moment { nonce, ..moment_of(record) };

            let signed = venue.sign(&request, &own.key(), &moment).expect("signed");

            let expected = &record["expected"];
            assert_eq!(signed.url, text(&expected["url"]).trim_end_matches('?'), "{id}");
            assert_eq!(signed.method, text(&expected["method"]), "{id}");
            assert_eq!(signed.body, text(&expected["body"]).into_bytes(), "{id}");
            // Signed anew, so another one each time.
            let is_fresh = own.key_type == KeyType::Es256;
            if !is_fresh {
                let known = decode(&expected["signature"], &expected["signature_encoding"]);
                assert_eq!(signed.signature, known, "{id}");
            }
            for (name, value) in expected["headers"].as_object().expect("headers") {
                // The sign of ccxt's own broker programme.
                if name == "Referer" || (is_fresh && name == "Authorization") {
                    continue;
                }
                let sent = signed.headers.iter().find(|(sent, _)| sent == name);
                assert_eq!(sent.map(|(_, v)| v.as_str()), value.as_str(), "{id} {name}");
            }
        }
    }
}

#[test]
fn log_ons_are_the_messages_that_ccxt_sends() {
    for name in ["bybit", "okx"] {
        let Some(venue) = registry().venue(name) else { continue };
        let vectors = vectors(name);
        let record = vectors.iter().find(|record| record["kind"] == "ws-login").expect("a log-on");
        let own = OwnKey::of(record);
        let request = log_on_request(name);

        let signed = venue.sign(&request, &own.key(), &moment_of(record)).expect("signed");

        let message: Value = serde_json::from_slice(&signed.body).expect("JSON");
        assert_eq!(message, record["expected"]["message"]);
        assert_eq!(signed.url, format!("wss://{}", request.host));
        assert!(signed.headers.is_empty());
    }
}

fn okx_request() -> VenueRequest {
    VenueRequest {
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: "www.okx.com".to_owned(),
        path: "/api/v5/account/balance".to_owned(),
        ..VenueRequest::default()
    }
}

#[test]
fn the_passphrase_stays_unless_it_may_be_disclosed() {
    let registry = registry();
    let okx = registry.venue("okx").expect("okx");
    let (secret, passphrase) =
        (SecretBytes::new(b"secret".to_vec()), SecretBytes::new(b"canary".to_vec()));
    let key = Key { passphrase: Some(&passphrase), ..hmac_key(&secret) };
    let kept = Moment { disclose_passphrase: false, ..moment(Timestamp(0), None) };

    assert_eq!(okx.sign(&okx_request(), &key, &kept), Err(VenueError::PassphraseNotDisclosed));
    assert_eq!(
        okx.sign(&log_on_request("okx"), &key, &kept),
        Err(VenueError::PassphraseNotDisclosed)
    );
    let none = Key { passphrase: None, ..key };
    let open = moment(Timestamp(0), None);
    assert_eq!(okx.sign(&okx_request(), &none, &open), Err(VenueError::PassphraseMissing));
}

#[test]
fn demo_credentials_carry_the_demo_header() {
    let registry = registry();
    let okx = registry.venue("okx").expect("okx");
    let (secret, passphrase) =
        (SecretBytes::new(b"secret".to_vec()), SecretBytes::new(b"phrase".to_vec()));
    let key = Key { passphrase: Some(&passphrase), ..hmac_key(&secret) };
    let demo = Moment { environment: Environment::Demo, ..moment(Timestamp(0), None) };
    let header = ("x-simulated-trading".to_owned(), "1".to_owned());

    let signed = okx.sign(&okx_request(), &key, &demo).expect("signed");
    assert!(signed.headers.contains(&header));
    let signed = okx.sign(&okx_request(), &key, &moment(Timestamp(0), None)).expect("signed");
    assert!(!signed.headers.contains(&header));
}

#[test]
fn keys_are_checked_when_they_come_in() {
    let registry = registry();
    let (kraken, okx) = (registry.venue("kraken").expect("k"), registry.venue("okx").expect("o"));
    let secret = |text: &[u8]| SecretBytes::new(text.to_vec());
    let base64 = secret(b"kQH5HW/8p1uGOVjbgWA7Fg==");
    let key = hmac_key(&base64);

    assert_eq!(kraken.check_key(&key), Ok(()));
    assert_eq!(okx.check_key(&key), Err(VenueError::PassphraseMissing));
    for text in [&b""[..], b"not base64!", b"kQH5HW/8p1uGOVjbgWA7Fg", b"kQH5HW/8\n", b"\xff"] {
        let broken = secret(text);
        let key = Key { secret: &broken, ..key };
        assert_eq!(kraken.check_key(&key), Err(VenueError::SecretForm), "{text:?}");
    }
    for api_key in ["", "a b", "a\r\nb", "ä"] {
        assert_eq!(kraken.check_key(&Key { api_key, ..key }), Err(VenueError::ApiKeyForm));
    }
    let phrase = secret(b"a\r\nb");
    let key = Key { passphrase: Some(&phrase), ..key };
    assert_eq!(okx.check_key(&key), Err(VenueError::PassphraseForm));
}

#[test]
fn kraken_signs_no_request_without_a_nonce() {
    let registry = registry();
    let kraken = registry.venue("kraken").expect("kraken");
    let secret = SecretBytes::new(b"kQH5HW/8p1uGOVjbgWA7Fg==".to_vec());
    let key = hmac_key(&secret);
    let request = VenueRequest {
        method: "POST".to_owned(),
        scheme: "https".to_owned(),
        host: "api.kraken.com".to_owned(),
        path: "/0/private/Balance".to_owned(),
        ..VenueRequest::default()
    };
    let at = Timestamp(0);

    assert_eq!(kraken.sign(&request, &key, &moment(at, None)), Err(VenueError::NonceMissing));
    for (body, expected) in [
        ("", "nonce=7"),
        ("asset=XBT", "nonce=7&asset=XBT"),
        ("{}", "{\"nonce\":\"7\"}"),
        (" { }", " {\"nonce\":\"7\" }"),
        ("{\"asset\":\"XBT\"}", "{\"nonce\":\"7\",\"asset\":\"XBT\"}"),
    ] {
        let request = VenueRequest { body: body.as_bytes().to_vec(), ..request.clone() };
        let signed = kraken.sign(&request, &key, &moment(at, Some(7))).expect("signed");
        assert_eq!(String::from_utf8_lossy(&signed.body), expected);
    }
}

/// What the catalogue says is bound changes the string-to-sign, and nothing else does.
#[test]
fn catalogues_say_truly_what_is_bound() {
    let registry = registry();
    let secret = SecretBytes::new(b"secret".to_vec());
    for name in registry.names() {
        let venue = registry.venue(name).expect("listed");
        // Under this prefix Coinbase leaves the query out for its old keys.
        let base = WireRequest {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            host: "a.example".to_owned(),
            path: "/api/v3/a".to_owned(),
            query: "a=1".to_owned(),
            headers: Vec::new(),
            body: b"nonce=1&a=1".to_vec(),
            secrets: Vec::new(),
        };
        for &key_type in venue.key_types() {
            let key = Key { key_type, ..hmac_key(&secret) };
            let moment = moment(Timestamp(0), None);
            let string = |wire: &WireRequest| {
                venue.scheme().string_to_sign(wire, &key, &moment).expect("can be signed")
            };
            let signed = string(&base);
            let binds = &venue.catalog.signature.facts(key_type).binds;
            let changes = [
                (binds.method, WireRequest { method: "PUT".to_owned(), ..base.clone() }),
                (binds.host, WireRequest { host: "b.example".to_owned(), ..base.clone() }),
                (binds.path, WireRequest { path: "/api/v3/b".to_owned(), ..base.clone() }),
                (binds.query, WireRequest { query: "a=2".to_owned(), ..base.clone() }),
                (binds.body, WireRequest { body: b"nonce=1&a=2".to_vec(), ..base.clone() }),
            ];
            for (bound, changed) in &changes {
                assert_eq!(string(changed) != signed, *bound, "{name} {key_type} {changed:?}");
            }
        }
    }
}
