//! Binance over real HTTP: known signatures pass, damage is refused, and what the signature leaves
//! open stays open as at the venue.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use vault_mock_venue::Venue;

use common::{
    Bench, Call, ED25519_HEAD, FORM, NOW_MS, RSA_PEM, SECRET, account, hmac_hex, public_pem,
};

const HMAC_KEY: &str = "key-of-a-shared-secret";
const RSA_KEY: &str = "key-of-a-pair";
const ED25519_KEY: &str = "key-of-an-edwards-pair";
/// The key pair of the vectors `binance-ed25519-*`.
const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAi2tEZlgyv3G6BTunniRao8b6Eb8tneD/de7fN2e0R8k=
-----END PUBLIC KEY-----
";
const LIMIT: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000";

fn bench() -> Bench {
    Bench::start(vec![
        account(Venue::Binance, HMAC_KEY, SECRET),
        account(Venue::Binance, RSA_KEY, RSA_PEM),
        account(Venue::Binance, ED25519_KEY, ED25519_PEM),
    ])
}

/// Signed by the shared secret, all in the query.
fn query(method: &str, path: &str, parameters: &str) -> Call {
    let separator = if parameters.is_empty() { "" } else { "&" };
    let text = format!("{parameters}{separator}timestamp={NOW_MS}");
    let sign = hmac_hex(SECRET, &text);
    Call::new(method, &format!("{path}?{text}&signature={sign}"), "")
        .header("X-MBX-APIKEY", HMAC_KEY)
}

/// Signed by the shared secret, part in the query and part in the body.
fn split(method: &str, path: &str, in_query: &str, in_body: &str) -> Call {
    let sign = hmac_hex(SECRET, &format!("{in_query}{in_body}"));
    let target = if in_query.is_empty() { path.to_owned() } else { format!("{path}?{in_query}") };
    Call::new(method, &target, &format!("{in_body}&signature={sign}"))
        .header("X-MBX-APIKEY", HMAC_KEY)
        .header("Content-Type", FORM)
}

fn retarget(call: &Call, method: &str, path: &str) -> Call {
    let rest = call.target.split_once('?').map(|(_, rest)| format!("?{rest}")).unwrap_or_default();
    Call { method: method.to_owned(), target: format!("{path}{rest}"), ..call.clone() }
}

#[test]
fn accepts_the_signatures_of_other_software() {
    let bench = bench();
    for record in RECORDS {
        bench.set_clock(record.clock_ms);
        let (method, target) = record.request.split_once(' ').expect("method and target");
        let api_key = match record.id.split('-').nth(1) {
            Some("rsa") => RSA_KEY,
            Some("ed25519") => ED25519_KEY,
            _ => HMAC_KEY,
        };
        let call = Call::new(method, target, record.body)
            .header("X-MBX-APIKEY", api_key)
            .header("Content-Type", FORM);
        if record.id == "binance-hmac-rest-07" {
            // Its client order id is not one; that is judged after the signature.
            assert_eq!(bench.refusal(&call), "-1100");
            continue;
        }
        bench.accept(&call);
        let accepted = bench.venues.accepted().pop().expect("accepted");
        assert_eq!((accepted.venue, accepted.api_key.as_str()), (Venue::Binance, api_key));

        // Of another key, a character later, and with one character of the text changed.
        let other = if api_key == HMAC_KEY { RSA_KEY } else { HMAC_KEY };
        assert_eq!(bench.refusal(&call.clone().header("X-MBX-APIKEY", other)), "-1022");
        let damage = |text: &str| text.replacen("recvWindow=10000", "recvWindow=10001", 1);
        let damaged =
            Call { target: damage(&call.target), body: damage(&call.body), ..call.clone() };
        assert_eq!(bench.refusal(&damaged), "-1022", "{}", record.id);
    }
}

#[test]
fn refuses_every_damaged_signature() {
    let bench = bench();
    let good = query("GET", "/api/v3/account", "");
    let (head, sign) = good.target.split_once("signature=").expect("signature");
    let tag = hex::decode(sign).expect("hex");
    for bit in 0..tag.len() * 8 {
        let mut damaged = tag.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let target = format!("{head}signature={}", hex::encode(damaged));
        assert_eq!(bench.refusal(&Call { target, ..good.clone() }), "-1022");
    }
    for sign in ["", "00", &sign[2..], &format!("{sign}00")] {
        let target = format!("{head}signature={sign}");
        assert_eq!(bench.refusal(&Call { target, ..good.clone() }), "-1022");
    }
    // Hex of either case is taken.
    bench.accept(&Call {
        target: format!("{head}signature={}", sign.to_ascii_uppercase()),
        ..good.clone()
    });
    assert_eq!(bench.refusal(&good.clone().without("X-MBX-APIKEY")), "-2014");
    assert_eq!(bench.refusal(&good.clone().header("X-MBX-APIKEY", "other")), "-2015");
    let bare = head.trim_end_matches('&').to_owned();
    assert_eq!(bench.refusal(&Call { target: bare, ..good.clone() }), "-1102");
}

#[test]
fn an_edwards_signature_is_for_its_text_alone() {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("key pair");
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("key pair");
    let pem = public_pem(ED25519_HEAD, pair.public_key().as_ref());
    let bench = Bench::start(vec![account(Venue::Binance, ED25519_KEY, &pem)]);
    let text = format!("{LIMIT}&timestamp={NOW_MS}");
    let sign = STANDARD.encode(pair.sign(text.as_bytes()));
    let escaped = sign.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let call = |text: &str, sign: &str| {
        Call::new("POST", "/api/v3/order", &format!("{text}&signature={sign}"))
            .header("X-MBX-APIKEY", ED25519_KEY)
            .header("Content-Type", FORM)
    };
    bench.accept(&call(&text, &escaped));
    assert_eq!(bench.refusal(&call(&text.replace("60000", "60001"), &escaped)), "-1022");
    let hexed = hmac_hex(SECRET, &text);
    assert_eq!(bench.refusal(&call(&text, &hexed)), "-1022");
}

#[test]
fn a_moved_parameter_breaks_the_signature_and_a_moved_boundary_does_not() {
    let bench = bench();
    let time = format!("timestamp={NOW_MS}");
    bench.accept(&split("POST", "/api/v3/order", "", &format!("{LIMIT}&{time}")));
    bench.accept(&split("POST", "/api/v3/order", LIMIT, &time));

    let good = query("POST", "/api/v3/order", LIMIT);
    let moved = good.target.replace("symbol=BTCUSDT&side=BUY", "side=BUY&symbol=BTCUSDT");
    assert_eq!(bench.refusal(&Call { target: moved, ..good.clone() }), "-1022");
    // Query and body are one text without a boundary: bytes may change their place.
    let (path, rest) = good.target.split_once('?').expect("query");
    let body = good.clone().header("Content-Type", FORM);
    bench.accept(&Call { target: path.to_owned(), body: rest.to_owned(), ..body.clone() });
    let at = rest.find("&side").expect("side");
    let cut = Call {
        target: format!("{path}?{}", &rest[..at]),
        body: rest[at + 1..].to_owned(),
        ..body.clone()
    };
    assert_eq!(bench.refusal(&cut), "-1022", "the mark between them is gone");
}

#[test]
fn refuses_what_can_mean_two_things() {
    let bench = bench();
    let time = format!("timestamp={NOW_MS}");
    let code = |call: Call| bench.refusal(&call);
    assert_eq!(code(split("POST", "/api/v3/order", LIMIT, &format!("price=1&{time}"))), "-1101");
    assert_eq!(code(query("POST", "/api/v3/order", &format!("{LIMIT}&price=1"))), "-1101");
    assert_eq!(code(query("POST", "/api/v3/order", &format!("{LIMIT}&x=%zz"))), "-1100");
    assert_eq!(code(query("POST", "/api/v3/order", &LIMIT.replace("60000", ""))), "-1105");
    let form = split("POST", "/api/v3/order", "", &format!("{LIMIT}&{time}"));
    assert_eq!(code(form.clone().without("Content-Type")), "-1102");
    assert_eq!(code(Call { method: "GET".to_owned(), ..form.clone() }), "-1102");
    let twice = Call { target: "/api/v3/order?signature=00".to_owned(), ..form };
    assert_eq!(code(twice), "-1101");
}

#[test]
fn holds_to_the_window() {
    let bench = bench();
    let at = |window: &str| {
        let text = format!("timestamp={NOW_MS}{window}");
        let sign = hmac_hex(SECRET, &text);
        Call::new("GET", &format!("/api/v3/account?{text}&signature={sign}"), "")
            .header("X-MBX-APIKEY", HMAC_KEY)
    };
    for (window, clock_ms, passes) in [
        ("", NOW_MS + 5_000, true),
        ("", NOW_MS + 5_001, false),
        ("", NOW_MS - 999, true),
        ("", NOW_MS - 1_000, false),
        ("&recvWindow=1000", NOW_MS + 1_001, false),
        ("&recvWindow=1000.5", NOW_MS + 1_000, true),
        ("&recvWindow=60000", NOW_MS + 60_000, true),
        ("&recvWindow=60000", NOW_MS + 60_001, false),
        ("", i64::MIN, false),
        ("", i64::MAX, false),
    ] {
        bench.set_clock(clock_ms);
        if passes {
            bench.accept(&at(window));
        } else {
            assert_eq!(bench.refusal(&at(window)), "-1021", "{window} {clock_ms}");
        }
    }
    bench.set_clock(NOW_MS);
    assert_eq!(bench.refusal(&at("&recvWindow=60000.001")), "-1131");
    assert_eq!(bench.refusal(&at("&recvWindow=x")), "-1131");
}

#[test]
fn one_signature_opens_every_method_and_path_that_takes_the_text() {
    let bench = bench();
    bench.accept(&query("POST", "/api/v3/order", LIMIT));
    // A read of open orders ...
    let read = query("GET", "/api/v3/openOrders", "symbol=BTCUSDT");
    assert_eq!(bench.accept(&read)[0]["status"], json!("NEW"));
    // ... cancels them all.
    let gone = bench.accept(&retarget(&read, "DELETE", "/api/v3/openOrders"));
    assert_eq!(gone[0]["status"], json!("CANCELED"));
    assert_eq!(bench.accept(&read), json!([]));
    assert_eq!(bench.refusal(&retarget(&read, "DELETE", "/api/v3/openOrders")), "-2011");

    // A spot order is a futures order and a margin order.
    let order = query("POST", "/api/v3/order", LIMIT);
    bench.accept(&retarget(&order, "POST", "/fapi/v1/order"));
    bench.accept(&retarget(&order, "POST", "/sapi/v1/margin/order"));
    // A read without parameters switches fast withdrawal on.
    let bare = query("GET", "/api/v3/account", "");
    bench.accept(&retarget(&bare, "POST", "/sapi/v1/account/enableFastWithdrawSwitch"));
    assert_eq!(bench.refusal(&retarget(&bare, "GET", "/api/v3/nowhere")), "404");
    assert_eq!(bench.refusal(&retarget(&bare, "PUT", "/api/v3/account")), "404");
}

#[test]
fn checks_parameters_unless_told_otherwise() {
    let bench = bench();
    let order = query("POST", "/api/v3/order", LIMIT);
    let as_cancel = retarget(&order, "DELETE", "/api/v3/openOrders");
    bench.accept(&order);
    assert_eq!(bench.refusal(&as_cancel), "-1104");
    bench.venues.check_parameters(false);
    bench.accept(&as_cancel);
    bench.venues.check_parameters(true);
    assert_eq!(bench.refusal(&as_cancel), "-1104");
    // What is required is required either way.
    bench.venues.check_parameters(false);
    assert_eq!(bench.refusal(&query("DELETE", "/api/v3/openOrders", "")), "-1102");
}

#[test]
fn keeps_small_order_books_apart() {
    let bench = bench();
    let named = format!("{LIMIT}&newClientOrderId=a-1");
    bench.accept(&query("POST", "/api/v3/order", &named));
    assert_eq!(bench.refusal(&query("POST", "/api/v3/order", &named)), "-2010");
    let futures = bench.accept(&query("POST", "/fapi/v1/order", &named));
    let id = futures["orderId"].as_u64().expect("order id");
    let by_id = format!("symbol=BTCUSDT&orderId={id}");
    assert_eq!(bench.refusal(&query("DELETE", "/api/v3/order", &by_id)), "-2011");
    bench.accept(&query("DELETE", "/fapi/v1/order", &by_id));
    bench.accept(&query("GET", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=a-1"));
    bench.accept(&query("DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=a-1"));

    bench.accept(&query("POST", "/api/v3/order/test", LIMIT));
    let market = "symbol=BTCUSDT&side=SELL&type=MARKET&quoteOrderQty=100";
    assert_eq!(bench.accept(&query("POST", "/api/v3/order", market))["status"], json!("FILLED"));
    assert_eq!(bench.accept(&query("GET", "/api/v3/openOrders", "")), json!([]));
    let unpriced = LIMIT.replace("&price=60000", "");
    assert_eq!(bench.refusal(&query("POST", "/api/v3/order", &unpriced)), "-1102");
    assert_eq!(
        bench.refusal(&query("POST", "/api/v3/order", &LIMIT.replace("BUY", "buy"))),
        "-1100"
    );

    let one = |more: &str| {
        format!(
            r#"{{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"1","price":"1","timeInForce":"GTC"{more}}}"#
        )
    };
    let batch = |list: &str| {
        let body = format!("batchOrders={list}&timestamp={NOW_MS}");
        split("POST", "/fapi/v1/batchOrders", "", &body)
    };
    let placed = bench.accept(&batch(&format!("[{},{}]", one(""), one(""))));
    assert_eq!(placed.as_array().map(Vec::len), Some(2));
    let unknown = one(r#","stop":"1""#);
    assert_eq!(bench.refusal(&batch(&format!("[{},{unknown}]", one("")))), "-1104");
    assert_eq!(bench.refusal(&batch("[]")), "-1102");
    assert_eq!(bench.refusal(&batch(&one(""))), "-1100");
    let withdrawal = "coin=USDT&address=TXYZ&amount=12.5&network=TRX";
    bench.accept(&query("POST", "/sapi/v1/capital/withdraw/apply", withdrawal));
}

/// A signed request made by ccxt 4.5.90.
struct Record {
    id: &'static str,
    clock_ms: i64,
    request: &'static str,
    body: &'static str,
}

/// Source: ccxt 4.5.90, Python, `binance.sign()`; the same records as in `tests/vectors/venue/`.
const RECORDS: &[Record] = &[
    Record {
        id: "binance-hmac-rest-00",
        clock_ms: 1_712_345_678_901,
        request: "GET /api/v3/account?timestamp=1712345678901&recvWindow=10000&signature=d9a35d1e4535ceee6c348121187ea2f2fb87656bfc93b0ddc306abfd11b2fe12",
        body: r#""#,
    },
    Record {
        id: "binance-hmac-rest-04",
        clock_ms: 1_712_691_275_449,
        request: "POST /api/v3/order",
        body: r#"timestamp=1712691275449&symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&newClientOrderId=abc-123&recvWindow=10000&signature=87a9a8ddfd0298a2e1997ef76adb130f86ffa715dc2109efddba56d9a396f101"#,
    },
    Record {
        id: "binance-hmac-rest-07",
        clock_ms: 1_712_950_472_860,
        request: "POST /api/v3/order/test",
        body: r#"timestamp=1712950472860&symbol=ETHUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.010&price=1500.00&newClientOrderId=a%20b%2Bc%2Fd&recvWindow=10000&signature=90100927da11628474efb3bc7bb4cbd02c8aa3bd73c137d354ace8338de98440"#,
    },
    Record {
        id: "binance-hmac-rest-18",
        clock_ms: 1_713_900_861_367,
        request: "POST /fapi/v1/order",
        body: r#"timestamp=1713900861367&symbol=BTCUSDT&side=BUY&type=STOP_MARKET&stopPrice=20000&closePosition=true&newClientOrderId=f1&recvWindow=10000&signature=da40c28a9bddc52df37bcb52f1cee790829a10ef76809f90cb9ff9bab6d40a99"#,
    },
    Record {
        id: "binance-hmac-rest-20",
        clock_ms: 1_714_073_659_641,
        request: "POST /fapi/v1/batchOrders",
        body: r#"timestamp=1714073659641&batchOrders=[{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"0.001","price":"1","timeInForce":"GTC","newClientOrderId":"b1"},{"symbol":"ETHUSDT","side":"SELL","type":"MARKET","quantity":"1","newClientOrderId":"b2"}]&recvWindow=10000&signature=87f96c467fa1c65cb2e6949575592234475c128af239d51f36e27779abbe685c"#,
    },
    Record {
        id: "binance-rsa-rest-01",
        clock_ms: 1_712_432_078_038,
        request: "GET /api/v3/account?timestamp=1712432078038&omitZeroBalances=true&recvWindow=10000&signature=j%2F8iP%2F8ddscHgieqZC2U9c05nmuYWhPSz4uW2sWAm60zLLcafqanAg0w5tLodJrsnWn3VCxO6lgzICWXjqf6bkPCvMd5labzYSSTis4l90nkPeYqwKHZRsEjQrbE7jhf8mWOORTzKSnIBl3nrDrhfw17VO4HfIDJAbGwuX9H6VwRi8T6de%2BucyBb1DClVsgJoFg%2FMbtNMruSq1Ze%2BVSG%2BlKbnSRlPatWAP9uLPA%2FAh4JlZ6IKHv4GM2KK40yqr4KbPZP0fzd%2FC2lZaqk%2FvEaEwPUEgno%2BoO0EJKn0bDKRlbKGpeWy5LszZUTp%2FcI2uriDtgF5KUkHJnlcNxb1HH2XA%3D%3D",
        body: r#""#,
    },
    Record {
        id: "binance-rsa-rest-04",
        clock_ms: 1_712_691_275_449,
        request: "POST /api/v3/order",
        body: r#"timestamp=1712691275449&symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&newClientOrderId=abc-123&recvWindow=10000&signature=lThlere5UZSpLU80PUj4p31YXwP6hS%2FrxZqB0ev54ZxhW180psE1Iryi6zjeJEu%2B4boCLJ9ZErW5XcHYgCPMjF8dRxWZr59zg3vhiDIV9IgBS2qPc8UHbjmKg%2FgR2OfTHlJkjCMW%2BJVBfxF%2B7tZ%2F4eyb0Y%2F3QgkQSp%2FtRItcyjTHE35XZi2pzY4ig2vGJPlJfWcgZK%2BxfyfJQjJwQH%2Fm8ogKMgGBrtx5jdooGWZLgS9Py3j0nzrdm51rwRyZ8KiWfVL4iWJfeeFNbNE5ZM%2F06QZlyJt2EnzoHhW6fUsK3hmA9a0IyspDtKHqgrkV8yjSl0CQA61mIxnXigr2Tkj9oQ%3D%3D"#,
    },
    Record {
        id: "binance-rsa-rest-19",
        clock_ms: 1_713_987_260_504,
        request: "POST /fapi/v1/leverage",
        body: r#"timestamp=1713987260504&symbol=BTCUSDT&leverage=20&recvWindow=10000&signature=I9YORZC%2BLobGwEB7St0Mphx5FW%2BTaTvpFmaMLadd0%2BjGxIguM%2BAc%2FVuSoqXov39aUfENaZJrki%2FL6a%2B3hRGJdd66oEl%2Fp6%2FucNGY6NWR9JKIE5ZAyF35DAA2hHYcJond%2FHM5opYcgBcvOQY4n9PXjpRbklnqBCCBiRO7adZk2SiTK5PvrDiMo%2BjoCkab0sGhOZhHj4w85ral2pKlO326ux5Qmp07KZ1XQsINSd16%2BKekKDuNs3eozTmyFh%2FqvZ27krgwJQSfRePNkq0hH2wCW%2FA4zCcVq%2BrwuD58MV3vIF0oxLCTwmmtqQbjpSqukZCrekJUjYgk6UrlQXXS5R12Ug%3D%3D"#,
    },
    Record {
        id: "binance-ed25519-rest-01",
        clock_ms: 1_712_432_078_038,
        request: "GET /api/v3/account?timestamp=1712432078038&omitZeroBalances=true&recvWindow=10000&signature=a6o9jJAUgoDRkRWQNeUOQ1p2VtSuAvmfck0GXw54rDaTY%2BF8h767M955z%2Bg3urohRieF3aaxm6%2FUROmnERDtAw%3D%3D",
        body: r#""#,
    },
    Record {
        id: "binance-ed25519-rest-04",
        clock_ms: 1_712_691_275_449,
        request: "POST /api/v3/order",
        body: r#"timestamp=1712691275449&symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&newClientOrderId=abc-123&recvWindow=10000&signature=NMdV9cW%2BNp1%2F0lE9pJgcUJab3rIw17hcNyIF5wbefJJnJAFsrDdP9mOkMt7C3PMkHokzfha2hEt1coyvBjRjDw%3D%3D"#,
    },
    Record {
        id: "binance-ed25519-rest-05",
        clock_ms: 1_712_777_674_586,
        request: "POST /api/v3/order",
        body: r#"timestamp=1712777674586&symbol=BTCUSDT&side=SELL&type=MARKET&quoteOrderQty=100.5&newClientOrderId=q1&recvWindow=10000&signature=9KVOU9c0SILxLPOwSL7rtt64Z7GHnLDKU8Lsr5Ek6f0oEHoHDdkYfgx9Ty1yeOUvpVUxrwKzIoHtOl1qOIXGBw%3D%3D"#,
    },
    Record {
        id: "binance-ed25519-rest-22",
        clock_ms: 1_714_246_456_915,
        request: "DELETE /fapi/v1/allOpenOrders?timestamp=1714246456915&symbol=BTCUSDT&recvWindow=10000&signature=LtxghSGD%2BFg1FVQP1V9ZiVIGVU3C97qVBWnu82nYtOLbO5J9IFOFDmaAPFYB%2FPdB0szDzIhDQc%2F9Fks6hYaBDw%3D%3D",
        body: r#""#,
    },
];
