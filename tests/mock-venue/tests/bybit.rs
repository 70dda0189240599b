//! Bybit v5 over real HTTP: known signatures pass, damage is refused, and what the signature leaves
//! open stays open as at the venue.

mod common;

use serde_json::json;
use vault_mock_venue::Venue;

use common::{API_KEY, Bench, Call, JSON, NOW_MS, RSA_PEM, SECRET, account, hmac_hex};

const ORDER: &str = r#"{"category":"spot","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.1","price":"15600","timeInForce":"PostOnly","orderLinkId":"spot-test-01"}"#;

fn bench() -> Bench {
    Bench::start(vec![account(Venue::Bybit, API_KEY, SECRET)])
}

fn call(method: &str, target: &str, body: &str, timestamp_ms: i64, sign: &str) -> Call {
    Call::new(method, target, body)
        .header("X-BAPI-API-KEY", API_KEY)
        .header("X-BAPI-SIGN", sign)
        .header("X-BAPI-TIMESTAMP", &timestamp_ms.to_string())
        .header("X-BAPI-RECV-WINDOW", "5000")
        .header("Content-Type", JSON)
}

fn signed(method: &str, target: &str, body: &str) -> Call {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let payload = if method == "GET" { query } else { body };
    let sign = hmac_hex(SECRET, &format!("{NOW_MS}{API_KEY}5000{payload}"));
    call(method, target, body, NOW_MS, &sign)
}

/// Source: ccxt 4.5.90, Python, `bybit.sign()`: bybit-hmac-rest-00 and -04, bybit-rsa-rest-08.
#[test]
fn accepts_the_signatures_of_other_software() {
    let bench = bench();
    bench.set_clock(1_712_345_678_901);
    let balance = "/v5/account/wallet-balance?accountType=UNIFIED";
    let sign = "33fffe085ab335480234ea00bd3283a07d8dd23a20826d2a885f491328024620";
    bench.accept(&call("GET", balance, "", 1_712_345_678_901, sign));
    bench.set_clock(1_712_691_275_449);
    let sign = "e818b6ef215e37edcadb2523277780b0f92eb9f38f13d1ed7377516ade509024";
    bench.accept(&call("POST", "/v5/order/create", ORDER, 1_712_691_275_449, sign));

    let bench = Bench::start(vec![account(Venue::Bybit, API_KEY, RSA_PEM)]);
    bench.set_clock(1_713_036_870_997);
    let body = r#"{"category":"linear","symbol":"BTCUSDT","orderId":"c6f055d9"}"#;
    let cancel = call("POST", "/v5/order/cancel", body, 1_713_036_870_997, RSA_SIGN);
    // There is no such order; that is judged after the signature.
    assert_eq!(bench.refusal(&cancel), "110001");
    let damaged = Call { body: body.replace("c6f055d9", "c6f055d8"), ..cancel };
    assert_eq!(bench.refusal(&damaged), "10004");
}

#[test]
fn refuses_every_damage() {
    let bench = bench();
    let good = signed("POST", "/v5/order/create", ORDER);
    let tag = hex::decode(good.value("X-BAPI-SIGN")).expect("hex");
    for bit in 0..tag.len() * 8 {
        let mut damaged = tag.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let call = good.clone().header("X-BAPI-SIGN", &hex::encode(damaged));
        assert_eq!(bench.refusal(&call), "10004");
    }
    let code = |call: Call| bench.refusal(&call);
    let body = |body: String| Call { body, ..good.clone() };
    let moved =
        ORDER.replace(r#""side":"Buy","orderType":"Limit""#, r#""orderType":"Limit","side":"Buy""#);
    assert_ne!(moved, ORDER);
    assert_eq!(code(body(moved)), "10004");
    assert_eq!(code(body(format!("{ORDER} "))), "10004");
    assert_eq!(code(good.clone().header("X-BAPI-API-KEY", "other")), "10003");
    assert_eq!(code(good.clone().header("X-BAPI-RECV-WINDOW", "4999")), "10004");
    assert_eq!(code(good.clone().header("X-BAPI-TIMESTAMP", &(NOW_MS + 1).to_string())), "10004");
    let upper = good.value("X-BAPI-SIGN").to_ascii_uppercase();
    assert_eq!(code(good.clone().header("X-BAPI-SIGN", &upper)), "10004");
    for name in ["X-BAPI-API-KEY", "X-BAPI-SIGN", "X-BAPI-TIMESTAMP"] {
        assert_eq!(code(good.clone().without(name)), "10001");
    }
    assert_eq!(code(good.clone().without("Content-Type")), "10001");
    assert_eq!(code(Call { target: "/v5/order/create?a=1".to_owned(), ..good.clone() }), "10001");
    assert_eq!(code(signed("POST", "/v5/order/create", "[]")), "10001");
    assert_eq!(code(signed("POST", "/v5/order/nowhere", ORDER)), "10017");
    bench.accept(&good);
}

#[test]
fn holds_to_the_window() {
    let bench = bench();
    let call = signed("GET", "/v5/order/realtime?category=spot", "");
    for (clock_ms, passes) in [
        (NOW_MS + 5_000, true),
        (NOW_MS + 5_001, false),
        (NOW_MS - 999, true),
        (NOW_MS - 1_000, false),
        (i64::MIN, false),
        (i64::MAX, false),
    ] {
        bench.set_clock(clock_ms);
        if passes {
            bench.accept(&call);
        } else {
            assert_eq!(bench.refusal(&call), "10002", "{clock_ms}");
        }
    }
    bench.set_clock(NOW_MS);
    assert_eq!(bench.refusal(&call.header("X-BAPI-RECV-WINDOW", "60001")), "10002");
}

#[test]
fn an_order_is_also_a_cancel_of_all_where_parameters_are_not_checked() {
    let bench = bench();
    let order = signed("POST", "/v5/order/create", ORDER);
    let as_cancel = Call { target: "/v5/order/cancel-all".to_owned(), ..order.clone() };
    bench.accept(&order);
    assert_eq!(bench.refusal(&as_cancel), "10001");
    bench.venues.check_parameters(false);
    let gone = bench.accept(&as_cancel);
    assert_eq!(gone["result"]["list"][0]["orderLinkId"], json!("spot-test-01"));
}

#[test]
fn keeps_a_small_order_book() {
    let bench = bench();
    let order = signed("POST", "/v5/order/create", ORDER);
    let id = bench.accept(&order)["result"]["orderId"].as_str().expect("id").to_owned();
    assert_eq!(bench.refusal(&order), "110072");
    let open = signed("GET", "/v5/order/realtime?category=spot&symbol=BTCUSDT", "");
    assert_eq!(bench.accept(&open)["result"]["list"][0]["orderId"], json!(id));
    let other = format!(r#"{{"category":"linear","symbol":"BTCUSDT","orderId":"{id}"}}"#);
    assert_eq!(bench.refusal(&signed("POST", "/v5/order/cancel", &other)), "110001");
    bench.accept(&signed("POST", "/v5/order/cancel", &other.replace("linear", "spot")));
    assert_eq!(bench.accept(&open)["result"]["list"], json!([]));
    let unpriced = ORDER.replace(r#""price":"15600","#, "");
    assert_eq!(bench.refusal(&signed("POST", "/v5/order/create", &unpriced)), "10001");
}

const RSA_SIGN: &str = "AoW869U9yu8Jz+GfW64FDxUpq6auk3GVSNoTjKYLEhweGWlcLnk3GTDFbtb21k7pHCIT3176KvBD5CeQDiAUQhvFbqFAVwNO9h4GYQ8aHSK/V4LU3kbdffwyOvEMLr3ZfBjhbPYyH8Kitkbn+jeNfM0Fow7DSkkPfi5/5fwSbf19oQIclyQE6HzTK7VodS0zyrxPh426qBZbgK8b3FjHIdM63d+vTHukwGv5a0zCedrrWDIwgHbjhgo70217J0Hz1bSlD1bbcnYbfRHY7RWmjCT3jFr6qn3StsundDqqXxNMhGDvdyGKW3o1iAy6Hj6q7EOzuwfI+Nrvfyx8ENIB1Q==";
