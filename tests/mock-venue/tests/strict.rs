//! The mock venues over real HTTP: known signatures pass, every kind of damage is refused.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use serde_json::{Value, json};
use vault_mock_venue::{Account, Clock, MockConfig, MockVenues, Venue};

const API_KEY: &str = "TESTKEYfb93c27e3d6cc7a2ccea61af";
const DEMO_KEY: &str = "demo-key";
const PASSPHRASE: &str = "TestPass-1";
const OKX_SECRET: &str = "5d95a2bcda7350714e4c2ba7dd08b8f72fb2914a67fc3fa1e4ce59d7f6abcd6e";
const KRAKEN_SECRET: &str =
    "b1BNzMDY5qnjMPCjIbDc0VfF1Hj2ZdI9ZcvxGO4gXoLdsmWWjp/fdue25JzFZejONqKsu+EQswOZTb1SvokO5Q==";
/// 2024-04-09T19:34:35.449Z.
const NOW_MS: i64 = 1_712_691_275_449;
const NOW: &str = "2024-04-09T19:34:35.449Z";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const ORDER: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","clOrdId":"b15","side":"buy","ordType":"limit","px":"2.15","sz":"2"}"#;

struct Bench {
    venues: MockVenues,
    clock_ms: Arc<AtomicI64>,
}

#[derive(Clone)]
struct Call {
    method: String,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Bench {
    fn start() -> Self {
        let account = |venue, key: &str, secret: &str, passphrase: Option<&str>, demo| Account {
            venue,
            api_key: key.to_owned(),
            secret: secret.to_owned(),
            passphrase: passphrase.map(str::to_owned),
            demo,
        };
        let accounts = vec![
            account(Venue::Okx, API_KEY, OKX_SECRET, Some(PASSPHRASE), false),
            account(Venue::Okx, DEMO_KEY, OKX_SECRET, Some(PASSPHRASE), true),
            account(Venue::Kraken, API_KEY, KRAKEN_SECRET, None, false),
        ];
        let clock_ms = Arc::new(AtomicI64::new(NOW_MS));
        let shared = Arc::clone(&clock_ms);
        let clock: Clock = Arc::new(move || shared.load(Ordering::SeqCst));
        let venues = MockVenues::start(MockConfig::new(accounts, clock)).expect("start");
        Self { venues, clock_ms }
    }

    fn send(&self, call: &Call) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.venues.address()).expect("connect");
        let mut text = format!(
            "{} {} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n",
            call.method, call.target
        );
        for (name, value) in &call.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n{}", call.body.len(), call.body);
        stream.write_all(text.as_bytes()).expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("status");
        (status, serde_json::from_str(body).expect("json"))
    }

    /// Sends a call that must be refused; returns status and the venue's code.
    fn refusal(&self, call: &Call) -> (u16, String) {
        let accepted = self.venues.accepted().len();
        let (status, answer) = self.send(call);
        assert_eq!(self.venues.accepted().len(), accepted, "accepted: {answer}");
        let code = self.venues.refused().pop().expect("a refusal on record").code;
        assert!(answer.to_string().contains(&code), "{code} not in {answer}");
        (status, code)
    }

    fn accept(&self, call: &Call) -> Value {
        let (accepted, refused) = (self.venues.accepted().len(), self.venues.refused().len());
        let (status, answer) = self.send(call);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(self.venues.accepted().len(), accepted + 1, "{answer}");
        assert_eq!(self.venues.refused().len(), refused, "{answer}");
        answer
    }
}

impl Call {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    fn value(&self, name: &str) -> &str {
        &self.headers.iter().find(|(known, _)| *known == name).expect("header").1
    }
}

fn okx(method: &str, target: &str, body: &str) -> Call {
    let key = hmac::Key::new(hmac::HMAC_SHA256, OKX_SECRET.as_bytes());
    let tag = hmac::sign(&key, format!("{NOW}{method}{target}{body}").as_bytes());
    okx_call(method, target, body, NOW, &STANDARD.encode(tag))
}

fn okx_call(method: &str, target: &str, body: &str, timestamp: &str, sign: &str) -> Call {
    let mut headers = vec![
        ("OK-ACCESS-KEY", API_KEY.to_owned()),
        ("OK-ACCESS-SIGN", sign.to_owned()),
        ("OK-ACCESS-TIMESTAMP", timestamp.to_owned()),
        ("OK-ACCESS-PASSPHRASE", PASSPHRASE.to_owned()),
    ];
    if !body.is_empty() {
        headers.push(("Content-Type", JSON.to_owned()));
    }
    Call { method: method.to_owned(), target: target.to_owned(), headers, body: body.to_owned() }
}

fn kraken(name: &str, nonce: u64, rest: &str) -> Call {
    kraken_signed(name, nonce, &format!("nonce={nonce}{rest}"), FORM)
}

fn kraken_signed(name: &str, nonce: u64, body: &str, content_type: &str) -> Call {
    let path = format!("/0/private/{name}");
    let hash = digest::digest(&digest::SHA256, format!("{nonce}{body}").as_bytes());
    let secret = STANDARD.decode(KRAKEN_SECRET).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA512, &secret);
    let tag = hmac::sign(&key, &[path.as_bytes(), hash.as_ref()].concat());
    kraken_call("POST", &path, body, content_type, &STANDARD.encode(tag))
}

fn kraken_call(method: &str, target: &str, body: &str, content_type: &str, sign: &str) -> Call {
    let headers = vec![
        ("API-Key", API_KEY.to_owned()),
        ("API-Sign", sign.to_owned()),
        ("Content-Type", content_type.to_owned()),
    ];
    Call { method: method.to_owned(), target: target.to_owned(), headers, body: body.to_owned() }
}

/// Every signature that differs from the given one in one bit.
fn bit_flips(sign: &str) -> impl Iterator<Item = String> {
    let tag = STANDARD.decode(sign).expect("base64");
    (0..tag.len() * 8).map(move |bit| {
        let mut damaged = tag.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        STANDARD.encode(damaged)
    })
}

#[test]
fn accepts_the_signatures_of_other_software() {
    // These carry values or order ids that the venues would not take; the refusal must
    // come from there and not from the checks of the signature, which come before.
    let refused_later = [
        ("okx-hmac-rest-12", "51000"),
        ("kraken-hmac-rest-03", "EOrder:Unknown order"),
        ("kraken-hmac-rest-05", "EGeneral:Invalid arguments:cl_ord_id"),
        ("kraken-hmac-rest-08", "EOrder:Unknown order"),
        ("kraken-hmac-rest-09", "EOrder:Unknown order"),
    ];
    let bench = Bench::start();
    for record in RECORDS {
        bench.clock_ms.store(record.clock_ms, Ordering::SeqCst);
        let (method, target) = record.request.split_once(' ').expect("method and target");
        let call = match record.venue {
            Venue::Okx => okx_call(method, target, record.body, record.timestamp, record.sign),
            _ => kraken_call(method, target, record.body, record.content_type, record.sign),
        };
        match refused_later.iter().find(|(id, _)| *id == record.id) {
            Some((id, code)) => assert_eq!(bench.refusal(&call).1, *code, "{id}"),
            None => {
                bench.accept(&call);
                let accepted = bench.venues.accepted().pop().expect("accepted");
                assert_eq!(accepted.venue, record.venue, "{}", record.id);
                assert_eq!(accepted.body, record.body, "{}", record.id);
                assert_eq!(accepted.at_ms, record.clock_ms, "{}", record.id);
                assert_eq!(accepted.api_key, API_KEY, "{}", record.id);
            }
        }
    }
}

#[test]
fn okx_refuses_every_damage() {
    let bench = Bench::start();
    let good = okx("POST", "/api/v5/trade/order", ORDER);
    for sign in bit_flips(good.value("OK-ACCESS-SIGN")) {
        let damaged = good.clone().header("OK-ACCESS-SIGN", &sign);
        assert_eq!(bench.refusal(&damaged), (401, "50113".to_owned()));
    }

    let code = |call: Call| bench.refusal(&call).1;
    let body = |body: &str| Call { body: body.to_owned(), ..good.clone() };
    let target = |target: &str| Call { target: target.to_owned(), ..good.clone() };
    assert_eq!(code(body(&ORDER.replace("2.15", "2.16"))), "50113");
    assert_eq!(code(body(&format!("{ORDER} "))), "50113");
    assert_eq!(code(target("/api/v5/trade/amend-order")), "50113");
    assert_eq!(code(target("/api/v5/trade/order?a=1")), "50113");
    assert_eq!(code(target("/api/v5/trade//order")), "50113");
    assert_eq!(code(Call { method: "PUT".to_owned(), ..good.clone() }), "50113");
    assert_eq!(code(good.clone().header("OK-ACCESS-KEY", "other")), "50111");
    assert_eq!(code(good.clone().header("OK-ACCESS-PASSPHRASE", "TestPass-2")), "50105");
    assert_eq!(code(good.clone().header("OK-ACCESS-PASSPHRASE", "TestPass-")), "50105");
    assert_eq!(code(good.clone().header("OK-ACCESS-SIGN", "garbage")), "50113");
    assert_eq!(code(good.clone().header("OK-ACCESS-TIMESTAMP", "1712691275449")), "50112");
    let millisecond_off = "2024-04-09T19:34:35.450Z";
    assert_eq!(code(good.clone().header("OK-ACCESS-TIMESTAMP", millisecond_off)), "50113");
    for (name, missing) in [
        ("OK-ACCESS-KEY", "50103"),
        ("OK-ACCESS-PASSPHRASE", "50104"),
        ("OK-ACCESS-SIGN", "50106"),
        ("OK-ACCESS-TIMESTAMP", "50107"),
    ] {
        assert_eq!(code(good.clone().without(name)), missing);
    }
    let mut doubled = good.clone();
    doubled.headers.push(("OK-ACCESS-KEY", API_KEY.to_owned()));
    assert_eq!(code(doubled), "50111");
    assert_eq!(code(good.clone().without("Content-Type")), "50006");
    assert_eq!(code(good.clone().header("Content-Type", FORM)), "50006");
    bench.accept(&good);
}

#[test]
fn okx_holds_to_the_window_of_thirty_seconds() {
    let bench = Bench::start();
    let call = okx("GET", "/api/v5/account/balance", "");
    for (clock_ms, passes) in [
        (NOW_MS - 30_001, false),
        (NOW_MS - 30_000, true),
        (NOW_MS + 30_000, true),
        (NOW_MS + 30_001, false),
        (i64::MIN, false),
        (i64::MAX, false),
    ] {
        bench.clock_ms.store(clock_ms, Ordering::SeqCst);
        if passes {
            bench.accept(&call);
        } else {
            assert_eq!(bench.refusal(&call), (401, "50102".to_owned()));
        }
    }
}

#[test]
fn okx_keeps_demo_and_live_keys_apart() {
    let bench = Bench::start();
    let live = okx("GET", "/api/v5/account/balance", "");
    let demo = live.clone().header("OK-ACCESS-KEY", DEMO_KEY);
    let simulated = |call: &Call, value: &str| call.clone().header("x-simulated-trading", value);
    bench.accept(&live);
    bench.accept(&simulated(&demo, "1"));
    let apart = [simulated(&live, "1"), simulated(&live, "0"), demo.clone(), simulated(&demo, "0")];
    for call in apart {
        assert_eq!(bench.refusal(&call), (401, "50101".to_owned()));
    }
}

#[test]
fn okx_refuses_orders_that_are_not_exactly_known() {
    let bench = Bench::start();
    let refused = |path: &str, body: &str, code: &str| {
        let call = okx("POST", &format!("/api/v5/{path}"), body);
        assert_eq!(bench.refusal(&call).1, code, "{path} {body}");
    };
    let unknown = ORDER.replace("{", r#"{"more":"1","#);
    refused("trade/order", &unknown, "51000");
    refused("trade/batch-orders", &format!("[{ORDER},{unknown}]"), "51000");
    refused("trade/cancel-order", r#"{"instId":"BTC-USDT","ordId":"1","all":"1"}"#, "51000");
    refused("trade/amend-order", r#"{"instId":"BTC-USDT","ordId":"1","sz":"1"}"#, "51000");
    let withdrawal = r#"{"amt":"1","ccy":"BTC","dest":"4","toAddr":"x","more":"1"}"#;
    refused("asset/withdrawal", withdrawal, "51000");
    refused("trade/order", &ORDER.replace(r#""sz":"2""#, r#""sz":2"#), "51000");
    refused("trade/order", &ORDER.replace(r#""sz":"2""#, r#""sz":"1e9""#), "51000");
    refused("trade/order", &ORDER.replace(r#""px":"2.15","#, ""), "51000");
    refused("trade/order", &ORDER.replace(r#","sz":"2""#, ""), "50014");
    refused("trade/order", &ORDER.replace("{", r#"{"sz":"1","#), "50002");
    refused("trade/order", &format!("[{ORDER}]"), "50002");
    refused("trade/batch-orders", ORDER, "50002");
    refused("trade/batch-orders", "[]", "51000");
    refused("trade/fills", "{}", "404");
    refused("account/balance", "{}", "50115");
    let query = okx("GET", "/api/v5/trade/orders-pending?more=1", "");
    assert_eq!(bench.refusal(&query), (400, "51000".to_owned()));
}

#[test]
fn okx_keeps_a_small_order_book() {
    let bench = Bench::start();
    let post = |path: &str, body: &str| okx("POST", &format!("/api/v5/trade/{path}"), body);
    let pending = || bench.accept(&okx("GET", "/api/v5/trade/orders-pending", ""))["data"].clone();

    let placed = bench.accept(&post("order", ORDER));
    let id = placed["data"][0]["ordId"].as_str().expect("id").to_owned();
    assert_eq!(bench.refusal(&post("order", ORDER)), (200, "51016".to_owned()));
    assert_eq!(pending()[0]["ordId"], json!(id));

    let amend = format!(r#"{{"instId":"BTC-USDT","ordId":"{id}","newPx":"2.2"}}"#);
    bench.accept(&post("amend-order", &amend));
    assert_eq!(pending()[0]["px"], json!("2.2"));

    let foreign = format!(r#"{{"instId":"ETH-USDT","ordId":"{id}"}}"#);
    assert_eq!(bench.refusal(&post("cancel-order", &foreign)), (200, "51400".to_owned()));
    let cancel = r#"{"instId":"BTC-USDT","clOrdId":"b15"}"#;
    bench.accept(&post("cancel-order", cancel));
    assert_eq!(bench.refusal(&post("cancel-order", cancel)), (200, "51400".to_owned()));
    assert_eq!(pending(), json!([]));

    // Of a batch with a repeated id one order stands, and the answer says so.
    let (_, answer) = bench.send(&post("batch-orders", &format!("[{ORDER},{ORDER}]")));
    assert_eq!(answer["code"], json!("2"));
    assert_eq!(answer["data"][1]["sCode"], json!("51016"));
    assert_eq!(pending().as_array().map(Vec::len), Some(1));
}

#[test]
fn kraken_refuses_every_damage() {
    let bench = Bench::start();
    let good = kraken("AddOrder", 7, "&pair=XBTUSD&type=buy&ordertype=limit&price=1&volume=2");
    for sign in bit_flips(good.value("API-Sign")) {
        let damaged = good.clone().header("API-Sign", &sign);
        assert_eq!(bench.refusal(&damaged), (200, "EAPI:Invalid signature".to_owned()));
    }

    let code = |call: Call| bench.refusal(&call).1;
    let body = |body: String| Call { body, ..good.clone() };
    let target = |target: &str| Call { target: target.to_owned(), ..good.clone() };
    assert_eq!(code(body(good.body.replace("volume=2", "volume=3"))), "EAPI:Invalid signature");
    assert_eq!(code(body(good.body.replace("nonce=7", "nonce=8"))), "EAPI:Invalid signature");
    assert_eq!(code(body(good.body.replace("nonce=7", "nonce=x"))), "EAPI:Invalid nonce");
    assert_eq!(code(body(good.body.replace("nonce=7&", ""))), "EAPI:Invalid nonce");
    assert_eq!(code(body(format!("{}&nonce=8", good.body))), "EGeneral:Invalid arguments");
    assert_eq!(code(target("/0/private/AddOrderBatch")), "EAPI:Invalid signature");
    assert_eq!(code(Call { method: "GET".to_owned(), ..good.clone() }), "EAPI:Bad request");
    assert_eq!(code(Call { method: "PUT".to_owned(), ..good.clone() }), "EAPI:Bad request");
    assert_eq!(code(good.clone().header("API-Key", "other")), "EAPI:Invalid key");
    assert_eq!(code(good.clone().without("API-Key")), "EAPI:Invalid key");
    assert_eq!(code(good.clone().without("API-Sign")), "EAPI:Invalid signature");
    assert_eq!(code(good.clone().header("Content-Type", JSON)), "EGeneral:Invalid arguments");
    // Nothing of the above had a good signature, so nothing moved the nonce.
    bench.accept(&good);
}

#[test]
fn kraken_takes_each_nonce_once_and_upwards_only() {
    let bench = Bench::start();
    bench.accept(&kraken("Balance", 10, ""));
    for nonce in [10, 9, 0] {
        let call = kraken("Balance", nonce, "");
        assert_eq!(bench.refusal(&call), (200, "EAPI:Invalid nonce".to_owned()));
    }
    bench.accept(&kraken("Balance", 11, ""));
    // A signed request uses its nonce up even when its parameters are refused.
    assert_eq!(bench.refusal(&kraken("Balance", 12, "&more=1")).1, "EGeneral:Invalid arguments");
    assert_eq!(bench.refusal(&kraken("Balance", 12, "")).1, "EAPI:Invalid nonce");
    bench.accept(&kraken("Balance", u64::MAX, ""));
    let beyond = kraken("Balance", 1, "").header("API-Sign", "AAAA");
    let beyond = Call { body: "nonce=18446744073709551616".to_owned(), ..beyond };
    assert_eq!(bench.refusal(&beyond).1, "EAPI:Invalid nonce");
}

#[test]
fn kraken_refuses_parameters_that_are_not_exactly_known() {
    let bench = Bench::start();
    let order = "&pair=XBTUSD&type=buy&ordertype=limit&price=1&volume=2";
    for (nonce, (name, rest, word)) in (1..).zip([
        ("AddOrder", format!("{order}&more=1"), "EGeneral:Invalid arguments"),
        ("AddOrder", order.replace("=buy", "=give"), "EGeneral:Invalid arguments:type"),
        ("AddOrder", order.replace("volume=2", "volume=-2"), "EGeneral:Invalid arguments:volume"),
        ("AddOrder", order.replace("&price=1", ""), "EGeneral:Invalid arguments:price"),
        ("CancelOrder", String::new(), "EGeneral:Invalid arguments:txid"),
        ("CancelOrder", "&txid=ONE-TWO".to_owned(), "EOrder:Unknown order"),
        ("Withdraw", "&asset=XBT&key=k".to_owned(), "EGeneral:Invalid arguments:amount"),
        ("Ledgers", String::new(), "EGeneral:Unknown method"),
    ]) {
        let call = kraken(name, nonce, &rest);
        assert_eq!(bench.refusal(&call).1, word, "{name} {rest}");
    }
    // The query is outside the signature: Kraken's path alone is signed.
    let mut call = kraken("Balance", 100, "");
    call.target += "?a=1";
    assert_eq!(bench.refusal(&call).1, "EGeneral:Invalid arguments");
}

#[test]
fn kraken_keeps_a_small_order_book() {
    let bench = Bench::start();
    let order = "&pair=XBTUSD&type=buy&ordertype=limit&price=1&volume=2&cl_ord_id=a-1";
    let dry = bench.accept(&kraken("AddOrder", 1, &format!("{order}&validate=true")));
    assert_eq!(dry["result"]["txid"], Value::Null);
    let placed = bench.accept(&kraken("AddOrder", 2, order));
    let txid = placed["result"]["txid"][0].as_str().expect("txid").to_owned();
    let listed = bench.accept(&kraken("OpenOrders", 3, ""));
    assert!(listed["result"]["open"][&txid].is_object(), "{listed}");
    assert_eq!(bench.refusal(&kraken("AddOrder", 4, order)).0, 200);
    bench.accept(&kraken("CancelOrder", 5, &format!("&txid={txid}")));
    let again = kraken("CancelOrder", 6, &format!("&txid={txid}"));
    assert_eq!(bench.refusal(&again).1, "EOrder:Unknown order");

    let item = r#"{"ordertype":"limit","price":"1","type":"buy","volume":"1"}"#;
    let batch = |nonce: u64, second: &str| {
        let body = format!(r#"{{"nonce":{nonce},"pair":"XBTUSD","orders":[{item},{second}]}}"#);
        kraken_signed("AddOrderBatch", nonce, &body, JSON)
    };
    bench.accept(&batch(7, item));
    let hidden = item.replace("{", r#"{"pair":"ETHUSD","#);
    assert_eq!(bench.refusal(&batch(8, &hidden)).1, "EGeneral:Invalid arguments:pair");
    let all = bench.accept(&kraken("CancelAll", 9, ""));
    assert_eq!(all["result"]["count"], json!(2));
    bench.accept(&kraken("Withdraw", 10, "&asset=XBT&key=k&amount=1"));
    bench.accept(&kraken("GetWebSocketsToken", 11, ""));
}

#[test]
fn knows_no_other_paths_and_records_nothing_for_them() {
    let bench = Bench::start();
    let (status, _) = bench.send(&okx("GET", "/api/v4/account/balance", ""));
    assert_eq!(status, 404);
    assert!(bench.venues.accepted().is_empty() && bench.venues.refused().is_empty());
}

#[test]
fn listens_on_loopback_only_and_stops_when_dropped() {
    let clock: Clock = Arc::new(|| NOW_MS);
    let config = MockConfig::new(Vec::new(), Arc::clone(&clock));
    assert!(MockVenues::start_at(config, ([0, 0, 0, 0], 0).into()).is_err());

    let bench = Bench::start();
    let address = bench.venues.address();
    // An idle connection does not hold the server up.
    let _idle = TcpStream::connect(address).expect("connect");
    drop(bench);
    assert!(TcpStream::connect(address).is_err());
    let config = MockConfig::new(Vec::new(), clock);
    assert_eq!(MockVenues::start_at(config, address).expect("same port").address(), address);
}

/// A signed request made by ccxt 4.5.90.
struct Record {
    id: &'static str,
    venue: Venue,
    clock_ms: i64,
    timestamp: &'static str,
    request: &'static str,
    content_type: &'static str,
    body: &'static str,
    sign: &'static str,
}

/// Source: ccxt 4.5.90, Python, `okx.sign()` and `kraken.sign()`; the same records as in
/// `tests/vectors/venue/`.
const RECORDS: &[Record] = &[
    Record {
        id: "okx-hmac-rest-01",
        venue: Venue::Okx,
        clock_ms: 1_712_432_078_038,
        timestamp: "2024-04-06T19:34:38.038Z",
        request: "GET /api/v5/account/balance",
        content_type: "",
        body: "",
        sign: "XFgXJmM0Y1v2oPFfjKqSbg7aDsED3mzTzkhb3xREhdE=",
    },
    Record {
        id: "okx-hmac-rest-02",
        venue: Venue::Okx,
        clock_ms: 1_712_518_477_175,
        timestamp: "2024-04-07T19:34:37.175Z",
        request: "GET /api/v5/account/positions?instType=SWAP&instId=BTC-USDT-SWAP%2CETH-USDT-SWAP",
        content_type: "",
        body: "",
        sign: "5Iz+zfDR4QdeWN5G1BoCx99KHxBriSe8Q4vRKJ1eRIo=",
    },
    Record {
        id: "okx-hmac-rest-03",
        venue: Venue::Okx,
        clock_ms: 1_712_604_876_312,
        timestamp: "2024-04-08T19:34:36.312Z",
        request: "GET /api/v5/trade/orders-pending?instType=SPOT&after=1&limit=100",
        content_type: "",
        body: "",
        sign: "ezEi9WZpcQNiqMHF2Kz2ZAeuAeHsc/CU1DBRevLwWaY=",
    },
    Record {
        id: "okx-hmac-rest-04",
        venue: Venue::Okx,
        clock_ms: 1_712_691_275_449,
        timestamp: "2024-04-09T19:34:35.449Z",
        request: "POST /api/v5/trade/order",
        content_type: "application/json",
        body: r#"{"instId":"BTC-USDT","tdMode":"cash","clOrdId":"b15","side":"buy","ordType":"limit","px":"2.15","sz":"2"}"#,
        sign: "BgrDayFYwIPL7wsBhYNrQAZWCXojq62CzfFgyo9NjJQ=",
    },
    Record {
        id: "okx-hmac-rest-06",
        venue: Venue::Okx,
        clock_ms: 1_712_864_073_723,
        timestamp: "2024-04-11T19:34:33.723Z",
        request: "POST /api/v5/trade/batch-orders",
        content_type: "application/json",
        body: r#"[{"instId":"BTC-USDT","tdMode":"cash","clOrdId":"b1","side":"buy","ordType":"limit","px":"2.15","sz":"2"},{"instId":"ETH-USDT","tdMode":"cash","clOrdId":"b2","side":"buy","ordType":"limit","px":"2","sz":"1"}]"#,
        sign: "u0CpgxLcYnwrSHecn9o7zIoqTZuK9JiSLj1affP/kT4=",
    },
    Record {
        id: "okx-hmac-rest-10",
        venue: Venue::Okx,
        clock_ms: 1_713_209_669_271,
        timestamp: "2024-04-15T19:34:29.271Z",
        request: "POST /api/v5/trade/close-position",
        content_type: "application/json",
        body: r#"{"instId":"BTC-USDT-SWAP","mgnMode":"cross"}"#,
        sign: "nXPJVhnhtWGtydPfD62hXjnFmuuLpmjRblhXMLU9cbE=",
    },
    Record {
        id: "okx-hmac-rest-11",
        venue: Venue::Okx,
        clock_ms: 1_713_296_068_408,
        timestamp: "2024-04-16T19:34:28.408Z",
        request: "POST /api/v5/account/set-leverage",
        content_type: "application/json",
        body: r#"{"instId":"BTC-USDT-SWAP","lever":"5","mgnMode":"cross"}"#,
        sign: "5w6J2WwfJMzTtZ+xMpFdHVvL0T1wbA3Ixn2bV8QDnk4=",
    },
    Record {
        id: "okx-hmac-rest-12",
        venue: Venue::Okx,
        clock_ms: 1_713_382_467_545,
        timestamp: "2024-04-17T19:34:27.545Z",
        request: "POST /api/v5/asset/withdrawal",
        content_type: "application/json",
        body: r#"{"amt":"1","dest":"4","ccy":"BTC","chain":"BTC-Bitcoin","toAddr":"17DKe3kkkkiiiiTvAKKi2vMPbm1Bz3CMKw","clientId":"naïve 测试 a+b&c=d/e%41~-_.!*()'\""}"#,
        sign: "RjA1ywujY5tbnaUdvztMgc/o5uuxmogLjxuZjb1Qhrk=",
    },
    Record {
        id: "okx-hmac-rest-13",
        venue: Venue::Okx,
        clock_ms: 1_713_468_866_682,
        timestamp: "2024-04-18T19:34:26.682Z",
        request: "POST /api/v5/asset/transfer",
        content_type: "application/json",
        body: r#"{"ccy":"USDT","amt":"1.5","from":"6","to":"18"}"#,
        sign: "PyBxK8nIronDFTnGZtEkGdM8yvkZJ5bdIn6rZw11UpE=",
    },
    Record {
        id: "okx-hmac-rest-15",
        venue: Venue::Okx,
        clock_ms: 1_713_641_663_956,
        timestamp: "2024-04-20T19:34:23.956Z",
        request: "POST /api/v5/trade/cancel-all-after",
        content_type: "application/json",
        body: r#"{"timeOut":"60"}"#,
        sign: "qTaP7fXyqOn1/QuNdogDYmirP68UMYV7v6c+cjQ0bD8=",
    },
    Record {
        id: "kraken-hmac-rest-01",
        venue: Venue::Kraken,
        clock_ms: 1_712_432_078_038,
        timestamp: "",
        request: "POST /0/private/OpenOrders",
        content_type: "application/x-www-form-urlencoded",
        body: "nonce=1712432078038&trades=True",
        sign: "qQgyEw4NxiE4v/XG2ZcSazXuEi9KfEj7aEqoFEBJIDRr5T+UqqyYyJRNS40L4UopZNEYPSwVF+0oifQu09PKeA==",
    },
    Record {
        id: "kraken-hmac-rest-03",
        venue: Venue::Kraken,
        clock_ms: 1_712_604_876_312,
        timestamp: "",
        request: "POST /0/private/QueryOrders",
        content_type: "application/x-www-form-urlencoded",
        body: "nonce=1712604876312&txid=OBCMZD-JIEE7-77TH3F%2COMMDB2-FSB6Z-7W3HPO",
        sign: "HHrgbv/YX/qUXtluvtpJ8vyR77psIXKsh4U4Tt7h+OcW6/qwXQdv8EyWcCul4eOwgVL44ASp+0HRBaKS7AqhSQ==",
    },
    Record {
        id: "kraken-hmac-rest-05",
        venue: Venue::Kraken,
        clock_ms: 1_712_777_674_586,
        timestamp: "",
        request: "POST /0/private/AddOrder",
        content_type: "application/x-www-form-urlencoded",
        body: "nonce=1712777674586&pair=XBT%2FUSD&type=sell&ordertype=market&volume=0.1&oflags=fciq%2Cviqc&cl_ord_id=na%C3%AFve%20%E6%B5%8B%E8%AF%95%20a%2Bb%26c%3Dd%2Fe%2541~-_.%21%2A%28%29%27%22",
        sign: "AnsKNkHHWiZEld/oO4qQOllRREn1suxqgvkRK8m2z7ybvRTYlF/gi35ttUTdEEMQ1TG8AuxTcBebL6ySlAvKJA==",
    },
    Record {
        id: "kraken-hmac-rest-07",
        venue: Venue::Kraken,
        clock_ms: 1_712_950_472_860,
        timestamp: "",
        request: "POST /0/private/AddOrderBatch",
        content_type: "application/json",
        body: r#"{"nonce":"1712950472860","pair":"BTC/USD","orders":[{"ordertype":"limit","price":"1","type":"buy","volume":"1"},{"ordertype":"limit","price":"2","type":"sell","volume":"2"}]}"#,
        sign: "flHTtXIOkcFhvOin0z7u3X0cIesnHBVIAeZ+/Yz1xR1+M/GpY1hVc+a02Rt2C+gV1Qddw3ilCdGtN2OZ0AuZhw==",
    },
    Record {
        id: "kraken-hmac-rest-08",
        venue: Venue::Kraken,
        clock_ms: 1_713_036_870_997,
        timestamp: "",
        request: "POST /0/private/EditOrder",
        content_type: "application/x-www-form-urlencoded",
        body: "nonce=1713036870997&txid=O1&pair=XBTUSD&volume=2&price=1",
        sign: "QipHWO4vOwntzZFSY8eMMy/bQUCGHp6GoCb3+z/ub5ri/lUFA+/8UD7ONmAiNiqz9Fd448rYDAUp6fkS6dIXWQ==",
    },
    Record {
        id: "kraken-hmac-rest-09",
        venue: Venue::Kraken,
        clock_ms: 1_713_123_270_134,
        timestamp: "",
        request: "POST /0/private/CancelOrder",
        content_type: "application/x-www-form-urlencoded",
        body: "nonce=1713123270134&txid=OYVGEW-VYV5B-UUEXSK",
        sign: "fQIHN6+wPenBRo41kKRERpXEkSo4qY0SR0/wZtxvNeJh5xlaXjBK6feAlwrQ7qo9X6BuwuehC8w0N86uNf4WHQ==",
    },
    Record {
        id: "kraken-hmac-rest-11",
        venue: Venue::Kraken,
        clock_ms: 1_713_296_068_408,
        timestamp: "",
        request: "POST /0/private/CancelAll",
        content_type: "application/x-www-form-urlencoded",
        body: "nonce=1713296068408",
        sign: "v/Hu21fvkgGCAP9X9fzAsM4QAFAM5Z2j11EdrvApfAjm9KsFwIedoR5tzo23wEW2IiPYMxv0cf7FCl+dr7X2rg==",
    },
    Record {
        id: "kraken-hmac-rest-13",
        venue: Venue::Kraken,
        clock_ms: 1_713_468_866_682,
        timestamp: "",
        request: "POST /0/private/WalletTransfer",
        content_type: "application/x-www-form-urlencoded",
        body: "nonce=1713468866682&asset=XBT&from=Spot%20Wallet&to=Futures%20Wallet&amount=1",
        sign: "lGUUf9GaE6qlARc2mfWjX8ICaC2noCaPmHUVRypn/2iBCPS9Yc6Xr4QDNwUkuR7rNTcgTYPdN4GUKuDhL+0ZDA==",
    },
    Record {
        id: "kraken-hmac-rest-14",
        venue: Venue::Kraken,
        clock_ms: 1_713_555_265_819,
        timestamp: "",
        request: "POST /0/private/GetWebSocketsToken",
        content_type: "application/x-www-form-urlencoded",
        body: "nonce=1713555265819",
        sign: "Ih3HWihODYnVfz6F95fJehKT9CM+8rAINjbGzWaP4s2rnNTAzycy42QKmJOqbgfEo8XvVwIdB2vvTT7ce+NxcQ==",
    },
];
