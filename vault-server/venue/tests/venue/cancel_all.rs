//! How open orders are found and cancelled.

use std::collections::BTreeSet;

use proptest::prelude::*;
use vault_model::{Class, Environment};
use vault_venue::{Answer, OwnRequest, Reported, Step, Venue};

use crate::{CAUTIOUS, registry};

const LIVE: Environment = Environment::Live;

fn venue(name: &str) -> &'static Venue {
    registry().venue(name).expect("known")
}

/// What egress reports of an answer: the very pointers that were asked for, in a JSON text.
pub(crate) fn answer(request: &OwnRequest, status: u16, json: &str) -> Answer {
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let mut reported = Vec::new();
    for (at, pointer) in (0u32..).zip(request.report_at()) {
        let rows = match pointer.split_once("/*") {
            None => vec![json.pointer(pointer).cloned()],
            Some((list, rest)) => {
                let list = json.pointer(list).and_then(|list| list.as_array()).cloned();
                let rows = list.unwrap_or_default();
                rows.iter().map(|row| row.pointer(rest).cloned()).collect()
            }
        };
        for (row, value) in (0u32..).zip(rows) {
            let value = match value {
                Some(serde_json::Value::String(text)) => text,
                Some(serde_json::Value::Null) | None => continue,
                Some(other) => other.to_string(),
            };
            let is_shown = (1..=256).contains(&value.len())
                && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            if is_shown {
                reported.push(Reported { at, row, value });
            }
        }
    }
    Answer { status, reported, cut: false }
}

/// The look of this name, for all symbols.
fn look(name: &str, of: &str) -> OwnRequest {
    let looks = venue(name).looks(LIVE, None, None).expect("possible");
    looks.into_iter().find(|look| look.name() == of).expect("stated")
}

fn step(name: &str, look: &OwnRequest, json: &str) -> Step {
    venue(name).cancels(LIVE, look, &answer(look, 200, json)).expect("readable")
}

/// `METHOD path?query body` of each.
fn texts(requests: &[OwnRequest]) -> Vec<String> {
    requests
        .iter()
        .map(|own| {
            let request = own.request();
            let mark = if request.query.is_empty() { "" } else { "?" };
            let body = String::from_utf8_lossy(&request.body);
            format!("{} {}{mark}{} {body}", request.method, request.path, request.query)
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[test]
fn every_request_that_can_be_made_is_read_as_what_it_is() {
    for name in ["binance", "bybit", "coinbase", "kraken", "okx"] {
        let venue = venue(name);
        let mut seen = 0;
        for &environment in Environment::ALL {
            if !venue.has_environment(environment) {
                continue;
            }
            for symbol in [None, Some("BTC-USDT"), Some("BTCUSDT"), Some("BTCUSD_PERP")] {
                let Ok(looks) = venue.looks(environment, None, symbol) else {
                    continue;
                };
                for look in looks {
                    seen += reads_as(venue, environment, &look);
                    let Some(answer) = one_order(&look) else {
                        continue;
                    };
                    let step = venue.cancels(environment, &look, &answer).expect("readable");
                    for cancel in &step.requests {
                        assert!(!cancel.is_look());
                        seen += reads_as(venue, environment, cancel);
                    }
                }
            }
        }
        assert!(seen > 0, "{name}");
    }
}

/// An answer with one order at every pointer.
fn one_order(look: &OwnRequest) -> Option<Answer> {
    if !look.is_look() {
        return None;
    }
    let symbol = look.symbol().unwrap_or("BTC-USDT");
    let rows = (0u32..).zip(look.report_at()).skip(1).map(|(at, pointer)| {
        let is_id = pointer.ends_with("Id") && !pointer.ends_with("instId");
        let is_id = is_id || pointer.ends_with("order_id");
        let value = if is_id { "12345" } else { symbol };
        Reported { at, row: 0, value: value.to_owned() }
    });
    let good = ["/retCode", "/code"].contains(&look.report_at()[0].as_str())
        && !look.request().host.contains("binance");
    let good = good.then(|| Reported { at: 0, row: 0, value: "0".to_owned() });
    Some(Answer { status: 200, reported: good.into_iter().chain(rows).collect(), cut: false })
}

fn reads_as(venue: &Venue, environment: Environment, own: &OwnRequest) -> usize {
    let standing = vault_venue::Standing { environment, ..CAUTIOUS };
    let reading = venue.read(own.request(), &standing).expect("read");
    let class = if own.is_look() { Class::Read } else { Class::Cancel };
    assert_eq!(reading.stated.class, class, "{own:?}");
    assert_eq!(*reading.stated.operation, *own.operation());
    1
}

#[test]
fn binance_cancels_by_symbol_each_once() {
    // Source: binance/binance-spot-api-docs rest-api.md, "Current open orders", shortened.
    let json = r#"[
        {"symbol":"LTCBTC","orderId":1,"clientOrderId":"myOrder1","status":"NEW"},
        {"symbol":"BTCUSDT","orderId":2,"status":"NEW"},
        {"symbol":"LTCBTC","orderId":3,"status":"NEW"}]"#;
    let look = look("binance", "spot");
    assert_eq!(texts(std::slice::from_ref(&look)), ["GET /api/v3/openOrders"]);
    assert_eq!(look.report_at(), ["/code", "/*/symbol", "/*/orderId"]);

    let step = step("binance", &look, json);

    assert_eq!((step.found, step.unread, step.is_partial), (3, 0, false));
    assert_eq!(
        texts(&step.requests),
        ["DELETE /api/v3/openOrders?symbol=BTCUSDT", "DELETE /api/v3/openOrders?symbol=LTCBTC"]
    );
    let counts: Vec<_> =
        step.requests.iter().map(|one| (one.symbol().expect("one"), one.order_count())).collect();
    assert_eq!(counts, [("BTCUSDT", 1), ("LTCBTC", 2)]);
}

#[test]
fn orders_whose_symbol_is_not_reported_are_seen() {
    let json = r#"[{"symbol":"币安人生USDT","orderId":1},{"symbol":"BTCUSDT","orderId":2}]"#;
    let step = step("binance", &look("binance", "spot"), json);
    assert_eq!((step.found, step.unread), (2, 1));
    assert_eq!(texts(&step.requests), ["DELETE /api/v3/openOrders?symbol=BTCUSDT"]);
}

#[test]
fn okx_cancels_in_batches_of_twenty() {
    let rows: Vec<String> =
        (1..=45).map(|id| format!(r#"{{"instId":"BTC-USDT","ordId":"{id}"}}"#)).collect();
    let json = format!(r#"{{"code":"0","data":[{}],"msg":""}}"#, rows.join(","));

    let step = step("okx", &look("okx", "orders"), &json);

    let counts: Vec<u32> = step.requests.iter().map(OwnRequest::order_count).collect();
    assert_eq!((step.found, counts), (45, vec![20, 20, 5]));
    let mut named = BTreeSet::new();
    for request in &step.requests {
        let body: serde_json::Value =
            serde_json::from_slice(&request.request().body).expect("JSON");
        for order in body.as_array().expect("a list") {
            assert_eq!(order["instId"], "BTC-USDT");
            named.insert(order["ordId"].as_str().expect("text").to_owned());
        }
    }
    assert_eq!(named.len(), 45);
}

#[test]
fn okx_has_a_look_for_each_kind_of_algo_order() {
    let looks = venue("okx").looks(LIVE, None, None).expect("possible");
    assert_eq!(
        texts(&looks)[..3],
        [
            "GET /api/v5/trade/orders-pending?limit=100",
            "GET /api/v5/trade/orders-algo-pending?ordType=conditional&limit=100",
            "GET /api/v5/trade/orders-algo-pending?ordType=oco&limit=100",
        ]
    );
    assert_eq!(looks.len(), 8);
    let json = r#"{"code":"0","data":[{"instId":"BTC-USDT","algoId":"1753184812254216192"}]}"#;
    assert_eq!(
        texts(&step("okx", &looks[1], json).requests),
        [
            r#"POST /api/v5/trade/cancel-algos [{"instId":"BTC-USDT","algoId":"1753184812254216192"}]"#
        ]
    );
}

#[test]
fn bybit_cancels_by_the_coin_that_orders_settle_in() {
    let json = r#"{"retCode":0,"retMsg":"OK","result":{"nextPageCursor":"x","category":"linear",
        "list":[{"symbol":"ETHUSDT","orderId":"a"},{"symbol":"BTCUSDT","orderId":"b"}]}}"#;
    let look = look("bybit", "linear, USDT");
    assert_eq!(
        texts(std::slice::from_ref(&look)),
        ["GET /v5/order/realtime?category=linear&settleCoin=USDT&limit=50"]
    );
    assert_eq!(
        texts(&step("bybit", &look, json).requests),
        [r#"POST /v5/order/cancel-all {"category":"linear","settleCoin":"USDT"}"#]
    );
    let none = r#"{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[]}}"#;
    let step = step("bybit", &look, none);
    assert_eq!((step.found, step.requests.len()), (0, 0));
}

#[test]
fn bybit_cancels_inverse_orders_by_symbol() {
    let json = r#"{"retCode":0,"result":{"list":[{"symbol":"BTCUSD"},{"symbol":"ETHUSD"}]}}"#;
    assert_eq!(
        texts(&step("bybit", &look("bybit", "inverse"), json).requests),
        [
            r#"POST /v5/order/cancel-all {"category":"inverse","symbol":"BTCUSD"}"#,
            r#"POST /v5/order/cancel-all {"category":"inverse","symbol":"ETHUSD"}"#,
        ]
    );
}

#[test]
fn kraken_cancels_all_without_a_look_and_says_how_many() {
    let venue = venue("kraken");
    let first = venue.looks(LIVE, None, None).expect("possible");
    assert_eq!(texts(&first), ["POST /0/private/CancelAll"]);
    assert!(!first[0].is_look());
    // Source: krakenfx/api-specs spot-rest/examples/responses/trading/orders/cancel.yaml.
    let told = answer(&first[0], 200, r#"{"error":[],"result":{"count":4}}"#);
    assert_eq!(venue.cancelled(&first[0], &told), Ok(Some(4)));
    let denied = answer(&first[0], 200, r#"{"error":["EGeneral:Permission denied"]}"#);
    assert_eq!(venue.cancelled(&first[0], &denied), Err("NOT_PERMITTED"));
    assert_eq!(
        venue.looks(LIVE, None, Some("XBTUSD")).map(|_| ()),
        Err("SYMBOL_ALONE_NOT_POSSIBLE")
    );
}

#[test]
fn coinbase_cancels_by_ids() {
    let json = r#"{"orders":[{"order_id":"0000-000000-000000","product_id":"BTC-USD"},
        {"order_id":"1111-000000-000000","product_id":"ETH-USD"}],"has_next":false}"#;
    assert_eq!(
        texts(&step("coinbase", &look("coinbase", "orders"), json).requests),
        [concat!(
            "POST /api/v3/brokerage/orders/batch_cancel ",
            r#"{"order_ids":["0000-000000-000000","1111-000000-000000"]}"#
        )]
    );
}

#[test]
fn one_symbol_never_cancels_another() {
    let cases = [
        (
            "binance",
            "spot",
            "LTCBTC",
            r#"[{"symbol":"LTCBTC"},{"symbol":"BTCUSDT"}]"#,
            "DELETE /api/v3/openOrders?symbol=LTCBTC",
        ),
        (
            "bybit",
            "linear, USDT",
            "BTCUSDT",
            r#"{"retCode":0,"result":{"list":[{"symbol":"BTCUSDT"},{"symbol":"ETHUSDT"}]}}"#,
            r#"POST /v5/order/cancel-all {"category":"linear","symbol":"BTCUSDT"}"#,
        ),
        (
            "okx",
            "orders",
            "BTC-USDT",
            r#"{"code":"0","data":[{"instId":"BTC-USDT","ordId":"1"},{"instId":"ETH-USDT","ordId":"2"}]}"#,
            r#"POST /api/v5/trade/cancel-batch-orders [{"instId":"BTC-USDT","ordId":"1"}]"#,
        ),
        (
            "coinbase",
            "orders",
            "BTC-USD",
            r#"{"orders":[{"order_id":"1","product_id":"BTC-USD"},{"order_id":"2","product_id":"ETH-USD"}]}"#,
            r#"POST /api/v3/brokerage/orders/batch_cancel {"order_ids":["1"]}"#,
        ),
    ];
    for (name, of, symbol, json, wanted) in cases {
        let looks = venue(name).looks(LIVE, None, Some(symbol)).expect("possible");
        assert!(looks.iter().all(|look| look.symbol() == Some(symbol)), "{name}");
        assert!(texts(&looks).iter().all(|text| text.contains(symbol)), "{name}");
        let look = looks.iter().find(|look| look.name() == of).expect("stated");
        let step = step(name, look, json);
        assert_eq!(texts(&step.requests), [wanted], "{name}");
        // The venue has shown what nobody asked for.
        assert_eq!((step.found, step.unread), (2, 1), "{name}");
    }
}

#[test]
fn a_symbol_that_is_none_is_refused() {
    for symbol in ["", "BTC USDT", "BTC&x=1", "BTC\"", "BTC/USD", "{items}", "币安人生USDT"] {
        for name in ["binance", "bybit", "coinbase", "kraken", "okx"] {
            let refused = venue(name).looks(LIVE, None, Some(symbol)).map(|_| ());
            assert_eq!(refused, Err("SYMBOL_NOT_PLAIN"), "{symbol}");
        }
    }
}

#[test]
fn isolated_margin_is_found_by_its_symbol_only() {
    let names = |symbol| -> Vec<String> {
        let looks = venue("binance").looks(LIVE, None, symbol).expect("possible");
        looks.iter().map(|look| look.name().to_owned()).collect()
    };
    assert!(!names(None).contains(&"isolated margin".to_owned()));
    assert!(names(Some("BTCUSDT")).contains(&"isolated margin".to_owned()));
}

#[test]
fn a_key_is_asked_for_what_it_can_have_only() {
    let rights = ["enableReading".to_owned(), "enableSpotAndMarginTrading".to_owned()];
    let looks = venue("binance").looks(LIVE, Some(&rights), None).expect("possible");
    let names: Vec<&str> = looks.iter().map(OwnRequest::name).collect();
    assert_eq!(names, ["spot", "cross margin"]);
    let demo = venue("binance").looks(Environment::Demo, Some(&rights), None).expect("possible");
    let hosts: Vec<&str> = demo.iter().map(|look| look.request().host.as_str()).collect();
    assert_eq!(hosts, ["demo-api.binance.com"]);
    let nothing = venue("okx").looks(LIVE, Some(&[]), None).expect("possible");
    assert!(nothing.is_empty());
}

#[test]
fn an_error_is_never_an_empty_list() {
    let cases = [
        (
            "binance",
            "spot",
            401,
            r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#,
            "NOT_PERMITTED",
        ),
        ("binance", "spot", 400, r#"{"code":-1121,"msg":"Invalid symbol."}"#, "VENUE_REFUSED"),
        ("binance", "spot", 200, r#"{"code":-1000,"msg":"x"}"#, "VENUE_REFUSED"),
        (
            "bybit",
            "option",
            200,
            r#"{"retCode":10005,"retMsg":"Permission denied"}"#,
            "NOT_PERMITTED",
        ),
        ("bybit", "option", 200, r#"{"result":{"list":[]}}"#, "VENUE_REFUSED"),
        ("okx", "orders", 200, r#"{"code":"50000","data":[],"msg":""}"#, "VENUE_REFUSED"),
        ("okx", "orders", 502, r#"{"code":"0","data":[]}"#, "VENUE_REFUSED"),
        ("coinbase", "orders", 401, r#"{}"#, "VENUE_REFUSED"),
        (
            "coinbase",
            "orders",
            403,
            r#"{"error":"PERMISSION_DENIED","error_details":"x"}"#,
            "NOT_PERMITTED",
        ),
    ];
    for (name, of, status, json, problem) in cases {
        let look = look(name, of);
        let read = venue(name).cancels(LIVE, &look, &answer(&look, status, json));
        assert_eq!(read.map(|_| ()), Err(problem), "{name} {json}");
    }
    let look = look("okx", "orders");
    let none = venue("okx").cancels(LIVE, &look, &Answer::default());
    assert_eq!(none.map(|_| ()), Err("NO_ANSWER"));
}

#[test]
fn orders_without_a_plain_name_are_counted_and_not_cancelled() {
    let json = r#"{"code":"0","data":[
        {"instId":"BTC-USDT","ordId":"1"},
        {"instId":"BTC-USDT","ordId":"2\",\"x\":\"3"},
        {"instId":"BTC-USDT"},
        {"ordId":"4"},
        {"instId":"","ordId":"5"}]}"#;
    let step = step("okx", &look("okx", "orders"), json);
    assert_eq!((step.found, step.unread), (5, 4));
    assert_eq!(
        texts(&step.requests),
        [r#"POST /api/v5/trade/cancel-batch-orders [{"instId":"BTC-USDT","ordId":"1"}]"#]
    );
}

#[test]
fn what_does_not_fit_is_said() {
    let look = look("okx", "orders");
    let mut cut = answer(&look, 200, r#"{"code":"0","data":[{"instId":"A-B","ordId":"1"}]}"#);
    assert!(!venue("okx").cancels(LIVE, &look, &cut).expect("readable").is_partial);
    cut.cut = true;
    assert!(venue("okx").cancels(LIVE, &look, &cut).expect("readable").is_partial);
    let rows: Vec<String> =
        (0..100).map(|id| format!(r#"{{"instId":"A-B","ordId":"{id}"}}"#)).collect();
    let full = answer(&look, 200, &format!(r#"{{"code":"0","data":[{}]}}"#, rows.join(",")));
    assert!(venue("okx").cancels(LIVE, &look, &full).expect("readable").is_partial);
}

#[test]
fn a_cancel_is_no_look() {
    let cancel = venue("kraken").looks(LIVE, None, None).expect("possible").remove(0);
    let told = answer(&cancel, 200, r#"{"error":[],"result":{"count":4}}"#);
    assert_eq!(venue("kraken").cancels(LIVE, &cancel, &told).map(|_| ()), Err("NO_LOOK"));
    // Nor a look of another venue.
    let other = look("okx", "algo, twap");
    assert_eq!(venue("kraken").cancels(LIVE, &other, &told).map(|_| ()), Err("NO_LOOK"));
}

proptest! {
    #[test]
    fn whatever_a_venue_reports_becomes_plain_cancels_or_nothing(
        status in prop_oneof![Just(200u16), any::<u16>()],
        cut: bool,
        reported in prop::collection::vec(
            (0u32..4, 0u32..6, prop_oneof!["\\PC{0,12}", "[A-Z]{2,6}-?[A-Z]{0,4}", Just("0".to_owned()), "[0-9\"{},\\[\\]&=?]{1,8}"]),
            0..24,
        ),
        place in 0usize..40,
    ) {
        let reported = reported.into_iter().map(|(at, row, value)| Reported { at, row, value });
        let answer = Answer { status, reported: reported.collect(), cut };
        for name in ["binance", "bybit", "coinbase", "kraken", "okx"] {
            let looks = venue(name).looks(LIVE, None, None).expect("possible");
            let look = &looks[place % looks.len()];
            let _ = venue(name).cancelled(look, &answer);
            let Ok(step) = venue(name).cancels(LIVE, look, &answer) else { continue };
            let covered: u32 = step.requests.iter().map(OwnRequest::order_count).sum();
            prop_assert_eq!(step.found, covered + step.unread);
            for cancel in &step.requests {
                reads_as(venue(name), LIVE, cancel);
                prop_assert_eq!(cancel.request().host.as_str(), look.request().host.as_str());
            }
        }
    }
}
