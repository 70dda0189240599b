//! What goes out in place of a message is what was judged.

use serde_json::{Value, json};
use vault_model::{Environment, SecretBytes, Timestamp};
use vault_venue::{Key, KeyType, Message, Moment, Socket, StreamRequest, VenueError};

use super::{binance, bybit, handle, kraken, okx, read, venue};

const MOMENT: Moment = Moment {
    at: Timestamp(1_712_345_678_901_000),
    nonce: None,
    environment: Environment::Live,
    disclose_passphrase: true,
    unique: [0xab; 16],
};

/// What is sent for a message with a request in it.
fn sent(socket: &Socket, message: &Message) -> Value {
    let text = match &message.request {
        StreamRequest::Order { signed: false, request, .. } => {
            message.text(&request.body).expect("its own body")
        }
        StreamRequest::Order { request, .. } | StreamRequest::Logon { request, .. } => {
            let secret = SecretBytes::new(b"secret".to_vec());
            let passphrase = SecretBytes::new(b"passphrase".to_vec());
            let key = Key {
                api_key: "the-key",
                secret: &secret,
                passphrase: Some(&passphrase),
                key_type: KeyType::Hmac,
                private_key: None,
            };
            let signed = venue(socket).sign(request, &key, &MOMENT).expect("signed");
            message.text(&signed.body).expect("the vault's own message")
        }
        other => panic!("it goes as it came: {other:?}"),
    };
    serde_json::from_slice(&text).expect("JSON")
}

fn spelled(socket: &Socket, text: &str) -> Value {
    sent(socket, &read(socket, text).expect("known"))
}

#[test]
fn an_order_of_okx_goes_around_the_body_that_was_judged() {
    let text = r#" {"op": "order", "args": [ {"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","sz":"1","px":"60000.10"} ], "id": "a1"} "#;
    let message = read(&okx(), text).expect("known");
    let StreamRequest::Order { request, .. } = &message.request else {
        panic!("an order");
    };
    assert_eq!((&*request.method, &*request.path), ("POST", "/api/v5/trade/order"));
    let body = String::from_utf8(request.body.clone()).expect("text");
    let order = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","sz":"1","px":"60000.10"}"#;
    assert_eq!(body, order);
    let out = message.text(&request.body).expect("its own body");
    let expected = format!(r#"{{"id":"a1","op":"order","args":[{order}]}}"#);
    assert_eq!(String::from_utf8(out).expect("text"), expected);

    let batch = format!(
        r#"{{"id":"2","op":"batch-orders","args":[{order},{order}],"expTime":"1712345678901"}}"#
    );
    let parsed: Value = serde_json::from_str(&batch).expect("JSON");
    assert_eq!(spelled(&okx(), &batch), parsed);
}

#[test]
fn a_log_on_is_the_vaults_own() {
    let placeholder = r#"{"op":"login","args":[{"apiKey":"countersign:desk","passphrase":"x","timestamp":"1","sign":"x"}]}"#;
    let out = spelled(&okx(), placeholder);
    assert_eq!(out["args"][0]["apiKey"], "the-key");
    assert_eq!(out["args"][0]["timestamp"], "1712345678");
    assert_eq!(out["args"][0]["passphrase"], "passphrase");

    for (id, expected) in
        [("", json!(null)), (r#""req_id":"10001","#, json!("10001")), (r#""req_id":7,"#, json!(7))]
    {
        let text = format!(r#"{{{id}"op":"auth","args":["countersign:desk",1,"x"]}}"#);
        let out = spelled(&bybit(), &text);
        assert_eq!((&out["op"], &out["args"][0]), (&json!("auth"), &json!("the-key")));
        assert_eq!((&out["args"][1], &out["req_id"]), (&json!("1712345683901"), &expected));
    }
}

#[test]
fn an_order_of_bybit_keeps_a_header_that_narrows() {
    for (window, kept) in [("5000", json!("5000")), ("1", json!("1")), ("60000", json!(null))] {
        let text = format!(
            r#"{{"reqId":"5","header":{{"X-BAPI-TIMESTAMP":"1712345678901","X-BAPI-RECV-WINDOW":"{window}"}},"op":"order.create","args":[{{"symbol":"BTCUSDT","side":"Buy","orderType":"Limit","price":"60000","category":"spot","qty":"0.001"}}]}}"#
        );
        let out = spelled(&bybit(), &text);
        let came: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&out["args"], &out["reqId"]), (&came["args"], &came["reqId"]));
        assert_eq!(out["header"]["X-BAPI-TIMESTAMP"], "1712345678901");
        assert_eq!(out["header"]["X-BAPI-RECV-WINDOW"], kept);
    }
}

#[test]
fn a_call_of_binance_is_signed_anew_and_keeps_its_id() {
    let params = r#""symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"0.001""#;
    let dressed = format!(
        r#"{params},"apiKey":"countersign:desk","timestamp":1,"signature":"x","recvWindow":10000"#
    );
    for id in [r#""id":"my-1","#, r#""id":17,"#, ""] {
        let text = format!(r#"{{{id}"method":"order.place","params":{{{dressed}}}}}"#);
        let out = spelled(&binance(), &text);
        let came: Value = serde_json::from_str(&text).expect("JSON");
        let expected = if id.is_empty() { json!("ab".repeat(16)) } else { came["id"].clone() };
        assert_eq!((&out["method"], &out["id"]), (&json!("order.place"), &expected));
        assert_eq!(out["params"]["apiKey"], "the-key");
        assert_eq!(out["params"]["timestamp"], 1_712_345_678_901_i64);
        assert_eq!(out["params"].get("recvWindow"), None, "wider than the vault signs");
        assert_eq!(out["params"]["quantity"], "0.001");
        assert_eq!(out["params"].as_object().expect("params").len(), 7);
    }
    let narrow =
        format!(r#"{{"method":"order.place","params":{{{dressed}}}}}"#).replace("10000", "500");
    assert_eq!(spelled(&binance(), &narrow)["params"]["recvWindow"], 500);
}

/// The method is all of the path behind that of the socket.
#[test]
fn a_method_with_a_slash_is_the_one_that_was_judged() {
    let socket = super::socket("ws-fapi.binance.com", "/ws-fapi/v1");
    let text = r#"{"id":"1","method":"v2/account.balance","params":{"apiKey":"countersign:desk"}}"#;
    let message = read(&socket, text).expect("known");
    let reading = super::judged(&socket, &message).expect("known");
    assert_eq!(&*reading.stated.operation, "WS /ws-fapi/v1/v2/account.balance");
    assert_eq!(sent(&socket, &message)["method"], "v2/account.balance");
}

#[test]
fn an_order_of_kraken_says_the_same_in_both_languages() {
    let token = handle();
    let text = format!(
        r#"{{"method":"add_order","req_id":6,"params":{{"order_type":"limit","side":"buy","order_qty":5e-05,"symbol":"BTC/USD","token":"{token}","limit_price":60000.5,"post_only":true,"cl_ord_id":"my-1","time_in_force":"gtc","validate":false}}}}"#
    );
    let message = read(&kraken(), &text).expect("known");
    assert_eq!(message.handles, std::slice::from_ref(&token));
    let StreamRequest::Order { request, signed: false, credential: None } = &message.request else {
        panic!("an order");
    };
    assert_eq!(&*request.path, "/0/private/AddOrder");
    assert_eq!(
        String::from_utf8_lossy(&request.body),
        r#"{"ordertype":"limit","type":"buy","volume":0.00005,"pair":"BTC/USD","price":60000.5,"timeinforce":"GTC","oflags":"post","cl_ord_id":"my-1","validate":false}"#
    );
    let out = String::from_utf8(message.text(&request.body).expect("its own body")).expect("text");
    assert_eq!(
        out,
        format!(
            r#"{{"req_id":6,"method":"add_order","params":{{"order_type":"limit","side":"buy","order_qty":0.00005,"symbol":"BTC/USD","limit_price":60000.5,"time_in_force":"gtc","post_only":true,"cl_ord_id":"my-1","validate":false,"token":"{token}"}}}}"#
        )
    );
    let leg = &super::judged(&kraken(), &message).expect("known").stated.legs[0];
    assert_eq!(leg.quantity.as_deref(), Some("0.00005"));
    assert_eq!(leg.post_only, Some(true));
    assert_eq!(leg.product, Some(vault_model::Product::Spot));

    for (method, params, path, body) in [
        ("cancel_order", r#""order_id":["A","B"]"#, "CancelOrderBatch", r#"{"orders":["A","B"]}"#),
        ("cancel_all", "", "CancelAll", "{}"),
        ("cancel_all_orders_after", r#""timeout":60"#, "CancelAllOrdersAfter", r#"{"timeout":60}"#),
        (
            "amend_order",
            r#""order_id":"A","limit_price":1.5"#,
            "AmendOrder",
            r#"{"txid":"A","limit_price":1.5}"#,
        ),
    ] {
        let comma = if params.is_empty() { "" } else { "," };
        let text =
            format!(r#"{{"method":"{method}","params":{{{params}{comma}"token":"{token}"}}}}"#);
        let message = read(&kraken(), &text).expect(method);
        let StreamRequest::Order { request, .. } = &message.request else {
            panic!("{method}");
        };
        assert_eq!(request.path, format!("/0/private/{path}"));
        assert_eq!(String::from_utf8_lossy(&request.body), body);
        assert!(super::judged(&kraken(), &message).is_ok(), "{method}");
        let came: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(sent(&kraken(), &message), came);
    }
}

#[test]
fn no_message_takes_the_body_of_another() {
    let token = handle();
    let text = format!(r#"{{"method":"cancel_all","params":{{"token":"{token}"}}}}"#);
    let message = read(&kraken(), &text).expect("known");
    assert_eq!(message.text(b"{\"orders\":[]}"), Err(VenueError::RequestForm));
    let ping = read(&kraken(), r#"{"method":"ping"}"#).expect("known");
    assert_eq!(ping.text(b"{}"), Err(VenueError::RequestForm));
    let call = r#"{"id":1,"method":"account.status","params":{"apiKey":"countersign:desk"}}"#;
    let call = read(&binance(), call).expect("known");
    assert_eq!(call.text(b"[]"), Err(VenueError::RequestForm));
    assert_eq!(call.text(b"{\"id\":\"x"), Err(VenueError::RequestForm));
}
