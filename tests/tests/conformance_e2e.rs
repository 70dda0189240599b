//! The vectors once more, from end to end: each record's request, without what authenticates it,
//! goes through the real Sign, and what comes back is verified here and by the mock venues. No line
//! of the vault's signing code takes part in that.
//!
//! Time, nonce and key are the vault's, so signatures are recomputed; everything else must be what
//! ccxt sent.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey,
};
use ring::{digest, hmac};
use serde_json::Value;
use vault_client::Client;
use vault_client::v1::{CredentialMetadata, CredentialSecret, SignedRequest, VenueRequest};
use vault_tests::{
    KRAKEN_KEY, KRAKEN_SECRET, Mocks, OKX_KEY, OKX_PASSPHRASE, OKX_SECRET, TestVault, order, reason,
};

/// What must come of a record.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// Signed, and the mock venue takes it.
    Accepted,
    /// Signed; the venue knows who asks, and refuses for a reason of its own.
    Answered(&'static str),
    /// Signed; there is no HTTP request to send.
    LogOn,
    /// Not signed, for this reason.
    Refused(&'static str),
}

use Outcome::{Accepted, Answered, LogOn, Refused};

const OKX: &[(&str, Outcome)] = &[
    ("okx-hmac-rest-01", Accepted),
    ("okx-hmac-rest-02", Accepted),
    ("okx-hmac-rest-03", Accepted),
    ("okx-hmac-rest-04", Accepted),
    ("okx-hmac-rest-06", Accepted),
    ("okx-hmac-rest-10", Accepted),
    ("okx-hmac-rest-11", Accepted),
    // A withdrawal whose client id is a sentence of other alphabets: no id has that form. What
    // becomes of it without its client id is asked apart.
    ("okx-hmac-rest-12", Refused("PARAMETER_VALUE")),
    ("okx-hmac-rest-13", Accepted),
    ("okx-hmac-rest-15", Accepted),
    ("okx-hmac-wslogin-05", LogOn),
];

const KRAKEN: &[(&str, Outcome)] = &[
    ("kraken-hmac-rest-01", Accepted),
    // The orders that this one, 08 and 09 name were never placed.
    ("kraken-hmac-rest-03", Answered("EOrder:Unknown order")),
    // Its client order id is a sentence of other alphabets, which no plain form has in it.
    ("kraken-hmac-rest-05", Refused("BODY_MALFORMED")),
    ("kraken-hmac-rest-07", Accepted),
    ("kraken-hmac-rest-08", Answered("EOrder:Unknown order")),
    ("kraken-hmac-rest-09", Answered("EOrder:Unknown order")),
    ("kraken-hmac-rest-11", Accepted),
    ("kraken-hmac-rest-13", Accepted),
    ("kraken-hmac-rest-14", Accepted),
];

/// How many records of each venue must come back signed, at the least.
const SIGNED_MIN: usize = 5;

/// All that a scope can grant at one venue.
fn wide_scope(venue: &str) -> String {
    format!(
        r#"
name = "{venue}-wide"
credentials = ["{venue}-main"]
classes = ["read", "trade", "cancel", "transfer", "account", "logon"]
modes = ["sign"]
products = ["*"]

[symbols]
{venue} = ["*"]

[network]
allow = ["127.0.0.0/8"]
"#
    )
}

fn records(venue: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/venue");
    let text = std::fs::read(folder.join(format!("{venue}.json"))).expect("the vectors");
    let file: Value = serde_json::from_slice(&text).expect("JSON");
    file["vectors"].as_array().expect("vectors").clone()
}

fn text<'v>(record: &'v Value, pointer: &str) -> &'v str {
    record.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A record's request as a bot states it.
fn stated(record: &Value) -> VenueRequest {
    if record["kind"] == "ws-login" {
        return VenueRequest {
            method: "GET".to_owned(),
            scheme: "wss".to_owned(),
            host: "ws.okx.com".to_owned(),
            path: "/users/self/verify".to_owned(),
            ..VenueRequest::default()
        };
    }
    let added = record["request"]["auth_params_included"].as_array().expect("a list");
    let body = match added.as_slice() {
        [] => text(record, "/request/body").to_owned(),
        [name] if name == "nonce" => without_nonce(text(record, "/request/body")).0,
        _ => panic!("parameters that this test does not know: {added:?}"),
    };
    VenueRequest {
        method: text(record, "/request/method").to_owned(),
        scheme: text(record, "/request/scheme").to_owned(),
        host: text(record, "/request/host").to_owned(),
        path: text(record, "/request/path").to_owned(),
        query: text(record, "/request/query").to_owned(),
        body: body.into_bytes(),
        headers: Vec::new(),
    }
}

/// A body's other parameters, and its nonce, which is its first.
fn without_nonce(body: &str) -> (String, String) {
    let (head, nonce, rest) = if let Some(tail) = body.strip_prefix("{\"nonce\":\"") {
        let (nonce, rest) = tail.split_once("\",").expect("other members");
        ("{", nonce, rest)
    } else {
        let tail = body.strip_prefix("nonce=").expect("a nonce");
        let (nonce, rest) = tail.split_once('&').unwrap_or((tail, ""));
        ("", nonce, rest)
    };
    assert!(!nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_digit()), "{body}");
    (format!("{head}{rest}"), nonce.to_owned())
}

fn header<'s>(signed: &'s SignedRequest, name: &str) -> &'s str {
    let mut found = signed.headers.iter().filter(|header| header.name == name);
    let value = &found.next().unwrap_or_else(|| panic!("no {name}")).value;
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

fn hmac_base64(algorithm: hmac::Algorithm, secret: &[u8], string: &[u8]) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(algorithm, secret), string))
}

/// Method, URL and the names of the headers are those that ccxt sent.
fn check_outside(record: &Value, signed: &SignedRequest) {
    let sent = record["expected"]["headers"].as_object().expect("headers");
    let sent: BTreeSet<_> = sent.keys().map(|name| name.to_ascii_lowercase()).collect();
    let names = signed.headers.iter().map(|header| header.name.to_ascii_lowercase());

    assert_eq!(names.collect::<BTreeSet<_>>(), sent);
    assert_eq!(signed.headers.len(), sent.len(), "a header is there twice");
    assert_eq!(signed.method, text(record, "/expected/method"));
    assert_eq!(signed.url, text(record, "/expected/url"));
}

fn check_okx(record: &Value, signed: &SignedRequest) {
    check_outside(record, signed);
    assert_eq!(signed.body, text(record, "/expected/body").as_bytes());
    let timestamp = header(signed, "OK-ACCESS-TIMESTAMP");
    let (method, path) = (text(record, "/request/method"), text(record, "/request/path"));
    let query = match text(record, "/request/query") {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let body = text(record, "/request/body");
    let string = format!("{timestamp}{method}{path}{query}{body}");

    let expected = hmac_base64(hmac::HMAC_SHA256, OKX_SECRET.as_bytes(), string.as_bytes());
    assert_eq!(header(signed, "OK-ACCESS-SIGN"), expected);
    assert_eq!(header(signed, "OK-ACCESS-KEY"), OKX_KEY);
    assert_eq!(header(signed, "OK-ACCESS-PASSPHRASE"), OKX_PASSPHRASE);
}

/// The message has the members that ccxt sent, and a signature of its own timestamp.
fn check_okx_log_on(record: &Value, signed: &SignedRequest) {
    let message: Value = serde_json::from_slice(&signed.body).expect("JSON");
    let timestamp = text(&message, "/args/0/timestamp");
    let string = format!("{timestamp}GET/users/self/verify");

    let mut expected = record["expected"]["message"].clone();
    let arguments = &mut expected["args"][0];
    arguments["apiKey"] = OKX_KEY.into();
    arguments["passphrase"] = OKX_PASSPHRASE.into();
    arguments["timestamp"] = timestamp.into();
    arguments["sign"] =
        hmac_base64(hmac::HMAC_SHA256, OKX_SECRET.as_bytes(), string.as_bytes()).into();
    assert_eq!(message, expected);
    assert!(timestamp.len() == 10 && timestamp.bytes().all(|b| b.is_ascii_digit()), "{timestamp}");
    assert_eq!(signed.url, "wss://ws.okx.com");
    assert!(signed.headers.is_empty());
}

/// Returns the nonce.
fn check_kraken(record: &Value, signed: &SignedRequest) -> u64 {
    check_outside(record, signed);
    let body = std::str::from_utf8(&signed.body).expect("text");
    let sent = without_nonce(text(record, "/expected/body")).0;
    let (rest, nonce) = without_nonce(body);
    assert_eq!(rest, sent);
    assert_eq!(header(signed, "Content-Type"), text(record, "/expected/headers/Content-Type"));

    let hash = digest::digest(&digest::SHA256, format!("{nonce}{body}").as_bytes());
    let string = [text(record, "/request/path").as_bytes(), hash.as_ref()].concat();
    let secret = STANDARD.decode(KRAKEN_SECRET).expect("base64");
    assert_eq!(header(signed, "API-Sign"), hmac_base64(hmac::HMAC_SHA512, &secret, &string));
    assert_eq!(header(signed, "API-Key"), KRAKEN_KEY);
    nonce.parse().expect("a number of 64 bits")
}

/// Sends every record of a venue through Sign; returns what came back, by id.
async fn run(
    bot: &Client,
    mocks: &Mocks,
    venue: &str,
    outcomes: &[(&str, Outcome)],
) -> Vec<(Value, SignedRequest)> {
    let records = records(venue);
    let ids: Vec<_> = records.iter().map(|record| text(record, "/id")).collect();
    let listed: Vec<_> = outcomes.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, listed, "every record has its outcome");

    let mut signed = Vec::new();
    for (record, (id, outcome)) in records.iter().zip(outcomes) {
        let asked = bot.sign(order(&format!("{venue}-main"), stated(record))).await;
        if let Refused(why) = outcome {
            assert_eq!(reason(asked), *why, "{id}");
            continue;
        }
        let request = asked.unwrap_or_else(|error| panic!("{id}: {error:?}")).request;
        match outcome {
            Accepted => {
                mocks.accept(&request).await;
            }
            Answered(word) => {
                let (_, answer) = mocks.send(&request).await;
                assert_eq!(answer["error"][0], *word, "{id}: {answer}");
            }
            LogOn | Refused(_) => {}
        }
        signed.push((record.clone(), request));
    }
    assert!(signed.len() >= SIGNED_MIN, "{venue}: {} signed", signed.len());
    signed
}

#[tokio::test]
async fn okx_records_come_back_as_ccxt_sends_them() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("okx-bot", &wide_scope("okx"), &[]).await;

    let signed = run(&bot, &vault.mocks(), "okx", OKX).await;

    assert_eq!(signed.len(), 10);
    for (record, request) in &signed {
        if record["kind"] == "ws-login" {
            check_okx_log_on(record, request);
        } else {
            check_okx(record, request);
        }
    }
}

#[tokio::test]
async fn the_withdrawal_is_of_a_class_that_no_scope_grants() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("okx-bot", &wide_scope("okx"), &[]).await;
    let records = records("okx");
    let withdrawal = records.iter().find(|record| record["class"] == "withdraw").expect("there");

    let mut request = stated(withdrawal);
    let body = String::from_utf8(request.body).expect("text");
    let (plain, _) = body.split_once(",\"clientId\"").expect("a client id, the last member");
    request.body = format!("{plain}}}").into_bytes();

    assert_eq!(reason(bot.sign(order("okx-main", request)).await), "CLASS_NOT_GRANTABLE");
}

#[tokio::test]
async fn kraken_records_come_back_as_ccxt_sends_them() {
    let vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let bot = vault.bot("kraken-bot", &wide_scope("kraken"), &[]).await;

    let signed = run(&bot, &vault.mocks(), "kraken", KRAKEN).await;

    assert_eq!(signed.len(), 8);
    let nonces: Vec<_> =
        signed.iter().map(|(record, request)| check_kraken(record, request)).collect();
    assert!(nonces.is_sorted_by(|one, next| one < next), "{nonces:?}");
}

/// A key that is made for one test, and what verifies its signatures.
struct OwnKey {
    credential: CredentialSecret,
    verifier: Verifier,
}

enum Verifier {
    Hmac(String),
    Public(&'static dyn ring::signature::VerificationAlgorithm, Vec<u8>),
}

impl OwnKey {
    /// A key of a venue and type, in the form in which people have it.
    fn new(venue: &str, key_type: &str) -> Self {
        let mut seed = [0; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed)
            .expect("random");
        let mut credential =
            CredentialSecret { api_key: hex::encode(&seed[16..]), ..CredentialSecret::default() };
        let public = |algorithm: &'static rcgen::SignatureAlgorithm| {
            let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key");
            (pair.serialize_pem().into_bytes(), pair.public_key_raw().to_vec())
        };
        let verifier = match key_type {
            "hmac" => {
                let secret = hex::encode(seed);
                credential.secret = secret.clone().into();
                Verifier::Hmac(secret)
            }
            "ed25519" => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
                let raw = pair.public_key().as_ref().to_vec();
                if venue == "coinbase" {
                    credential.secret = STANDARD.encode([&seed[..], &raw].concat()).into();
                } else {
                    // RFC 8410: version, algorithm, and the seed as an octet string in one.
                    let head = hex::decode("302e020100300506032b657004220420").expect("digits");
                    credential.private_key_pem = pem(&[head, seed.to_vec()].concat()).into();
                }
                Verifier::Public(&ED25519, raw)
            }
            "es256" => {
                let (pem, raw) = public(&rcgen::PKCS_ECDSA_P256_SHA256);
                credential.private_key_pem = pem;
                credential.api_key = format!("organizations/o-1/apiKeys/{}", credential.api_key);
                Verifier::Public(&ECDSA_P256_SHA256_FIXED, raw)
            }
            "rsa" => {
                let (pem, raw) = public(&rcgen::PKCS_RSA_SHA256);
                credential.private_key_pem = pem;
                Verifier::Public(&RSA_PKCS1_2048_8192_SHA256, raw)
            }
            other => panic!("no key type {other}"),
        };
        Self { credential, verifier }
    }

    fn api_key(&self) -> &str {
        &self.credential.api_key
    }

    /// Verifies a signature in the encoding that goes with the type of key.
    fn verify(&self, string: &str, signature: &str) {
        match &self.verifier {
            Verifier::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                let tag = hex::decode(signature).expect("digits");
                hmac::verify(&key, string.as_bytes(), &tag).expect("the key's signature");
            }
            Verifier::Public(algorithm, raw) => {
                let bytes = STANDARD
                    .decode(signature)
                    .or_else(|_| URL_SAFE_NO_PAD.decode(signature))
                    .expect("base64");
                let public = UnparsedPublicKey::new(*algorithm, raw);
                public.verify(string.as_bytes(), &bytes).expect("the key's signature");
            }
        }
    }
}

fn pem(der: &[u8]) -> String {
    let digits = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{digits}\n-----END PRIVATE KEY-----\n")
}

/// The parameters of a query or form that are the caller's.
fn callers(text: &str) -> Vec<&str> {
    let own = |pair: &&str| {
        !["timestamp=", "recvWindow=", "signature="].iter().any(|name| pair.starts_with(name))
    };
    text.split('&').filter(own).filter(|pair| !pair.is_empty()).collect()
}

/// A record's request as a bot states it at the three venues whose keys have types.
fn stated_typed(record: &Value) -> VenueRequest {
    let is_binance = record["venue"] == "binance";
    let plain = |pointer| {
        let sent = text(record, pointer);
        if is_binance { callers(sent).join("&") } else { sent.to_owned() }
    };
    VenueRequest {
        method: text(record, "/request/method").to_owned(),
        scheme: "https".to_owned(),
        host: text(record, "/request/host").to_owned(),
        path: text(record, "/request/path").to_owned(),
        query: plain("/request/query"),
        body: plain("/request/body").into_bytes(),
        headers: Vec::new(),
    }
}

/// Path and query of a URL, which must be of the stated host.
fn target<'u>(stated: &VenueRequest, url: &'u str) -> (&'u str, &'u str) {
    let front = format!("https://{}", stated.host);
    let target = url.strip_prefix(&front).unwrap_or_else(|| panic!("{url}"));
    target.split_once('?').unwrap_or((target, ""))
}

fn check_binance(stated: &VenueRequest, signed: &SignedRequest, key: &OwnKey) {
    let (path, query) = target(stated, &signed.url);
    let body = std::str::from_utf8(&signed.body).expect("text");
    assert_eq!(path, stated.path);
    assert!(query.is_empty() || body.is_empty(), "one place");
    let sent = format!("{query}{body}");
    let (string, signature) = sent.rsplit_once("&signature=").expect("a signature, the last");
    let asked = [stated.query.as_bytes(), &stated.body].concat();
    assert_eq!(callers(string), callers(std::str::from_utf8(&asked).expect("text")));
    let times: Vec<_> =
        string.split('&').filter_map(|pair| pair.strip_prefix("timestamp=")).collect();
    assert!(matches!(times[..], [time] if time.len() == 13), "{times:?}");

    let signature = signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    key.verify(string, &signature);
    assert_eq!(header(signed, "X-MBX-APIKEY"), key.api_key());
}

fn check_bybit(stated: &VenueRequest, signed: &SignedRequest, key: &OwnKey) {
    let (path, query) = target(stated, &signed.url);
    assert_eq!((path, query), (stated.path.as_str(), stated.query.as_str()));
    assert_eq!(signed.body, stated.body);
    let (time, window) = (header(signed, "X-BAPI-TIMESTAMP"), header(signed, "X-BAPI-RECV-WINDOW"));
    assert_eq!((time.len(), window), (13, "5000"));
    let body = std::str::from_utf8(&signed.body).expect("text");
    key.verify(
        &format!("{time}{}{window}{query}{body}", key.api_key()),
        header(signed, "X-BAPI-SIGN"),
    );
    assert_eq!(header(signed, "X-BAPI-API-KEY"), key.api_key());
}

fn check_coinbase(stated: &VenueRequest, signed: &SignedRequest, key: &OwnKey) {
    let (path, query) = target(stated, &signed.url);
    assert_eq!((path, query), (stated.path.as_str(), stated.query.as_str()));
    assert_eq!(signed.body, stated.body);
    let token = header(signed, "Authorization").strip_prefix("Bearer ").expect("a token");
    let (string, signature) = token.rsplit_once('.').expect("three parts");
    key.verify(string, signature);

    let part = |text: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64")).expect("JSON")
    };
    let (head, claims) = string.split_once('.').expect("three parts");
    let (head, claims) = (part(head), part(claims));
    let uri = format!("{} {}{}", stated.method, stated.host, stated.path);
    assert_eq!((&head["kid"], &claims["sub"]), (&key.api_key().into(), &key.api_key().into()));
    let seconds = |name: &str| claims[name].as_i64().expect("a number");
    assert_eq!(seconds("exp") - seconds("nbf"), 120);
    match head["alg"].as_str() {
        Some("ES256") => assert_eq!(claims["uri"], uri),
        Some("EdDSA") => assert_eq!(claims["uris"], serde_json::json!([uri])),
        other => panic!("{other:?}"),
    }
}

/// Sends some records of a venue through Sign, each with the reason that it must be refused for,
/// or none.
async fn run_typed(
    venue: &str,
    key_type: &str,
    outcomes: &[(&str, Option<&str>)],
    check: impl Fn(&VenueRequest, &SignedRequest, &OwnKey),
) {
    let vault = TestVault::start().await;
    let key = OwnKey::new(venue, key_type);
    let name = format!("{venue}-main");
    let metadata = CredentialMetadata {
        name: name.clone(),
        venue: venue.to_owned(),
        environment: "live".to_owned(),
        assume: vec!["venue_checks".to_owned()],
        ..CredentialMetadata::default()
    };
    let imported = vault.admin().await.import_unchecked(metadata, key.credential.clone()).await;
    assert_eq!(imported.expect("imported").key_type, key_type);
    let bot = vault.bot("bot", &wide_scope(venue), &[]).await;
    let records = records(venue);

    let mut wrong = Vec::new();
    for (number, expected) in outcomes {
        let id = format!("{venue}-{key_type}-rest-{number}");
        let record = records.iter().find(|record| record["id"] == id);
        let stated = stated_typed(record.unwrap_or_else(|| panic!("no {id}")));
        let found = match bot.sign(order(&name, stated.clone())).await {
            Ok(answer) => {
                check(&stated, &answer.request, &key);
                None
            }
            refused => Some(reason(refused)),
        };
        if found.as_deref() != *expected {
            wrong.push(format!("{id}: expected {expected:?}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn binance_records_are_signed_by_hmac() {
    let outcomes = [
        // Without parameters it is also a change of what the key may do.
        ("00", Some("CLASS_NOT_GRANTABLE")),
        ("03", None),
        ("04", None),
        // With a symbol alone it also deletes a margin key.
        ("10", Some("CLASS_NOT_GRANTABLE")),
        // It closes a whole position, of whatever size.
        ("18", Some("PARAMETER_REFUSED")),
    ];
    run_typed("binance", "hmac", &outcomes, check_binance).await;
}

#[tokio::test]
async fn binance_records_are_signed_by_rsa() {
    let outcomes = [("04", None), ("09", None), ("13", None), ("19", None), ("24", None)];
    run_typed("binance", "rsa", &outcomes, check_binance).await;
}

#[tokio::test]
async fn binance_records_are_signed_by_ed25519() {
    let outcomes = [
        ("04", None),
        ("05", None),
        // Its symbol is of full-width digits.
        ("06", Some("PARAMETER_VALUE")),
        ("22", Some("CLASS_NOT_GRANTABLE")),
        ("24", None),
    ];
    run_typed("binance", "ed25519", &outcomes, check_binance).await;
}

#[tokio::test]
async fn bybit_records_are_signed_by_hmac() {
    let outcomes =
        [("00", None), ("01", None), ("04", None), ("08", None), ("10", None), ("12", None)];
    run_typed("bybit", "hmac", &outcomes, check_bybit).await;
}

#[tokio::test]
async fn bybit_records_are_signed_by_rsa() {
    // The cursor of 03 has a space, a plus sign and equals signs in it.
    let outcomes = [("03", Some("QUERY_MALFORMED")), ("07", None), ("08", None), ("09", None)];
    run_typed("bybit", "rsa", &outcomes, check_bybit).await;
}

#[tokio::test]
async fn coinbase_records_are_signed_by_es256() {
    let outcomes = [
        ("02", None),
        // Its client order id is a sentence of other alphabets.
        ("05", Some("PARAMETER_VALUE")),
        ("07", None),
        ("09", None),
        // It sends coins away.
        ("13", Some("CLASS_NOT_GRANTABLE")),
    ];
    run_typed("coinbase", "es256", &outcomes, check_coinbase).await;
}

#[tokio::test]
async fn coinbase_records_are_signed_by_ed25519() {
    let outcomes = [("02", None), ("04", None), ("07", None), ("12", None), ("14", None)];
    run_typed("coinbase", "ed25519", &outcomes, check_coinbase).await;
}
