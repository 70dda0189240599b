//! The schemes against signatures that other software made.

use std::path::PathBuf;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use vault_model::{Environment, SecretBytes, Timestamp, VenueRequest};
use vault_venue::{Key, Moment, Registry, Venue, VenueError, WireRequest};

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
        body: text(&request["body"]).into_bytes(),
        content_type: None,
    }
}

/// What a WebSocket record stands for: the record names the socket alone.
fn log_on_request() -> VenueRequest {
    VenueRequest {
        method: "GET".to_owned(),
        scheme: "wss".to_owned(),
        host: "ws.okx.com".to_owned(),
        path: "/users/self/verify".to_owned(),
        ..VenueRequest::default()
    }
}

fn moment(at: Timestamp, nonce: Option<u64>) -> Moment {
    Moment { at, nonce, environment: Environment::Live, disclose_passphrase: true }
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::bundled().expect("bundled catalogues are sound"))
}

fn check(venue: &Venue, record: &Value) {
    let id = text(&record["id"]);
    let at = Timestamp::from_millis(record["clock_ms"].as_i64().unwrap_or_default());
    let secret = SecretBytes::new(text(&record["credential"]["secret"]).into_bytes());
    let wire = match record["kind"].as_str() {
        Some("ws-login") => {
            let request = log_on_request();
            WireRequest { scheme: "wss".to_owned(), body: Vec::new(), ..wire_of(&request) }
        }
        _ => wire(&record["request"]),
    };

    let string = venue.scheme().string_to_sign(&wire, at).expect("can be signed");
    let signature = venue.scheme().signature(&secret, &string).expect("key fits");

    let expected = &record["expected"];
    assert_eq!(string, bytes(&expected["string_to_sign"]), "{id}");
    assert_eq!(STANDARD.encode(signature), text(&expected["signature"]), "{id}");
}

fn wire_of(request: &VenueRequest) -> WireRequest {
    WireRequest {
        method: request.method.clone(),
        scheme: request.scheme.clone(),
        host: request.host.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        body: request.body.clone(),
        content_type: None,
    }
}

#[test]
fn every_venue_signs_its_vectors() {
    let registry = registry();
    for name in registry.names() {
        let venue = registry.venue(name).expect("listed");
        let vectors = vectors(name);
        assert!(vectors.len() >= 5, "{name} has vectors");
        for record in &vectors {
            assert_eq!(record["venue"], name);
            check(venue, record);
        }
    }
}

#[test]
fn kraken_signs_the_example_of_its_own_guide() {
    let record = &vectors("official")[0];
    let registry = registry();
    let kraken = registry.venue("kraken").expect("kraken");
    let secret = SecretBytes::new(text(&record["credential"]["secret_base64"]).into_bytes());

    let string = kraken
        .scheme()
        .string_to_sign(&wire(&record["request"]), Timestamp(0))
        .expect("can be signed");
    let signature = kraken.scheme().signature(&secret, &string).expect("key fits");

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

#[test]
fn signing_as_a_bot_asks_gives_what_ccxt_sends() {
    let registry = registry();
    for name in registry.names() {
        let venue = registry.venue(name).expect("listed");
        for record in vectors(name).iter().filter(|record| record["kind"] == "rest") {
            let id = text(&record["id"]);
            let at = Timestamp::from_millis(record["clock_ms"].as_i64().expect("clock"));
            let secret = SecretBytes::new(text(&record["credential"]["secret"]).into_bytes());
            let passphrase = SecretBytes::new(text(&record["credential"]["password"]).into_bytes());
            let api_key = text(&record["credential"]["apiKey"]);
            let key = Key {
                api_key: &api_key,
                secret: &secret,
                passphrase: Some(&passphrase).filter(|passphrase| !passphrase.is_empty()),
            };
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

            let signed = venue.sign(&request, &key, &moment(at, nonce)).expect("signed");

            let expected = &record["expected"];
            assert_eq!(signed.url, text(&expected["url"]), "{id}");
            assert_eq!(signed.method, text(&expected["method"]), "{id}");
            assert_eq!(signed.body, text(&expected["body"]).into_bytes(), "{id}");
            assert_eq!(STANDARD.encode(&signed.signature), text(&expected["signature"]), "{id}");
            for (name, value) in expected["headers"].as_object().expect("headers") {
                let sent = signed.headers.iter().find(|(sent, _)| sent == name);
                assert_eq!(sent.map(|(_, v)| v.as_str()), value.as_str(), "{id} {name}");
            }
        }
    }
}

#[test]
fn okx_logs_on_with_the_message_that_ccxt_sends() {
    let registry = registry();
    let okx = registry.venue("okx").expect("okx");
    let vectors = vectors("okx");
    let record = vectors.iter().find(|record| record["kind"] == "ws-login").expect("a log-on");
    let secret = SecretBytes::new(text(&record["credential"]["secret"]).into_bytes());
    let passphrase = SecretBytes::new(text(&record["credential"]["password"]).into_bytes());
    let api_key = text(&record["credential"]["apiKey"]);
    let key = Key { api_key: &api_key, secret: &secret, passphrase: Some(&passphrase) };
    let at = Timestamp::from_millis(record["clock_ms"].as_i64().expect("clock"));

    let signed = okx.sign(&log_on_request(), &key, &moment(at, None)).expect("signed");

    let message: Value = serde_json::from_slice(&signed.body).expect("JSON");
    assert_eq!(message, record["expected"]["message"]);
    assert_eq!(signed.url, "wss://ws.okx.com");
    assert!(signed.headers.is_empty());
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
    let key = Key { api_key: "key", secret: &secret, passphrase: Some(&passphrase) };
    let kept = Moment { disclose_passphrase: false, ..moment(Timestamp(0), None) };

    assert_eq!(okx.sign(&okx_request(), &key, &kept), Err(VenueError::PassphraseNotDisclosed));
    assert_eq!(okx.sign(&log_on_request(), &key, &kept), Err(VenueError::PassphraseNotDisclosed));
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
    let key = Key { api_key: "key", secret: &secret, passphrase: Some(&passphrase) };
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
    let key = Key { api_key: "key", secret: &base64, passphrase: None };

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
    let key = Key { api_key: "key", secret: &secret, passphrase: None };
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
    for name in registry.names() {
        let venue = registry.venue(name).expect("listed");
        let base = WireRequest {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            host: "a.example".to_owned(),
            path: "/a".to_owned(),
            query: "a=1".to_owned(),
            body: b"nonce=1&a=1".to_vec(),
            content_type: None,
        };
        let string = |wire: &WireRequest| {
            venue.scheme().string_to_sign(wire, Timestamp(0)).expect("can be signed")
        };
        let signed = string(&base);
        let binds = &venue.catalog.signature;
        let changes = [
            (binds.binds_method, WireRequest { method: "PUT".to_owned(), ..base.clone() }),
            (binds.binds_host, WireRequest { host: "b.example".to_owned(), ..base.clone() }),
            (binds.binds_path, WireRequest { path: "/b".to_owned(), ..base.clone() }),
            (binds.binds_query, WireRequest { query: "a=2".to_owned(), ..base.clone() }),
            (binds.binds_body, WireRequest { body: b"nonce=1&a=2".to_vec(), ..base.clone() }),
        ];
        for (bound, changed) in &changes {
            assert_eq!(string(changed) != signed, *bound, "{name} {changed:?}");
        }
    }
}
