//! Coinbase Advanced Trade over real HTTP: known tokens pass, damage is refused, and what a token
//! leaves open stays open as at the venue.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};
use vault_mock_venue::Venue;

use common::{
    API_KEY, Bench, Call, ED25519_HEAD, JSON, NOW_MS, P256_HEAD, SECRET, account, hmac_hex,
    public_pem,
};

const KEY: &str = "organizations/11111111-2222-3333-4444-555555555555/apiKeys/66666666-7777-8888-9999-000000000000";
const ED25519_KEY: &str = "d2efa49a-369c-43d7-a60e-ae26e28853c2";
const NOW_S: i64 = NOW_MS / 1000;
const ORDERS: &str = "/api/v3/brokerage/orders";
const ACCOUNTS: &str = "/api/v3/brokerage/accounts";
const ORDER: &str = r#"{"client_order_id":"abc","product_id":"BTC-USD","side":"BUY","order_configuration":{"limit_limit_gtc":{"base_size":"0.001","limit_price":"10000.00","post_only":false}}}"#;

enum Signer {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl Signer {
    fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("key pair");
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("key pair"))
    }

    fn p256() -> Self {
        let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("key pair");
        Self::P256(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).expect("key pair"))
    }

    fn pem(&self) -> String {
        match self {
            Self::Ed25519(pair) => public_pem(ED25519_HEAD, pair.public_key().as_ref()),
            Self::P256(pair) => public_pem(P256_HEAD, pair.public_key().as_ref()),
        }
    }

    fn header(&self) -> Value {
        let algorithm = match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
        };
        json!({ "alg": algorithm, "typ": "JWT", "kid": KEY, "nonce": "0123456789abcdef" })
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = match self {
            Self::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), signed.as_bytes());
                signature.expect("signature").as_ref().to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token_for(&self, uri: &str) -> String {
        self.token(&self.header(), &claims(uri))
    }
}

fn claims(uri: &str) -> Value {
    json!({ "sub": KEY, "iss": "cdp", "nbf": NOW_S, "exp": NOW_S + 120, "uri": uri })
}

fn with(mut value: Value, name: &str, new: Value) -> Value {
    value[name] = new;
    value
}

fn call(method: &str, target: &str, body: &str, token: &str) -> Call {
    Call::new(method, target, body)
        .header("Authorization", &format!("Bearer {token}"))
        .header("Content-Type", JSON)
}

/// Source: ccxt 4.5.90, Python, `coinbase.sign()`: coinbase-es256-rest-02, coinbase-ed25519-rest-04
/// and coinbase-legacy-hmac-rest-00.
#[test]
fn accepts_the_signatures_of_other_software() {
    let bench = Bench::start(vec![
        account(Venue::Coinbase, KEY, ES256_PEM),
        account(Venue::Coinbase, ED25519_KEY, ED25519_PEM),
        account(Venue::Coinbase, API_KEY, SECRET),
    ]);
    bench.set_clock(1_712_518_477_175);
    let history = format!(
        "{ORDERS}/historical/batch?product_ids=BTC-USD&product_ids=ETH-USD&order_status=OPEN"
    );
    let read = call("GET", &history, "", ES256_TOKEN);
    bench.accept(&read);
    bench.set_clock(1_712_691_275_449);
    bench.accept(&call("POST", ORDERS, ORDER, ED25519_TOKEN));
    assert_eq!(bench.refusal(&read), "unauthorized", "its 120 s are over");

    bench.set_clock(1_712_345_678_901);
    let legacy = Call::new("GET", ACCOUNTS, "")
        .header("CB-ACCESS-KEY", API_KEY)
        .header("CB-ACCESS-TIMESTAMP", "1712345678")
        .header("CB-ACCESS-SIGN", LEGACY_SIGN);
    bench.accept(&legacy);
    bench.accept(&Call { target: format!("{ACCOUNTS}?limit=1"), ..legacy.clone() });
    assert_eq!(bench.refusal(&Call { body: "{}".to_owned(), ..legacy.clone() }), "unauthorized");
    for (clock_ms, passes) in [(1_712_345_708_999, true), (1_712_345_709_000, false)] {
        bench.set_clock(clock_ms);
        if passes {
            bench.accept(&legacy);
        } else {
            assert_eq!(bench.refusal(&legacy), "unauthorized");
        }
    }
}

#[test]
fn a_token_is_for_one_method_and_path_for_two_minutes() {
    for signer in [Signer::ed25519(), Signer::p256()] {
        let bench = Bench::start(vec![account(Venue::Coinbase, KEY, &signer.pem())]);
        let token = signer.token_for("GET api.coinbase.com/api/v3/brokerage/accounts");
        let good = call("GET", ACCOUNTS, "", &token);
        bench.accept(&good);
        let path = "/api/v3/brokerage/key_permissions";
        assert_eq!(bench.refusal(&call("GET", path, "", &token)), "unauthorized");
        assert_eq!(bench.refusal(&call("POST", ACCOUNTS, "{}", &token)), "unauthorized");
        for (clock_s, passes) in [
            (NOW_S - 1, false),
            (NOW_S, true),
            (NOW_S + 119, true),
            (NOW_S + 120, false),
            (i64::MIN / 1000, false),
            (i64::MAX / 1000, false),
        ] {
            bench.set_clock(clock_s * 1000);
            if passes {
                bench.accept(&good);
            } else {
                assert_eq!(bench.refusal(&good), "unauthorized", "{clock_s}");
            }
        }
    }
}

#[test]
fn refuses_every_damage() {
    let signer = Signer::p256();
    let bench = Bench::start(vec![account(Venue::Coinbase, KEY, &signer.pem())]);
    let uri = "GET api.coinbase.com/api/v3/brokerage/accounts";
    let (header, good) = (signer.header(), claims(uri));
    let refused = |token: &str| {
        assert_eq!(bench.refusal(&call("GET", ACCOUNTS, "", token)), "unauthorized", "{token}");
    };

    let token = signer.token(&header, &good);
    let (signed, sign) = token.rsplit_once('.').expect("signature");
    let tag = URL_SAFE_NO_PAD.decode(sign).expect("base64url");
    for bit in 0..tag.len() * 8 {
        let mut damaged = tag.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        refused(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(damaged)));
    }
    refused(&format!("{signed}."));
    refused(signed);
    refused(&Signer::p256().token(&header, &good));
    refused(&Signer::ed25519().token(&header, &good));
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("EdDSA")),
        ("kid", json!("other")),
        ("nonce", Value::Null),
    ] {
        refused(&signer.token(&with(header.clone(), name, value), &good));
    }
    for (name, value) in [
        ("sub", json!("other")),
        ("iss", json!("somebody")),
        ("exp", json!(NOW_S + 121)),
        ("exp", Value::Null),
        ("nbf", json!(i64::MIN)),
        ("uri", Value::Null),
        ("uri", json!("GET other.host/api/v3/brokerage/accounts")),
        ("uri", json!(format!("{uri}?limit=1"))),
        ("uris", json!([uri])),
    ] {
        refused(&signer.token(&header, &with(good.clone(), name, value)));
    }
    // As for a WebSocket: no uri at all.
    let mut bare = good.clone();
    bare.as_object_mut().expect("object").remove("uri");
    refused(&signer.token(&header, &bare));
    let listed = with(bare, "uris", json!([uri]));
    bench.accept(&call("GET", ACCOUNTS, "", &signer.token(&header, &listed)));
    assert_eq!(bench.refusal(&Call::new("GET", ACCOUNTS, "")), "unauthorized");
}

#[test]
fn one_token_carries_any_number_of_orders() {
    let signer = Signer::p256();
    let bench = Bench::start(vec![account(Venue::Coinbase, KEY, &signer.pem())]);
    let token = signer.token_for("POST api.coinbase.com/api/v3/brokerage/orders");
    let send =
        |body: &str| bench.accept(&call("POST", ORDERS, body, &token))["success_response"].clone();
    let first = send(ORDER);
    assert_ne!(send(&ORDER.replace("0.001", "1000").replace("abc", "def")), first);
    // An id that is there already makes no second order.
    assert_eq!(send(&ORDER.replace("0.001", "5")), first);

    let token = signer.token_for("GET api.coinbase.com/api/v3/brokerage/orders/historical/batch");
    let open = |query: &str| {
        let target = format!("{ORDERS}/historical/batch{query}");
        bench.accept(&call("GET", &target, "", &token))["orders"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(open(""), 2);
    assert_eq!(open("?product_ids=ETH-USD&product_ids=X"), 0);
    assert_eq!(open("?product_ids=ETH-USD&product_ids=BTC-USD"), 2);
    let id = first["order_id"].as_str().expect("id");
    let token = signer.token_for("POST api.coinbase.com/api/v3/brokerage/orders/batch_cancel");
    let body = format!(r#"{{"order_ids":["{id}","none"]}}"#);
    let cancel = call("POST", &format!("{ORDERS}/batch_cancel"), &body, &token);
    let results = bench.accept(&cancel)["results"].clone();
    assert_eq!((&results[0]["success"], &results[1]["success"]), (&json!(true), &json!(false)));
    assert_eq!(open(""), 1);
}

#[test]
fn refuses_orders_that_are_not_exactly_known() {
    let bench = Bench::start(vec![account(Venue::Coinbase, API_KEY, SECRET)]);
    bench.accept(&legacy_order(ORDER));
    for (from, to) in [
        (r#""side":"BUY","#, ""),
        (r#""side":"BUY""#, r#""side":"buy""#),
        (r#""side":"BUY""#, r#""side":"BUY","more":"1""#),
        (r#""post_only":false"#, r#""more":"1""#),
        (r#""base_size":"0.001""#, r#""base_size":"0.001","quote_size":"1""#),
        (r#""base_size":"0.001","#, ""),
        ("limit_limit_gtc", "trigger_bracket_gtc"),
        (r#""limit_limit_gtc":"#, r#""market_market_ioc":{"base_size":"1"},"limit_limit_gtc":"#),
    ] {
        let body = ORDER.replace(from, to);
        assert_ne!(body, ORDER);
        assert_eq!(bench.refusal(&legacy_order(&body)), "INVALID_ARGUMENT", "{body}");
    }
    bench.venues.check_parameters(false);
    bench.accept(&legacy_order(&ORDER.replace(r#""BUY""#, r#""BUY","more":"1""#)));
}

fn legacy_order(body: &str) -> Call {
    let sign = hmac_hex(SECRET, &format!("{NOW_S}POST{ORDERS}{body}"));
    Call::new("POST", ORDERS, body)
        .header("CB-ACCESS-KEY", API_KEY)
        .header("CB-ACCESS-TIMESTAMP", &NOW_S.to_string())
        .header("CB-ACCESS-SIGN", &sign)
        .header("Content-Type", JSON)
}

const ES256_PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMXbJ9AnFoziMxMZgNhp0AT/g+vQX
pYoL+zo0RdSSntvPYt50qCL6DjWTCbabJd2vhWBeGOtztktvyXormmCBKw==
-----END PUBLIC KEY-----
";
const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAgYAFhM0DUErAxmzIYhxpG2JWhcsgMBfRwgTITNexuNI=
-----END PUBLIC KEY-----
";
const ES256_TOKEN: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im9yZ2FuaXphdGlvbnMvMTExMTExMTEtMjIyMi0zMzMzLTQ0NDQtNTU1NTU1NTU1NTU1L2FwaUtleXMvNjY2NjY2NjYtNzc3Ny04ODg4LTk5OTktMDAwMDAwMDAwMDAwIiwibm9uY2UiOiI5MmYyZTUxZmI0ZmNjNmQ2NmRiODBiNzk1YzNmOGYyYiJ9.eyJhdWQiOlsicmV0YWlsX3Jlc3RfYXBpX3Byb3h5Il0sImlzcyI6ImNvaW5iYXNlLWNsb3VkIiwibmJmIjoxNzEyNTE4NDc3LCJleHAiOjE3MTI1MTg1OTcsInN1YiI6Im9yZ2FuaXphdGlvbnMvMTExMTExMTEtMjIyMi0zMzMzLTQ0NDQtNTU1NTU1NTU1NTU1L2FwaUtleXMvNjY2NjY2NjYtNzc3Ny04ODg4LTk5OTktMDAwMDAwMDAwMDAwIiwiaWF0IjoxNzEyNTE4NDc3LCJ1cmkiOiJHRVQgYXBpLmNvaW5iYXNlLmNvbS9hcGkvdjMvYnJva2VyYWdlL29yZGVycy9oaXN0b3JpY2FsL2JhdGNoIn0.hquuSItaxtjvpxfcsSibiCu9xPcfN428zt_qt5mOpT0D4vUPyEYZC1tneYES2klD8bUbPxvcY94F5ozEQYyOCQ";
const ED25519_TOKEN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImQyZWZhNDlhLTM2OWMtNDNkNy1hNjBlLWFlMjZlMjg4NTNjMiIsIm5vbmNlIjoiMjVmOWI2MGViOThlMDUzNjc5OThjZjEwN2U2ODkzNzEifQ.eyJhdWQiOlsiY2RwX3NlcnZpY2UiXSwiaXNzIjoiY2RwIiwibmJmIjoxNzEyNjkxMjc1LCJleHAiOjE3MTI2OTEzOTUsInN1YiI6ImQyZWZhNDlhLTM2OWMtNDNkNy1hNjBlLWFlMjZlMjg4NTNjMiIsImlhdCI6MTcxMjY5MTI3NSwidXJpcyI6WyJQT1NUIGFwaS5jb2luYmFzZS5jb20vYXBpL3YzL2Jyb2tlcmFnZS9vcmRlcnMiXX0.MnpUbEONIqGJiEVQbW0d03IN6cNI2PFp1RpYo0olT9db27wrnGHT3b560x46evGqMvMca_tyVM-a9KQi1vgBAg";
const LEGACY_SIGN: &str = "1a4a8bb922f85e48cabb27ed248d043d629ec32d34491869df9782ed7bb91996";
