//! The vectors once more, from end to end: each record's request, without what authenticates it,
//! goes through the real Sign, and what comes back is verified here and by the mock venues. No line
//! of the vault's signing code takes part in that.
//!
//! Time, nonce and key are the vault's, so signatures are recomputed; everything else must be what
//! ccxt sent.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use serde_json::Value;
use vault_client::Client;
use vault_client::v1::{SignedRequest, VenueRequest};
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
