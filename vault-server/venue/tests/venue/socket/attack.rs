//! Messages that mean to get past the reader.

use proptest::prelude::*;
use vault_venue::{ReadError, Socket, StreamRequest};

use super::{binance, bybit, handle, judged, kraken, okx, read, socket, venue};

const ORDER: &str =
    r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","sz":"1","px":"6"}"#;

/// Every kind of socket, and a message that it takes.
fn taken() -> Vec<(Socket, String)> {
    let token = handle();
    let header = r#""header":{"X-BAPI-TIMESTAMP":"1712345678901"}"#;
    let private = || socket("stream.bybit.com", "/v5/private");
    let market = || socket("stream.binance.com:9443", "/ws/0");
    vec![
        (okx(), format!(r#"{{"id":"1","op":"order","args":[{ORDER}]}}"#)),
        (okx(), r#"{"op":"subscribe","args":[{"channel":"orders","instType":"ANY"}]}"#.to_owned()),
        (okx(), r#"{"op":"login","args":[{"apiKey":"countersign:desk"}]}"#.to_owned()),
        (
            bybit(),
            format!(
                r#"{{"reqId":"1",{header},"op":"order.cancel","args":[{{"category":"linear","symbol":"BTCUSDT","orderId":"1"}}]}}"#
            ),
        ),
        (private(), r#"{"req_id":1,"op":"subscribe","args":["order"]}"#.to_owned()),
        (private(), r#"{"op":"auth","args":["countersign:desk",1,"x"]}"#.to_owned()),
        (private(), r#"{"op":"ping"}"#.to_owned()),
        (
            binance(),
            r#"{"id":1,"method":"account.status","params":{"apiKey":"countersign:desk"}}"#
                .to_owned(),
        ),
        (binance(), r#"{"id":1,"method":"ping"}"#.to_owned()),
        (
            binance(),
            format!(
                r#"{{"id":1,"method":"userDataStream.subscribe.listenToken","params":{{"listenToken":"{token}"}}}}"#
            ),
        ),
        (market(), r#"{"id":1,"method":"SUBSCRIBE","params":["btcusdt@trade"]}"#.to_owned()),
        (
            kraken(),
            format!(
                r#"{{"req_id":1,"method":"subscribe","params":{{"channel":"executions","token":"{token}"}}}}"#
            ),
        ),
        (
            kraken(),
            format!(r#"{{"req_id":1,"method":"cancel_all","params":{{"token":"{token}"}}}}"#),
        ),
    ]
}

#[test]
fn what_is_changed_in_a_message_that_is_taken_is_noticed() {
    for (socket, text) in taken() {
        assert!(read(&socket, &text).is_ok(), "{text}");
        let body = text.strip_prefix('{').expect("an object");
        let op = if text.contains("\"op\"") { "op" } else { "method" };
        let value = text.split(&format!("\"{op}\":\"")).nth(1).expect("said");
        let value = value.split('"').next().expect("said");
        let said = format!("\"{op}\":\"{value}\"");
        for changed in [
            // Members that nobody knows, members twice, data behind it, more than one message.
            format!("{{\"more\":1,{body}"),
            format!("{{{said},{body}"),
            format!("{{\"{op}\":\"ping\",{body}"),
            format!("{text} x"),
            format!("{text}{text}"),
            format!("[{text}]"),
            format!("\u{feff}{text}"),
            // Other spellings of the operation.
            text.replace(&said, &format!("\"{op}\":\"{}\"", value.to_uppercase() + "x")),
            text.replace(&said, &format!("\"{op}\":\" {value}\"")),
            text.replace(&said, &format!("\"{op}\":[\"{value}\"]")),
            text.replace(&said, &format!("\"{op}\":null")),
            text.replace(&said, &format!("\"{}\":\"{value}\"", op.to_uppercase())),
            text.replace(&said, &format!("\"\\u006fp\":\"{value}\"")),
            // A control character, and no text at all.
            format!("{text}\0"),
            String::new(),
            "{}".to_owned(),
            "null".to_owned(),
        ] {
            assert_ne!(changed, text);
            let read = read(&socket, &changed);
            assert!(read.is_err(), "{changed}: {read:?}");
        }
    }
}

#[test]
fn a_message_is_as_long_as_it_may_be_and_no_longer() {
    let padded = |length: usize| format!("{}{}", r#"{"op":"ping"}"#, " ".repeat(length - 13));
    let private = socket("stream.bybit.com", "/v5/private");
    assert!(read(&private, &padded(64 * 1024)).is_ok());
    assert_eq!(read(&private, &padded(64 * 1024 + 1)), Err(ReadError::BodyTooLarge));
    assert_eq!(venue(&private).message_id(&padded(64 * 1024 + 1)), None);
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(read(&private, &deep), Err(ReadError::BodyMalformed));
}

#[test]
fn more_orders_than_a_frame_may_have_are_refused() {
    let orders = |op: &str, count: usize| {
        let all = vec![ORDER; count].join(",");
        format!(r#"{{"id":"1","op":"{op}","args":[{all}]}}"#)
    };
    assert_eq!(read(&okx(), &orders("order", 2)), Err(ReadError::ArrayLength));
    assert_eq!(read(&okx(), &orders("order", 0)), Err(ReadError::ArrayLength));
    assert_eq!(read(&okx(), &orders("batch-orders", 0)), Err(ReadError::ArrayLength));
    let most = read(&okx(), &orders("batch-orders", 20)).expect("known");
    assert_eq!(judged(&okx(), &most).expect("twenty").stated.legs.len(), 20);
    let more = read(&okx(), &orders("batch-orders", 21)).expect("known");
    assert_eq!(judged(&okx(), &more), Err(ReadError::ArrayLength));
    // Nested lists are no orders.
    let nested = format!(r#"{{"id":"1","op":"batch-orders","args":[[{ORDER}]]}}"#);
    let nested = read(&okx(), &nested).expect("known");
    assert_eq!(judged(&okx(), &nested), Err(ReadError::BodyMalformed));

    let cancel = r#"{"category":"linear","symbol":"BTCUSDT","orderId":"1"}"#;
    let two = format!(
        r#"{{"header":{{"X-BAPI-TIMESTAMP":"1712345678901"}},"op":"order.cancel","args":[{cancel},{cancel}]}}"#
    );
    assert_eq!(read(&bybit(), &two), Err(ReadError::ArrayLength));
}

#[test]
fn what_no_rule_could_judge_is_refused_in_a_frame_too() {
    // An instrument by a number says nothing to anybody here.
    for order in [
        r#"{"instIdCode":1,"tdMode":"cash","side":"buy","ordType":"limit","sz":"1","px":"6"}"#,
        &ORDER.replacen('{', r#"{"instIdCode":1,"#, 1),
    ] {
        for op in ["order", "batch-orders"] {
            let text = format!(r#"{{"id":"1","op":"{op}","args":[{order}]}}"#);
            let refused = ReadError::ParameterRefused("instIdCode".to_owned());
            assert_eq!(read(&okx(), &text), Err(refused));
        }
    }
    // What the reader of the REST request refuses.
    let more = ORDER.replacen('{', r#"{"attachAlgoOrds":[],"#, 1);
    let message =
        read(&okx(), &format!(r#"{{"id":"1","op":"order","args":[{more}]}}"#)).expect("known");
    assert_eq!(judged(&okx(), &message), Err(ReadError::ParameterUnknown));
    let token = handle();
    for (params, error) in [
        (r#""triggers":{"price":1}"#, ReadError::ParameterUnknown),
        (r#""conditional":{"order_type":"limit"}"#, ReadError::ParameterUnknown),
        (r#""cash_order_qty":100"#, ReadError::ParameterUnknown),
        (r#""margin":true"#, ReadError::ParameterUnknown),
        (r#""limit_price_type":"pct""#, ReadError::ParameterUnknown),
        (r#""effective_time":"2026-01-01T00:00:00Z""#, ReadError::ParameterUnknown),
        (r#""time_in_force":"gtd""#, ReadError::ParameterValue("time_in_force".to_owned())),
        (r#""post_only":"true""#, ReadError::ParameterValue("post_only".to_owned())),
        (r#""limit_price":"60000""#, ReadError::ParameterValue("limit_price".to_owned())),
        (r#""limit_price":6e4"#, ReadError::ParameterValue("limit_price".to_owned())),
    ] {
        let text = format!(
            r#"{{"method":"add_order","params":{{"order_type":"limit","side":"buy","order_qty":1,"symbol":"BTC/USD","token":"{token}",{params}}}}}"#
        );
        assert_eq!(read(&kraken(), &text), Err(error), "{params}");
    }
}

#[test]
fn operations_that_nobody_listed_are_refused() {
    for (socket, op) in
        [(okx(), "op"), (bybit(), "op"), (binance(), "method"), (kraken(), "method")]
    {
        for word in [
            "withdraw",
            "sprd-order",
            "orders",
            "",
            "Order",
            "unsubscribe-all",
            "dcp",
            "channel-conn-count",
            "session.logon",
            "session.logout",
            "session.status",
            "userDataStream.start",
            "userDataStream.subscribe",
            "batch_add",
            "edit_order",
            "SUBSCRIBE",
            "../order.place",
        ] {
            let text = format!(r#"{{"id":"1","{op}":"{word}","args":[{{}}],"params":{{}}}}"#);
            assert!(read(&socket, &text).is_err(), "{word}");
        }
    }
    for method in ["session.logon", "session.logout", "session.status", "userDataStream.subscribe"]
    {
        let text =
            format!(r#"{{"id":1,"method":"{method}","params":{{"apiKey":"countersign:desk"}}}}"#);
        assert_eq!(read(&binance(), &text), Err(ReadError::OperationUnknown), "{method}");
    }
    // A lost connection would cancel orders.
    let private = socket("stream.bybit.com", "/v5/private");
    for topic in ["dcp.future", "order.", "order.spot.x", "ORDER", "strategy"] {
        let text = format!(r#"{{"op":"subscribe","args":["{topic}"]}}"#);
        assert_eq!(read(&private, &text), Err(ReadError::OperationUnknown), "{topic}");
    }
    // Requests go where they are taken, and nowhere else.
    let order = format!(r#"{{"id":"1","op":"order","args":[{ORDER}]}}"#);
    for path in ["/ws/v5/public", "/ws/v5/business"] {
        let text = read(&socket("ws.okx.com", path), &order);
        assert_eq!(text, Err(ReadError::OperationUnknown), "{path}");
    }
    for (host, path, text) in [
        ("ws.okx.com", "/ws/v5/public", r#"{"op":"login","args":[{"apiKey":"countersign:desk"}]}"#),
        (
            "stream.bybit.com",
            "/v5/public/spot",
            r#"{"op":"auth","args":["countersign:desk",1,"x"]}"#,
        ),
        ("ws.kraken.com", "/v2", r#"{"method":"cancel_all","params":{}}"#),
        (
            "stream.binance.com",
            "/ws",
            r#"{"method":"order.place","params":{"apiKey":"countersign:desk"}}"#,
        ),
    ] {
        assert_eq!(read(&socket(host, path), text), Err(ReadError::OperationUnknown), "{text}");
    }
}

#[test]
fn public_and_private_channels_do_not_mix() {
    let business = socket("ws.okx.com", "/ws/v5/business");
    let public = r#"{"channel":"candle1m","instId":"BTC-USDT"}"#;
    let private = r#"{"channel":"orders-algo","instType":"ANY"}"#;
    let subscribe =
        |args: &str| read(&business, &format!(r#"{{"op":"subscribe","args":[{args}]}}"#));
    let open = StreamRequest::Open { public: true };
    assert_eq!(subscribe(public).map(|message| message.request), Ok(open));
    assert!(matches!(subscribe(private).expect("known").request, StreamRequest::Read { .. }));
    assert_eq!(subscribe(&format!("{public},{private}")), Err(ReadError::OperationUnknown));
    for channel in ["candle", "candle1m/..", "orders-algo2", "deposit-info", "withdrawal-info"] {
        let arg = format!(r#"{{"channel":"{channel}"}}"#);
        assert_eq!(subscribe(&arg), Err(ReadError::OperationUnknown), "{channel}");
    }
    let more = r#"{"channel":"orders-algo","instType":"ANY","extra":"1"}"#;
    assert_eq!(subscribe(more), Err(ReadError::ParameterUnknown));
}

#[test]
fn only_a_placeholder_logs_on_and_only_once() {
    for key in ["real-key", "countersign:", "Countersign:desk", ""] {
        let okx_text = format!(r#"{{"op":"login","args":[{{"apiKey":"{key}"}}]}}"#);
        assert_eq!(read(&okx(), &okx_text), Err(ReadError::KeyNotPlaceholder), "{key}");
        let bybit_text = format!(r#"{{"op":"auth","args":["{key}",1,"x"]}}"#);
        assert_eq!(read(&bybit(), &bybit_text), Err(ReadError::KeyNotPlaceholder), "{key}");
        let call = format!(r#"{{"method":"account.status","params":{{"apiKey":"{key}"}}}}"#);
        assert_eq!(read(&binance(), &call), Err(ReadError::KeyNotPlaceholder), "{key}");
    }
    let two = r#"{"op":"login","args":[{"apiKey":"countersign:a"},{"apiKey":"countersign:b"}]}"#;
    assert_eq!(read(&okx(), two), Err(ReadError::ArrayLength));
    let none = r#"{"method":"order.place","params":{"symbol":"BTCUSDT"}}"#;
    assert_eq!(read(&binance(), none), Err(ReadError::ParameterMissing("apiKey".to_owned())));
}

#[test]
fn a_token_that_is_no_handle_goes_nowhere() {
    for token in ["", "short", "xeAQ/RCChBYNVh53sTv1yZ5H4wIbwDF20PiHtTF+4UI", &"a".repeat(65)] {
        for text in [
            format!(r#"{{"method":"cancel_all","params":{{"token":"{token}"}}}}"#),
            format!(
                r#"{{"method":"subscribe","params":{{"channel":"executions","token":"{token}"}}}}"#
            ),
        ] {
            assert_eq!(read(&kraken(), &text), Err(ReadError::ParameterValue("token".to_owned())));
        }
    }
    let without = r#"{"method":"subscribe","params":{"channel":"executions"}}"#;
    assert_eq!(read(&kraken(), without), Err(ReadError::ParameterMissing("token".to_owned())));
    // Market data has none.
    let public = socket("ws.kraken.com", "/v2");
    let text = format!(
        r#"{{"method":"subscribe","params":{{"channel":"ticker","token":"{}"}}}}"#,
        handle()
    );
    assert_eq!(read(&public, &text), Err(ReadError::ParameterUnknown));
    let stream = format!(r#"{{"method":"SUBSCRIBE","params":["{}"],"id":1}}"#, handle());
    let market = socket("stream.binance.com:9443", "/ws/0");
    assert_eq!(read(&market, &stream), Err(ReadError::ParameterValue("params".to_owned())));
}

/// The venue would say it again, as the bot's own word, with the token in it.
#[test]
fn a_handle_stands_in_its_place_alone() {
    let handle = handle();
    let escaped = format!("\\u0068{}", &handle[1..]);
    let order = |client_id: &str, token: &str| {
        format!(
            r#"{{"method":"add_order","params":{{"order_type":"limit","side":"buy","order_qty":1,"limit_price":1,"symbol":"BTC/USD","token":"{token}","cl_ord_id":"{client_id}"}}}}"#
        )
    };
    let subscribe = |token: &str, id: &str| {
        format!(
            r#"{{"method":"subscribe","req_id":"{id}","params":{{"channel":"executions","token":"{token}"}}}}"#
        )
    };
    assert!(read(&kraken(), &order("mine", &handle)).is_ok());
    assert!(read(&kraken(), &subscribe(&handle, "mine")).is_ok());
    for text in [
        order(&handle, &handle),
        order(&escaped, &handle),
        order(&format!("a{handle}"), &handle),
        subscribe(&handle, &handle),
        // Nobody would find this one to replace it.
        subscribe(&escaped, "mine"),
    ] {
        assert_eq!(read(&kraken(), &text), Err(ReadError::ParameterDuplicate), "{text}");
    }
}

#[test]
fn the_id_of_a_refused_message_is_found_if_it_is_plain() {
    let found =
        |socket: &Socket, text: &str| venue(socket).message_id(text).map(|id| (id.name, id.value));
    assert_eq!(found(&okx(), r#"{"id":"a-1","op":"x"}"#), Some(("id", "\"a-1\"".to_owned())));
    assert_eq!(found(&bybit(), r#"{"req_id":5,"op":"x"}"#), Some(("req_id", "5".to_owned())));
    assert_eq!(found(&bybit(), r#"{"reqId":"5"}"#), Some(("reqId", "\"5\"".to_owned())));
    assert_eq!(found(&kraken(), r#"{"req_id":7}"#), Some(("req_id", "7".to_owned())));
    let long = format!(r#"{{"id":"{}"}}"#, "a".repeat(65));
    for text in ["ping", "{}", "[1]", r#"{"id":null}"#, r#"{"id":"a\"b"}"#, r#"{"id":1.5}"#, &long]
    {
        assert_eq!(found(&okx(), text), None, "{text}");
    }
}

fn words() -> impl Strategy<Value = String> {
    let token = handle();
    let words: Vec<String> = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"op\"",
        "\"args\"",
        "\"method\"",
        "\"params\"",
        "\"id\"",
        "\"subscribe\"",
        "\"order\"",
        "\"order.create\"",
        "\"login\"",
        "\"auth\"",
        "\"add_order\"",
        "\"channel\"",
        "\"token\"",
        "\"header\"",
        "\"order.place\"",
        "\"apiKey\"",
        "\"countersign:a\"",
        "\"expTime\"",
        "1e-5",
        "-0",
        "null",
        "true",
        "\"\\u0000\"",
        "\"é\"",
        " ",
    ]
    .iter()
    .map(|word| (*word).to_owned())
    .chain([format!("\"{token}\"")])
    .collect();
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_message_makes_it_panic(text in prop_oneof![".*", words()], which in 0..13_usize) {
        let (socket, known) = taken().swap_remove(which);
        let _ = read(&socket, &text);
        let _ = venue(&socket).message_id(&text);
        // A taken message with a piece cut out of it.
        let (cut, end) = (text.len() % known.len(), known.len() / 2);
        let mangled = format!("{}{text}{}", known.get(..cut).unwrap_or(""), known.get(end..).unwrap_or(""));
        let _ = read(&socket, &mangled);
    }

    /// Whatever is taken and written anew is JSON, and is taken again as the same request.
    #[test]
    fn what_is_written_anew_reads_the_same(text in "\\PC{0,12}", op in 0..3_usize) {
        let value = serde_json::Value::String(text);
        let op = ["order", "amend-order", "cancel-order"][op];
        let frame = format!(r#"{{"id":"1","op":"{op}","args":[{{"instId":{value},"n":[1.50,true]}}]}}"#);
        if let Ok(message) = read(&okx(), &frame) {
            let StreamRequest::Order { request, .. } = &message.request else {
                panic!("an order");
            };
            let out = message.text(&request.body).expect("its own body");
            let out = String::from_utf8(out).expect("text");
            prop_assert_eq!(
                serde_json::from_str::<serde_json::Value>(&out).expect("JSON"),
                serde_json::from_str::<serde_json::Value>(&frame).expect("JSON")
            );
            prop_assert_eq!(read(&okx(), &out), Ok(message));
        }
    }
}
