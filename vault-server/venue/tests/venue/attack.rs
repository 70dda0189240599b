//! Requests that were made to look smaller than they are.

use vault_model::{Environment, Reading, VenueRequest};
use vault_venue::{KeyType, ReadError, Registry, Standing};

use super::registry;

const CHECKED: Standing<'static> = Standing {
    environment: Environment::Live,
    sites: None,
    venue_checks: true,
    rights: None,
    key_type: KeyType::Hmac,
};
const CAUTIOUS: Standing<'static> = Standing { venue_checks: false, ..CHECKED };

/// A read whose schema nobody has sourced: it may carry any parameter.
fn any_read(query: &str) -> VenueRequest {
    VenueRequest {
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: "fapi.binance.com".to_owned(),
        path: "/fapi/v1/positionRisk".to_owned(),
        query: query.to_owned(),
        ..VenueRequest::default()
    }
}

fn binance(request: &VenueRequest, standing: &Standing<'_>) -> Result<Reading, ReadError> {
    registry().venue("binance").expect("listed").read(request, standing)
}

fn has(reading: &Reading, operation: &str) -> bool {
    reading.closure.iter().any(|member| &*member.operation == operation)
}

#[test]
fn the_read_has_no_schema() {
    let registry: &Registry = registry();
    let catalog = &registry.venue("binance").expect("listed").catalog;
    let read = catalog.operation("GET", "/fapi/v1/positionRisk").expect("there");
    assert!(!read.schema_sourced());
}

/// There are instruments whose names are not ASCII.
#[test]
fn a_symbol_of_another_script_is_a_symbol() {
    for symbol in ["BTCUSDT", "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"] {
        let order = any_read(&format!("symbol={symbol}&side=BUY&type=MARKET&quantity=1"));
        let reading = binance(&order, &CHECKED).expect("a read");
        assert!(has(&reading, "POST /fapi/v1/order"), "{symbol}");
        assert!(has(&reading, "POST /sapi/v1/margin/order"), "{symbol}");
        let leverage = binance(&any_read(&format!("symbol={symbol}&leverage=125")), &CHECKED);
        assert!(has(&leverage.expect("a read"), "POST /fapi/v1/leverage"), "{symbol}");
    }
}

/// A venue may trim, or compare without case.
#[test]
fn spelling_takes_no_operation_out() {
    for (query, operation) in [
        ("symbol=btcusd_perp&leverage=20", "POST /dapi/v1/leverage"),
        ("symbol=BTCUSDT%20&leverage=20", "POST /fapi/v1/leverage"),
        ("symbol=BTCUSDT&leverage=%2020", "POST /fapi/v1/leverage"),
        ("symbol=BTCUSDT&side=buy&type=Market&quantity=01", "POST /fapi/v1/order"),
    ] {
        let reading = binance(&any_read(query), &CHECKED).expect("a read");
        assert!(has(&reading, operation), "{query}");
    }
}

/// A name that nobody knows, in a read that takes any, would otherwise say that nobody takes it.
#[test]
fn a_strange_name_in_a_read_that_takes_any_saves_nobody() {
    let order = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=100";
    let plain = binance(&any_read(order), &CHECKED).expect("a read");
    let strange = binance(&any_read(&format!("{order}&zzz=1")), &CHECKED).expect("a read");
    assert!(has(&plain, "POST /fapi/v1/order"));
    assert!(has(&strange, "POST /fapi/v1/order"));
}

/// A venue's JSON reader may forgive what ours does not.
#[test]
fn loose_json_is_a_batch_all_the_same() {
    let order = "%7B%22symbol%22%3A%22BTCUSDT%22%2C%22side%22%3A%22BUY%22%2C%22type%22%3A%22MARKET%22%2C%22quantity%22%3A%221%22";
    let item = format!("{order}%7D");
    let twice = format!("{order}%2C%22side%22%3A%22SELL%22%7D");
    let more = format!("{order}%2C%22zzz%22%3A1%7D");
    let nothing = "%7B%22symbol%22%3Anull%7D";
    let many = format!("%5B{}%5D", [item.as_str(); 9].join("%2C"));
    for list in [
        format!("%5B{item}%5D"),
        format!("%5B{order}%2C%7D%5D"),
        format!("%5B{item}%5D%5D"),
        format!("%20%5B{item}%2C%5D"),
        many,
        format!("%5B{twice}%5D"),
        format!("%5B{more}%5D"),
        format!("%5B{nothing}%2C{item}%5D"),
    ] {
        let reading = binance(&any_read(&format!("batchOrders={list}")), &CHECKED).expect("read");
        assert!(has(&reading, "POST /fapi/v1/batchOrders"), "{list}");
    }
}

/// Cut behind its first letter, `xtimestamp` is `timestamp`.
#[test]
fn no_name_ends_with_a_reserved_one() {
    for name in ["xtimestamp", "mySignature.signature", "xrecvWindow", "a-apiKey"] {
        for standing in [CHECKED, CAUTIOUS] {
            let refused = binance(&any_read(&format!("{name}=60000")), &standing);
            assert!(matches!(refused, Err(ReadError::ParameterReserved(_))), "{name}");
        }
    }
    assert!(binance(&any_read("recvWindow=5000"), &CHECKED).is_ok());
}

/// In another message over the WebSocket the text of several parameters can be one value.
#[test]
fn parameters_can_hide_in_a_text_of_another_message() {
    let request = |path: &str, body: &str| VenueRequest {
        method: "WS".to_owned(),
        scheme: "wss".to_owned(),
        host: "ws-api.binance.com".to_owned(),
        path: path.to_owned(),
        body: body.as_bytes().to_vec(),
        ..VenueRequest::default()
    };
    let order = r#"{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"1","price":"2","newClientOrderId":"a","orderId":1}"#;
    let cancel = r#"{"symbol":"BTCUSDT","orderId":1,"newClientOrderId":"a"}"#;
    assert!(binance(&request("/ws-api/v3/order.place", order), &CHECKED).is_err(), "unknown name");
    let reading = binance(&request("/ws-api/v3/order.cancel", cancel), &CHECKED).expect("cancel");
    assert!(has(&reading, "WS /ws-api/v3/order.cancel"));
    // order.status knows no newClientOrderId; nothing of its own could hide it.
    let plain = r#"{"symbol":"BTCUSDT","orderId":1}"#;
    let reading = binance(&request("/ws-api/v3/order.status", plain), &CHECKED).expect("status");
    assert!(has(&reading, "WS /ws-api/v3/order.cancel"));
    assert!(!has(&reading, "WS /ws-api/v3/order.place"));
}

/// The work for one request is bounded, whatever the caller writes into it. What was quadratic
/// would take minutes here.
#[test]
fn long_values_cost_no_more_than_their_length() {
    let registry = registry();
    let venue = registry.venue("binance").expect("listed");
    let mut seen = 0_u32;
    for operation in venue.catalog.operations.iter().filter(|one| !one.schema_sourced()) {
        if operation.class.is_write() && operation.method == "POST" {
            for (name, fill) in
                [("amount", "-"), ("quantity", "1"), ("symbol", "A,"), ("type", "L")]
            {
                let value = fill.repeat(30_000 / fill.len());
                let request = VenueRequest {
                    method: "POST".to_owned(),
                    scheme: "https".to_owned(),
                    host: "api.binance.com".to_owned(),
                    path: operation.path.clone(),
                    body: format!("{name}={value}&asset=A&coin=A&side=BUY&productId=1")
                        .into_bytes(),
                    ..VenueRequest::default()
                };
                seen += u32::from(binance(&request, &CAUTIOUS).is_ok());
            }
        }
    }
    assert!(seen > 0);
}
